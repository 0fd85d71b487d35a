//! The client: every request to a model goes through it.

use std::{borrow::Cow, sync::Arc};

use sequent_core::MicroUsd;
use serde::Serialize;
use tokio::time::Instant;

use crate::{
    AbilityTable, Chunks, Config, ContextWindow, Error, ModelName, OperatorTable, Provider, Request, Secrets,
    Usage,
    chunks::{Activity, Limits},
    config, demo,
    deployed::ClientSettings,
    meter::Meter,
    price::{Price, Prices, Pricing, Table},
    refusals::Refusals,
    retry,
    upstream::{Order, Upstream},
    wire::{Omitted, Protocol, stated_limit},
};

/// A client of all configured providers. Cheap to clone; clones share connections.
#[derive(Clone, Debug)]
pub struct Client(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    settings: ClientSettings,
    prices: Prices,
    abilities: OperatorTable<AbilityTable>,
    upstream: Upstream,
    refusals: Refusals,
}

/// The context of a request.
#[derive(Clone, Debug, Default)]
pub struct Context {
    /// The caller's deadline. The configured total timeout applies as well.
    pub deadline: Option<Instant>,
    /// Sent to the provider as `x-client-request-id`, to match its logs with ours.
    pub request_id: Option<String>,
}

/// Description of a model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ModelInfo {
    /// The provider of the model.
    pub provider: Provider,
    /// The provider's name of the model.
    pub model: String,
    /// True for the demo, which is not a model: every answer must be labelled as such.
    pub demo: bool,
    /// True if the deployment is configured for the provider.
    pub configured: bool,
}

impl Client {
    /// Creates a client of the providers in `config`.
    pub fn new(config: Config) -> Self {
        let prices = Prices::fixed(config.prices.clone());
        let abilities = OperatorTable::fixed(config.abilities.clone());
        Self::of(ClientSettings::Fixed(Arc::new(config)), prices, abilities)
    }

    pub(crate) fn of(
        settings: ClientSettings,
        prices: Prices,
        abilities: OperatorTable<AbilityTable>,
    ) -> Self {
        let upstream = Upstream::default();
        Self(Arc::new(Inner { settings, prices, abilities, upstream, refusals: Refusals::default() }))
    }

    /// The configuration as it is known. [`default_model`](Self::default_model) and [`stream`](Self::stream) update it.
    fn config(&self) -> Arc<Config> {
        self.0.settings.known()
    }

    /// Creates a client of the providers in the environment, see [`config`](crate::config).
    ///
    /// # Errors
    /// If a setting is not valid.
    pub fn from_env() -> Result<Self, config::Error> {
        Config::from_env(Secrets::default()).map(Self::new)
    }

    /// Returns the model of requests that name none. Keys, prices and abilities that were stored five minutes ago have an
    /// effect.
    pub async fn default_model(&self) -> ModelName {
        self.current().await.default_model.clone()
    }

    /// Returns the configuration, after everything that the operator has stored was read again if it is old.
    async fn current(&self) -> Arc<Config> {
        let Inner { settings, prices, abilities, .. } = &*self.0;
        let (config, _, _) = tokio::join!(settings.current(), prices.current(), abilities.current());
        config
    }

    /// Returns `model` and its fallbacks, in the order to try them.
    pub fn candidates(&self, model: ModelName) -> Vec<ModelName> {
        let others =
            self.config().fallbacks.iter().filter(|other| **other != model).cloned().collect::<Vec<_>>();
        std::iter::once(model).chain(others).collect()
    }

    /// Returns the description of `model`.
    pub fn describe(&self, model: &ModelName) -> ModelInfo {
        let (provider, name) = model.split();
        let demo = provider == Provider::Demo;
        let config = self.config();
        ModelInfo {
            provider,
            model: name.to_owned(),
            demo,
            configured: if demo { config.demo } else { config.endpoint(provider).is_some() },
        }
    }

    /// Returns `true` if a provider of real models is configured.
    #[must_use]
    pub fn has_provider(&self) -> bool {
        self.config().has_provider()
    }

    /// Returns `true` if requests may name the model.
    #[must_use]
    pub fn allows(&self, model: &ModelName) -> bool {
        self.config().allows(model)
    }

    /// Returns the reason why no model answers requests, or `None` if one does.
    #[must_use]
    pub fn unconfigured(&self) -> Option<Error> {
        self.config().unconfigured()
    }

    /// Returns the cost of `usage`, or `None` if the model has no known price. The demo costs nothing unless
    /// it has a price.
    pub fn cost(&self, model: &ModelName, usage: &Usage) -> Option<MicroUsd> {
        match self.price(model) {
            None if model.split().0 == Provider::Demo => Some(MicroUsd(0)),
            price => price.map(|price| price.cost(usage)),
        }
    }

    /// Returns the prices, and the default model as it is known, for a process that does not ask the models.
    #[must_use]
    pub fn pricing(&self) -> Pricing {
        let config = self.config();
        let table = Table::clone(&self.0.prices.known());
        Pricing { table, default_model: Some(config.default_model.clone()) }
    }

    /// Returns the price of `model`, or `None` if it is not known.
    #[must_use]
    pub fn price(&self, model: &ModelName) -> Option<Price> {
        self.0.prices.known().get(model.split().1)
    }

