//! The one way to ask a model.

use std::sync::Arc;

use sequent_core::MicroUsd;
use serde::Serialize;
use tokio::time::Instant;

use crate::{
    Chunks, Config, Error, ModelName, Provider, Request, Secrets, Usage,
    chunks::{Activity, Limits},
    config, demo,
    meter::Meter,
    price::Price,
    retry,
    upstream::Upstream,
};

/// Asks models. Cheap to clone; clones share connections.
#[derive(Clone, Debug)]
pub struct Client(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    config: Config,
    upstream: Upstream,
}

/// What surrounds a request.
#[derive(Clone, Debug, Default)]
pub struct Context {
    /// When the caller's own time is up. The configured total timeout applies as well.
    pub deadline: Option<Instant>,
    /// Sent to the provider as `x-client-request-id`, so that its logs can be matched with ours.
    pub request_id: Option<String>,
}

/// Who answers to a name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ModelInfo {
    /// The provider.
    pub provider: Provider,
    /// The model as the provider knows it.
    pub model: String,
    /// True if no model is behind it: every answer must be labelled so.
    pub demo: bool,
    /// Whether this deployment can ask it.
    pub configured: bool,
}

impl Client {
    /// A client of the providers in `config`.
    pub fn new(config: Config) -> Self {
        Self(Arc::new(Inner { config, upstream: Upstream::default() }))
    }

    /// A client of the providers that the environment names, see [`config`](crate::config).
    pub fn from_env() -> Result<Self, config::Error> {
        Config::from_env(Secrets::default()).map(Self::new)
    }

    /// The model of requests that name none.
    pub fn default_model(&self) -> &ModelName {
        &self.0.config.default_model
    }

    /// `model`, and those to ask after it when it cannot answer.
    pub fn candidates(&self, model: ModelName) -> Vec<ModelName> {
        let others =
            self.0.config.fallbacks.iter().filter(|other| **other != model).cloned().collect::<Vec<_>>();
        std::iter::once(model).chain(others).collect()
    }

    /// Who answers to `model`.
    pub fn describe(&self, model: &ModelName) -> ModelInfo {
        let (provider, name) = model.split();
        let demo = provider == Provider::Demo;
        ModelInfo {
            provider,
            model: name.to_owned(),
            demo,
            configured: demo || self.0.config.endpoint(provider).is_some(),
        }
    }

    /// What `usage` of `model` costs. The demo costs nothing unless it is given a price; `None` is a model without a known
    /// one.
    pub fn cost(&self, model: &ModelName, usage: &Usage) -> Option<MicroUsd> {
        let (provider, name) = model.split();
        let price: Option<Price> = self.0.config.prices.get(name);
        match price {
            None if provider == Provider::Demo => Some(MicroUsd(0)),
            price => price.map(|price| price.cost(usage)),
        }
    }

    /// Those of `candidates` whose cost is known.
    #[must_use]
    pub fn priced(&self, candidates: Vec<ModelName>) -> Vec<ModelName> {
        let nothing = Usage::default();
        candidates.into_iter().filter(|model| self.cost(model, &nothing).is_some()).collect()
    }

    /// Builds the HTTP client ahead of the first request, if a real provider is configured. Reading the system's certificates blocks for
    /// some milliseconds, which a start-up phase hides better than a first answer does.
    pub fn warm(&self) {
        let config = &self.0.config;
        if config.openai.is_some() || config.anthropic.is_some() {
            self.0.upstream.warm(config);
        }
    }

    /// Asks for an answer, and returns when its first chunk is here.
    ///
    /// An `Err` means that nothing was generated and that trying again at once is pointless: temporary failures have been retried already.
    /// Dropping the future or the stream cancels the request.
    pub async fn stream(&self, request: Request, context: Context) -> Result<Chunks, Error> {
        request.validate()?;
        let config = &self.0.config;
        let latest = Instant::now() + config.timeouts.total;
        let deadline = context.deadline.map_or(latest, |own| own.min(latest));
        let limits =
            Limits { first_token: config.timeouts.first_token, idle: config.timeouts.idle, deadline };
        let meter = Meter::new(&request);
        let (provider, model) = request.model.split();
        if provider == Provider::Demo {
            let raw = demo::open(&request, config.demo_tokens_per_second)?;
            let chunks = Chunks::new(raw, meter, limits, Activity::default());
            return chunks.begun().await;
        }
        let request_id = context.request_id.as_deref();
        retry::run(&config.retry, deadline, || async {
            let activity = Activity::default();
            let opening =
                self.0.upstream.open(config, provider, model, &request, request_id, activity.clone());
            // The provider crate's futures are large.
            let raw = Box::pin(opening).await?;
            Chunks::new(raw, meter.clone(), limits, activity).begun().await
        })
        .await
    }
}
