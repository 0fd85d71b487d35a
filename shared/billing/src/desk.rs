//! Where a run asks for its hold before it is stored, whichever function starts it.

use sequent_core::{MicroCredits, MicroUsd, TenantId, Timestamp};
use sequent_model::price::Table;
use sequent_tables::{Store, key};

use crate::{Denied, Error, Held, Ledger, Markup, Plans, Quote, Terms};

/// The desk of a deployment. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Desk {
    store: Store,
    /// `None`: runs are not paid for.
    terms: Option<Terms>,
    prices: Table,
}

/// A run that is to begin.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The model that the request names.
    pub model: Option<&'a str>,
    /// What is said to it.
    pub content: &'a str,
    /// The most that the request allows its calls to cost us.
    pub budget: Option<MicroUsd>,
}

/// The environment does not make sense.
#[derive(Debug, thiserror::Error)]
#[error("{0} is not {1}")]
pub struct Unreadable(&'static str, &'static str);

impl Desk {
    /// A desk with these terms.
    #[must_use]
    pub fn new(store: Store, terms: Option<Terms>, prices: Table) -> Self {
        Self { store, terms, prices }
    }

    /// As the environment says:
    ///
    /// | variable | meaning |
    /// |---|---|
    /// | `BILLING` | `on`: runs are paid for; anything else: they are not |
    /// | `BILLING_PLANS` | [`Plans::from_json`] |
    /// | `BILLING_MARKUP_PERCENT` | what people pay for what we pay; 100 |
    /// | `BILLING_HOLD` | held for a run without a budget of its own, in millionths of a credit; 200,000 |
    /// | `BILLING_WELCOME` | granted to a new tenant, in millionths of a credit; none |
    /// | `BILLING_METER` | the meter at Stripe to which what runs spend is reported; none |
    ///
    /// # Errors
    /// When a variable cannot be read.
    pub fn from_env(store: Store) -> Result<Self, Unreadable> {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        if variable("BILLING").as_deref() != Some("on") {
            return Ok(Self::new(store, None, Table::default()));
        }
        let number = |name: &'static str, usual: i64| match variable(name) {
            Some(text) => {
                text.parse::<i64>().ok().filter(|number| *number >= 0).ok_or(Unreadable(name, "a number"))
            }
            None => Ok(usual),
        };
        let plans = match variable("BILLING_PLANS") {
            Some(json) => {
                Plans::from_json(&json).map_err(|_| Unreadable("BILLING_PLANS", "an object of plans"))?
            }
            None => Plans::default(),
        };
        let markup = u32::try_from(number("BILLING_MARKUP_PERCENT", 100)?);
        let terms = Terms {
            plans,
            markup: Markup(markup.map_err(|_| Unreadable("BILLING_MARKUP_PERCENT", "a percentage"))?),
            usual_hold: MicroCredits(number("BILLING_HOLD", 200_000)?),
            welcome: MicroCredits(number("BILLING_WELCOME", 0)?),
            metered: variable("BILLING_METER").is_some(),
        };
        let prices = Table::from_env().map_err(|_| Unreadable("MODEL_PRICES", "an object of prices"))?;
        Ok(Self::new(store, Some(terms), prices))
    }

    /// The terms, if runs are paid for.
    #[must_use]
    pub fn terms(&self) -> Option<&Terms> {
        self.terms.as_ref()
    }

    /// Whether there is such a tenant.
    ///
    /// # Errors
    /// When the table fails.
    pub async fn knows(&self, tenant: TenantId) -> Result<bool, Error> {
        let row: Option<serde::de::IgnoredAny> = self.store.get(&key::tenant(tenant)).await?;
        Ok(row.is_some())
    }

    /// The ledger of a tenant.
    #[must_use]
    pub fn ledger(&self, tenant: TenantId) -> Ledger {
        Ledger::new(self.store.clone(), tenant)
    }

    /// What the run's start has to hold. `None` within: nothing.
    ///
    /// # Errors
    /// When the table fails.
    pub async fn hold(
        &self,
        tenant: TenantId,
        asked: Asked<'_>,
    ) -> Result<Result<Option<Held>, Denied>, Error> {
        let Some(terms) = &self.terms else { return Ok(Ok(None)) };
        let Asked { model, content, budget } = asked;
        // The deployment's own model is known to whoever asks it, who looks then.
        if let Some(model) = model.filter(|model| !self.prices.knows(model)) {
            return Ok(Err(Denied::Unpriced(model.to_owned())));
        }
        let first_call = model.map_or(MicroUsd(0), |model| self.prices.first_call(model, content.len()));
        let quoted =
            self.ledger(tenant).quote(terms, Quote { model, first_call, budget }, Timestamp::now()).await?;
        Ok(quoted.map(Some))
    }
}
