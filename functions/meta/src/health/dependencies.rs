//! The dependencies that no function can work without, and the cheapest request that each of them can answer.

use std::{collections::BTreeMap, sync::Arc};

use aws_sdk_secretsmanager::Client;
use sequent_aws::Secrets;
use sequent_identity::secret::AppSecret;
use sequent_model::{Config, Provider};
use sequent_tables::{Store, TableName};

use super::{
    check::{Failure, check},
    report::HealthCheck,
};

/// Reads a setting by its name.
type Lookup = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// The tables, the secrets and the model provider of a deployment.
#[derive(Clone)]
pub struct Dependencies {
    store: Store,
    client: Client,
    app_secret: Arc<Secrets<AppSecret>>,
    origin_secret: Option<String>,
    model_secret: Option<Arc<Secrets<sequent_model::Secrets>>>,
    lookup: Lookup,
}

impl Dependencies {
    /// Reads `SECRETS_ID`, `ORIGIN_SECRET_ID`, `MODEL_SECRETS_ID` and the model settings with `lookup`.
    ///
    /// # Errors
    /// If `SECRETS_ID` is missing.
    pub fn new(
        store: Store,
        client: Client,
        lookup: impl Fn(&str) -> Option<String> + Send + Sync + 'static,
    ) -> Result<Self, String> {
        let read = |name: &str| lookup(name).filter(|text| !text.is_empty());
        let app_secret = read("SECRETS_ID").ok_or_else(|| {
            "SECRETS_ID is not set. Set it to the name or ARN of the app secret.".to_owned()
        })?;
        let model_secret = read("MODEL_SECRETS_ID").map(|id| Arc::new(Secrets::new(client.clone(), id)));
        Ok(Self {
            app_secret: Arc::new(Secrets::new(client.clone(), app_secret)),
            origin_secret: read("ORIGIN_SECRET_ID"),
            model_secret,
            store,
            client,
            lookup: Arc::new(lookup),
        })
    }

    /// Checks all dependencies at once.
    pub(crate) async fn check(&self) -> BTreeMap<&'static str, HealthCheck> {
        let (main, events, secret, origin, model) = tokio::join!(
            check("main_table", self.table(TableName::Main)),
            check("events_table", self.table(TableName::Events)),
            check("secret", self.app_secret()),
            check("origin_secret", self.origin_secret()),
            check("model", self.model()),
        );
        let model = match model.value {
            Some(provider) => model.check.with_provider(provider.as_str(), provider == Provider::Demo),
            None => model.check,
        };
        let mut checks = BTreeMap::from([
            ("main_table", main.check),
            ("events_table", events.check),
            ("secret", secret.check),
            ("model", model),
        ]);
        if self.origin_secret.is_some() {
            checks.insert("origin_secret", origin.check);
        }
        checks
    }

    async fn table(&self, table: TableName) -> Result<(), Failure> {
        self.store.ping(table).await.map_err(|error| Failure::Unreadable(error.into()))
    }

    /// Reads the secret itself, because a cached value proves nothing for the next instance. Reading it
    /// parses its keys.
    async fn app_secret(&self) -> Result<(), Failure> {
        self.app_secret.read_now().await?;
        Ok(())
    }

    async fn origin_secret(&self) -> Result<(), Failure> {
        let Some(id) = &self.origin_secret else { return Ok(()) };
        let read = self.client.get_secret_value().secret_id(id).send().await;
        let text = read.map_err(|error| Failure::Unreadable(Box::new(error)))?.secret_string;
        if text.is_none_or(|text| text.is_empty()) {
            return Err(Failure::Unusable("the secret is empty".into()));
        }
        Ok(())
    }

    /// Returns the provider that answers if a request names no model. The provider is not called, because a
    /// call costs money.
    async fn model(&self) -> Result<Provider, Failure> {
        let secrets = match &self.model_secret {
            Some(secrets) => (*secrets.read_now().await?).clone(),
            None => sequent_model::Secrets::default(),
        };
        let unusable = |error: sequent_model::config::Error| Failure::Unusable(error.into());
        let config = Config::from_lookup(|name| (self.lookup)(name), secrets).map_err(unusable)?;
        let (provider, _) = config.default_model.split();
        let configured = match provider {
            Provider::Demo => true,
            Provider::OpenAi => config.openai.is_some(),
            Provider::Anthropic => config.anthropic.is_some(),
        };
        if configured {
            Ok(provider)
        } else {
            Err(Failure::Unusable(format!("no credentials for {}", provider.as_str()).into()))
        }
    }
}