    /// Returns the prices of the deployment.
    #[must_use]
    pub fn prices(&self) -> &Prices {
        &self.0.prices
    }

    /// Returns the abilities of the deployment's models.
    #[must_use]
    pub fn abilities(&self) -> &OperatorTable<AbilityTable> {
        &self.0.abilities
    }

    /// Returns the context window of `model`.
    #[must_use]
    pub fn window(&self, model: &ModelName) -> ContextWindow {
        self.0.abilities.known().window(model)
    }

    /// Returns the candidates with a known price.
    #[must_use]
    pub fn priced(&self, candidates: Vec<ModelName>) -> Vec<ModelName> {
        let nothing = Usage::default();
        candidates.into_iter().filter(|model| self.cost(model, &nothing).is_some()).collect()
    }

    /// Creates the HTTP client before the first request, if a real provider is configured. This reads the
    /// system's certificates, which takes some milliseconds: better at start-up than in the first answer.
    pub fn warm(&self) {
        let config = self.config();
        if config.has_provider() {
            self.0.upstream.warm(&config);
        }
    }

    /// Sends a request, and returns when the first chunk of the answer has arrived.
    ///
    /// Dropping the future or the stream cancels the request. If the provider refuses the key, the keys are read again,
    /// and the request is sent once more if they have changed. If the provider refuses a parameter, the request is sent once
    /// more without it.
    ///
    /// # Errors
    /// Nothing was generated. An immediate retry does not help, because temporary errors have been retried
    /// already.
    pub async fn stream(&self, request: Request, context: Context) -> Result<Chunks, Error> {
        request.validate()?;
        let config = self.current().await;
        let refused = match self.open(&config, &request, &context).await {
            Err(refused @ Error::Unauthorized) => refused,
            opened => return opened,
        };
        match self.0.settings.after_refusal(&config).await {
            Some(config) => self.open(&config, &request, &context).await,
            None => Err(refused),
        }
    }

    async fn open(&self, config: &Config, request: &Request, context: &Context) -> Result<Chunks, Error> {
        if let Some(error) = config.unconfigured() {
            return Err(error);
        }
        if !config.allows(&request.model) {
            return Err(Error::NotAllowed);
        }
        let latest = Instant::now() + config.timeouts.total;
        let deadline = context.deadline.map_or(latest, |own| own.min(latest));
        let limits =
            Limits { first_token: config.timeouts.first_token, idle: config.timeouts.idle, deadline };
        let meter = Meter::new(request);
        let (provider, model) = request.model.split();
        if provider == Provider::Demo {
            let raw = demo::open(request, config.demo_tokens_per_second)?;
            let chunks = Chunks::new(raw, meter, limits, Activity::default());
            return chunks.started().await;
        }
        let not_configured = Error::NotConfigured(provider.as_str());
        let protocol = Protocol::of(provider).ok_or(not_configured.clone())?;
        let endpoint = config.endpoint(provider).ok_or(not_configured)?;
        let request_id = context.request_id.as_deref();
        let stated = self.0.abilities.known().parameters(&request.model);
        let mut omitted = self.0.refusals.of(protocol, request).with_stated(stated);
        let mut sent = Cow::Borrowed(request);
        loop {
            let order = Order { protocol, endpoint, model, request: &sent, request_id, omitted: &omitted };
            let opened = retry::run(&config.retry, deadline, || async {
                let activity = Activity::default();
                let raw = self.0.upstream.open(config, &order, activity.clone())?;
                Chunks::new(raw, meter.clone(), limits, activity).started().await
            });
            match opened.await {
                Err(Error::BadRequest(text)) => adapt(&mut sent, &mut omitted, protocol, text)?,
                Ok(chunks) => {
                    self.0.refusals.remember(protocol, request, &omitted);
                    return Ok(chunks);
                }
                failed => return failed,
            }
        }
    }
}

/// Changes a refused request so that its model may accept it: the limit of the output is the one that the refusal states, or the
/// parameter or tool that it names is left out.
///
/// # Errors
/// The refusal, if it states neither.
fn adapt(
    request: &mut Cow<'_, Request>,
    omitted: &mut Omitted,
    protocol: Protocol,
    refusal: String,
) -> Result<(), Error> {
    let model = request.model.clone();
    // The limit is lowered once.
    let limit = request.max_output_tokens.filter(|_| matches!(request, Cow::Borrowed(_)));
    if let Some(limit) = limit.and_then(|limit| stated_limit(&refusal, limit)) {
        tracing::warn!(%model, limit, "the model refused the limit of the output; repeating the request with a lower one");
        request.to_mut().max_output_tokens = Some(limit);
        return Ok(());
    }
    if let Some(tool) = omitted.refuse_tool(&refusal, request) {
        tracing::warn!(%model, tool, "the model refused a tool; repeating the request without it");
        return Ok(());
    }
    let refused = omitted.refuse(&refusal, protocol, request).ok_or(Error::BadRequest(refusal))?;
    let parameter = refused.name();
    tracing::warn!(%model, parameter, "the model refused a parameter; repeating the request without it");
    Ok(())
}
