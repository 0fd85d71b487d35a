//! The credits of a deployment's tenants: where a run reserves credits before it is stored.

use sequent_core::{MicroCredits, MicroUsd, RunId, TenantId, Timestamp};
use sequent_model::{ModelName, config, price::Table};
use sequent_tables::{Store, key};

use crate::{Denied, Error, Ledger, Markup, Plans, Quote, Reservation, Terms};

/// The credits of a deployment. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Credits {
    store: Store,
    /// `None` if the deployment does not charge for runs.
    terms: Option<Terms>,
    prices: Table,
    /// The models of which one answers a request that names none.
    default_models: Vec<ModelName>,
}

/// The parts of a request for a run that its price depends on.
#[derive(Debug, Clone, Copy)]
pub struct PricedRequest<'a> {
    /// The model that the request names.
    pub model: Option<&'a str>,
    /// The user's message, whose length decides the price of the first model call.
    pub content: &'a str,
    /// Largest cost of the model calls that the request allows.
    pub budget: Option<MicroUsd>,
}

/// An environment variable has no valid value.
#[derive(Debug, thiserror::Error)]
#[error("the environment variable {0} is not {1}")]
pub struct InvalidSetting(&'static str, &'static str);

impl Credits {
    /// Credits on these terms. Runs are free without terms.
    #[must_use]
    pub fn new(store: Store, terms: Option<Terms>, prices: Table) -> Self {
        Self { store, terms, prices, default_models: Vec::new() }
    }

    /// Sets the model that answers a request that names none. A function that cannot know it gives all that it may be.
    #[must_use]
    pub fn with_default_models(self, default_models: Vec<ModelName>) -> Self {
        Self { default_models, ..self }
    }

    /// Credits on the terms in the environment:
    ///
    /// | variable | meaning | default |
    /// |---|---|---|
    /// | `BILLING` | `on` charges for runs | off |
    /// | `BILLING_PLANS` | [`Plans::from_json`] | the plan `free` |
    /// | `BILLING_MARKUP_PERCENT` | price of a run in percent of its cost | 100 |
    /// | `BILLING_HOLD` | hold of a run without a budget, in millionths of a credit | 200,000 |
    /// | `BILLING_WELCOME` | grant to a new tenant, in millionths of a credit | 0 |
    /// | `BILLING_METER` | the meter at Stripe that receives the spent credits | none |
    ///
    /// The default model is that of [`config::default_models`].
    ///
    /// # Errors
    /// Returns an error if a variable has no valid value.
    pub fn from_env(store: Store) -> Result<Self, InvalidSetting> {
        if variable("BILLING").as_deref() != Some("on") {
            return Ok(Self::new(store, None, Table::default()));
        }
        let plans = match variable("BILLING_PLANS") {
            Some(json) => {
                Plans::from_json(&json).map_err(|_| InvalidSetting("BILLING_PLANS", "an object of plans"))?
            }
            None => Plans::default(),
        };
        let markup = u32::try_from(number("BILLING_MARKUP_PERCENT", 100)?);
        let terms = Terms {
            plans,
            markup: Markup(markup.map_err(|_| InvalidSetting("BILLING_MARKUP_PERCENT", "a percentage"))?),
            usual_hold: MicroCredits(number("BILLING_HOLD", 200_000)?),
            welcome: MicroCredits(number("BILLING_WELCOME", 0)?),
            metered: variable("BILLING_METER").is_some(),
        };
        let prices = Table::from_env().map_err(|_| InvalidSetting("MODEL_PRICES", "an object of prices"))?;
        let default_models = config::default_models(|name| std::env::var(name).ok())
            .map_err(|_| InvalidSetting("DEFAULT_MODEL", "the name of a model"))?;
        Ok(Self::new(store, Some(terms), prices).with_default_models(default_models))
    }

    /// Returns the terms, or `None` if the deployment does not charge for runs.
    #[must_use]
    pub fn terms(&self) -> Option<&Terms> {
        self.terms.as_ref()
    }

    /// Returns `true` if the tenant exists.
    ///
    /// # Errors
    /// Returns an error if the table fails.
    pub async fn knows(&self, tenant: TenantId) -> Result<bool, Error> {
        let row: Option<serde::de::IgnoredAny> = self.store.get(&key::tenant(tenant)).await?;
        Ok(row.is_some())
    }

    /// The ledger of a tenant.
    #[must_use]
    pub fn ledger(&self, tenant: TenantId) -> Ledger {
        Ledger::new(self.store.clone(), tenant)
    }

    /// Reserves credits for a run. The start of the run stores the reservation. Returns `None` if the deployment does not
    /// charge for runs.
    ///
    /// # Errors
    /// [`Error::Denied`], or an error of the table.
    pub async fn reserve(
        &self,
        tenant: TenantId,
        request: PricedRequest<'_>,
    ) -> Result<Option<Reservation>, Error> {
        let Some(terms) = &self.terms else { return Ok(None) };
        let quote = self.quote(request)?;
        self.ledger(tenant).quote(terms, quote, Timestamp::now()).await.map(Some)
    }

    /// Returns `true` if the end of the run `live` can make room for a run that was denied: see
    /// [`Ledger::has_room_without`].
    ///
    /// # Errors
    /// [`Error::Denied`] if the request has no price, or an error of the table.
    pub async fn have_room_without(
        &self,
        live: RunId,
        tenant: TenantId,
        request: PricedRequest<'_>,
    ) -> Result<bool, Error> {
        let Some(terms) = &self.terms else { return Ok(true) };
        let quote = self.quote(request)?;
        self.ledger(tenant).has_room_without(live, terms, quote, Timestamp::now()).await
    }

    /// Estimates the cost of a run.
    fn quote<'r>(&self, request: PricedRequest<'r>) -> Result<Quote<'r>, Denied> {
        let PricedRequest { model, content, budget } = request;
        let answering: Vec<&str> = match model {
            Some(model) => vec![model],
            None => self.default_models.iter().map(ModelName::as_str).collect(),
        };
        if let Some(unpriced) = answering.iter().find(|model| !self.prices.knows(model)) {
            return Err(Denied::Unpriced((*unpriced).to_owned()));
        }
        let estimates = answering.iter().map(|model| self.prices.first_call(model, content.len()));
        let first_call = estimates.max().unwrap_or(MicroUsd(0));
        Ok(Quote { model, first_call, budget })
    }
}

/// Returns the value of an environment variable, or `None` if it is empty or missing.
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn number(name: &'static str, default: i64) -> Result<i64, InvalidSetting> {
    let Some(text) = variable(name) else { return Ok(default) };
    text.parse::<i64>().ok().filter(|number| *number >= 0).ok_or(InvalidSetting(name, "a number"))
}
