//! The dependencies that no function can work without, and the cheapest request that each of them can answer.
//!
//! Anyone may call this function, so it may read no secret. It reads a key of the table of secrets that does not exist,
//! which shows that the table answers, and asks for the description of the CDN's secret, not for its value.

use std::{collections::BTreeMap, sync::Arc};

use aws_sdk_secretsmanager::Client;
use sequent_model::{Config, ModelName, Provider, config};
use sequent_tables::{SecretTable, Store, TableName};

use super::{
    check::{Failure, check},
    report::HealthCheck,
};

/// Reads a setting by its name.
type Lookup = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// The tables, the secret of the CDN and the model provider of a deployment.
#[derive(Clone)]
pub struct Dependencies {
    store: Store,
    secrets: SecretTable,
    client: Client,
    origin_secret: Option<String>,
    lookup: Lookup,
}

impl Dependencies {
    /// Reads `ORIGIN_SECRET_ID` and the model settings with `lookup`.
    #[must_use]
    pub fn new(
        store: Store,
        secrets: SecretTable,
        client: Client,
        lookup: impl Fn(&str) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        let origin_secret = lookup("ORIGIN_SECRET_ID").filter(|text| !text.is_empty());
        Self { store, secrets, client, origin_secret, lookup: Arc::new(lookup) }
    }

    /// Checks all dependencies at once.
    pub(crate) async fn check(&self) -> BTreeMap<&'static str, HealthCheck> {
        let (main, events, secret, origin, model) = tokio::join!(
            check("main_table", self.table(TableName::Main)),
            check("events_table", self.table(TableName::Events)),
            check("secret", self.secrets()),
            check("origin_secret", self.origin_secret()),
            check("model", self.model()),
        );
        let model = match model.value.flatten() {
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

    async fn secrets(&self) -> Result<(), Failure> {
        self.secrets.ping().await.map_err(|error| Failure::Unreadable(error.into()))
    }

    async fn origin_secret(&self) -> Result<(), Failure> {
        let Some(id) = &self.origin_secret else { return Ok(()) };
        let described = self.client.describe_secret().secret_id(id).send().await;
        let description = described.map_err(|error| Failure::Unreadable(Box::new(error)))?;
        match description.deleted_date() {
            Some(_) => Err(Failure::Unusable("the secret is about to be deleted".into())),
            None => Ok(()),
        }
    }

    /// Returns the provider that answers if a request names no model, if the settings name one. The keys of providers may
    /// be in a secret, which this function may not read. No provider is called, because a call costs money.
    async fn model(&self) -> Result<Option<Provider>, Failure> {
        let unusable = |error: config::Error| Failure::Unusable(error.into());
        let lookup = |name: &str| (self.lookup)(name);
        Config::from_lookup(lookup, sequent_model::Secrets::default()).map_err(unusable)?;
        let default = config::default_models(lookup).map_err(unusable)?;
        Ok(match default.as_slice() {
            [model] => Some(ModelName::split(model).0),
            _ => None,
        })
    }
}
