//! The credits of a deployment's tenants: where a run reserves credits before it is stored.

use std::num::NonZeroU32;

use sequent_core::{MicroCredits, MicroUsd, RunId, TenantId, TenantLimits, TenantTrust, Timestamp};
use sequent_model::{
    AllowedModels, Client, ModelName, config,
    price::{Prices, Pricing, Table},
};
use sequent_tables::{SecretTable, Store, key};

use crate::{
    Account, Denied, Error, Ledger, Markup, OpenStream, Plans, Quota, Quote, Reservation, Terms,
    unverified::{self, UnverifiedLimit},
};

/// The credits of a deployment. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Credits {
    store: Store,
    /// `None` if the deployment does not charge for runs.
    terms: Option<Terms>,
    /// The limits of every tenant.
    limits: TenantLimits,
    prices: Prices,
    /// The models that requests may name.
    allowed: AllowedModels,
    /// The models of which one answers a request that names none.
    default_models: Vec<ModelName>,
    /// The client of the providers, in a function that has one. It knows the default model.
    models: Option<Client>,
}

/// The parts of a request for a run that its price depends on.
#[derive(Debug, Clone, Copy)]
pub struct PricedRequest<'a> {
    /// The model that the request names.
    pub model: Option<&'a str>,
    /// The models that may answer instead, as the agent of the run names them.
    pub fallbacks: &'a [ModelName],
    /// The bytes of the user's message and of the agent's instructions, which decide the price of the first model call.
    pub bytes: usize,
    /// Largest cost of the model calls that the request allows.
    pub budget: Option<MicroUsd>,
}

/// The limits of a tenant at the time of a request.
struct CurrentLimits {
    limits: TenantLimits,
    /// The daily limit of a tenant that is not trusted, if it is lower than that of others.
    share: Option<MicroUsd>,
}

impl CurrentLimits {
    /// Names the limit that was reached.
    fn explain(&self, denied: Denied) -> Denied {
        match (denied, self.share) {
            (Denied::DailyCost { .. }, Some(limit)) => Denied::Unverified { limit },
            (denied, _) => denied,
        }
    }
}

/// An environment variable has no valid value.
#[derive(Debug, thiserror::Error)]
#[error("the environment variable {0} is not {1}")]
pub struct InvalidSetting(&'static str, &'static str);

impl Credits {
    /// Credits on these terms, without caps of tenants. Runs are free without terms.
    #[must_use]
    pub fn new(store: Store, terms: Option<Terms>, prices: Table) -> Self {
        Self {
            store,
            terms,
            limits: TenantLimits::uncapped(),
            prices: Prices::fixed(prices),
            allowed: AllowedModels::any(),
            default_models: Vec::new(),
            models: None,
        }
    }

    /// Sets the models that requests may name.
    #[must_use]
    pub fn with_allowed_models(self, allowed: AllowedModels) -> Self {
        Self { allowed, ..self }
    }

    /// Sets the client of the providers. Requests that name no model have its default model, and its prices are used.
    #[must_use]
    pub fn with_models(self, models: Client) -> Self {
        let prices = models.prices().clone();
        Self { models: Some(models), prices, ..self }
    }

    /// Uses the prices that the operator has stored, too, for a function that has no client of the providers.
    #[must_use]
    pub fn with_stored_prices(self, secrets: &SecretTable) -> Self {
        let base = Table::clone(&self.prices.known());
        Self { prices: Prices::stored(base, secrets), ..self }
    }

    /// Sets the limits of every tenant.
    #[must_use]
    pub fn with_limits(self, limits: TenantLimits) -> Self {
        Self { limits, ..self }
    }

    /// Sets the models of which one answers a request that names none, for a function that has no client of the providers.
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
    /// The default model is that of [`config::default_models`], the limits are those of [`TenantLimits::from_env`], and the
    /// allowed models are those of [`AllowedModels::from_lookup`] and of the plans.
    ///
    /// # Errors
    /// Returns an error if a variable has no valid value.
    pub fn from_env(store: Store) -> Result<Self, InvalidSetting> {
        let limits = TenantLimits::from_env()
            .map_err(|_| InvalidSetting("TENANT_LIMITS", "a list of limits such as `runs=10,daily_usd=5`"))?;
        let prices = Table::from_env().map_err(|_| InvalidSetting("MODEL_PRICES", "an object of prices"))?;
        let lookup = |name: &str| std::env::var(name).ok();
        let invalid = |_| InvalidSetting("DEFAULT_MODEL", "the name of a model");
        let default_models = config::default_models(lookup).map_err(invalid)?;
        let terms = Self::terms_from_env(&limits)?;
        let planned = terms.iter().flat_map(|terms| terms.plans.models());
        let allowed = AllowedModels::from_lookup(lookup).map_err(invalid)?.or_planned(planned);
        let credits = Self::new(store, terms, prices).with_limits(limits).with_allowed_models(allowed);
        Ok(credits.with_default_models(default_models))
    }

    fn terms_from_env(limits: &TenantLimits) -> Result<Option<Terms>, InvalidSetting> {
        if variable("BILLING").as_deref() != Some("on") {
            return Ok(None);
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
            unverified_usd: limits.unverified_usd,
            metered: variable("BILLING_METER").is_some(),
        };
        Ok(Some(terms))
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

    /// Returns the prices, and the default model as far as it is known.
    #[must_use]
    pub fn pricing(&self) -> Pricing {
        match &self.models {
            Some(models) => models.pricing(),
            None => Pricing {
                table: Table::clone(&self.prices.known()),
                default_model: self.default_models.first().cloned(),
            },
        }
    }

    /// The ledger of a tenant.
    #[must_use]
    pub fn ledger(&self, tenant: TenantId) -> Ledger {
        Ledger::new(self.store.clone(), tenant)
    }

    /// Reserves credits for a run, or a part of the tenant's quota. The start of the run stores the reservation. Returns
    /// `None` if the deployment neither charges for runs nor limits them.
    ///
    /// # Errors
    /// [`Error::Denied`], or an error of the table.
    pub async fn reserve(
        &self,
        tenant: TenantId,
        request: PricedRequest<'_>,
    ) -> Result<Option<Reservation>, Error> {
        let now = Timestamp::now();
        if let Some(terms) = &self.terms {
            let quote = self.quote(request, true).await?;
            return self.ledger(tenant).reserve(terms, quote, now).await.map(Some);
        }
        if !self.has_quotas() {
            self.quote(request, false).await?;
            return Ok(None);
        }
        let quota = Quota::open(&self.store, tenant).await?;
        let current = self.limits_of(tenant, &quota, now).await?;
        let quote = self.quote(request, current.limits.daily_usd.is_some()).await?;
        let reserved = quota.reserve(&current.limits, quote, now);
        Ok(Some(reserved.map_err(|denied| current.explain(denied))?))
    }

    /// Returns the limits of the tenant with this quota. One that is not trusted takes its share of what such tenants may
    /// cost together, once a day.
    async fn limits_of(
        &self,
        tenant: TenantId,
        quota: &Quota,
        now: Timestamp,
    ) -> Result<CurrentLimits, Error> {
        let usual = CurrentLimits { limits: self.limits, share: None };
        let Some(limit) = self.limits.unverified_usd.map(UnverifiedLimit) else { return Ok(usual) };
        if quota.is_trusted {
            return Ok(usual);
        }
        match unverified::trust_in(&self.store, tenant).await? {
            None => return Ok(usual),
            Some(TenantTrust::Trusted) => {
                Quota::note_trust(&self.store, tenant).await?;
                return Ok(usual);
            }
            Some(TenantTrust::Unverified | TenantTrust::Unverifiable) => {}
        }
        let share = limit.share();
        if !quota.has_share(now) && !limit.take_share(&self.store, tenant, now).await? {
            return Err(Denied::Unverified { limit: share }.into());
        }
        if self.limits.daily_usd.is_some_and(|own| own < share) {
            return Ok(usual);
        }
        let limits = TenantLimits { daily_usd: Some(share), ..self.limits };
        Ok(CurrentLimits { limits, share: Some(share) })
    }

    /// Returns `true` if tenants have quotas.
    fn has_quotas(&self) -> bool {
        let limits = &self.limits;
        let limits_costs = limits.daily_usd.is_some() || limits.unverified_usd.is_some();
        let is_limited = limits.runs.is_some() || limits_costs || limits.retention_days.is_some();
        self.terms.is_none() && is_limited
    }

    /// Returns the days that the tenant's conversations are kept, by its plan or by the limits of every tenant. Returns
    /// `None` if they are kept until they are deleted.
    ///
    /// # Errors
    /// Returns an error if the table fails.
    pub async fn retention_days(&self, tenant: TenantId) -> Result<Option<NonZeroU32>, Error> {
        let Some(terms) = &self.terms else { return Ok(self.limits.retention_days) };
        let account: Option<Account> = self.store.get(&key::account(tenant)).await?;
        let plan = account.map_or_else(|| Plans::FREE.to_owned(), |account| account.plan);
        Ok(terms.plans.get(&plan).retention_days)
    }

    /// Returns `true` if credits or a part of the quota are held for the run.
    ///
    /// # Errors
    /// Returns an error if the table fails.
    pub async fn are_held_for(&self, tenant: TenantId, run: RunId) -> Result<bool, Error> {
        if !self.has_quotas() {
            return self.ledger(tenant).holds_for(run).await;
        }
        let quota: Option<Quota> = self.store.get(&key::quota(tenant)).await?;
        Ok(quota.is_some_and(|quota| quota.holds.contains_key(&run)))
    }

    /// Counts a model call that belongs to no run and reads `bytes` of text, by its estimate. Such a call is not charged, but
    /// the daily limit of the tenant has to cover it.
    ///
    /// # Errors
    /// [`Denied::DailyCost`], [`Denied::Unverified`], [`Denied::NoProvider`], or an error of the table.
    pub async fn spend_on_call(&self, tenant: TenantId, bytes: usize) -> Result<(), Error> {
        if self.limits.daily_usd.is_none() && self.limits.unverified_usd.is_none() {
            return Ok(());
        }
        let now = Timestamp::now();
        let quota = Quota::open(&self.store, tenant).await?;
        let current = self.limits_of(tenant, &quota, now).await?;
        let Some(limit) = current.limits.daily_usd else { return Ok(()) };
        let models = self.answering(None).await?;
        let prices = self.prices.current().await;
        let costs = models.iter().map(|model| prices.first_call(model, bytes));
        let cost = costs.max().unwrap_or(MicroUsd(0));
        match Quota::spend(&self.store, tenant, limit, cost, now).await {
            Err(Error::Denied(denied)) => Err(current.explain(denied).into()),
            spent => spent,
        }
    }

    /// Opens a stream of a run that another process executes. It counts until it is closed, or until `until`. Returns `None`
    /// if the deployment does not limit streams.
    ///
    /// # Errors
    /// [`Denied::Streams`], or an error of the table.
    pub async fn open_stream(&self, tenant: TenantId, until: Timestamp) -> Result<Option<OpenStream>, Error> {
        let Some(limit) = self.limits.streams else { return Ok(None) };
        OpenStream::open(&self.store, tenant, limit, until, Timestamp::now()).await.map(Some)
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
        let now = Timestamp::now();
        let Some(terms) = &self.terms else {
            let quota = Quota::open(&self.store, tenant).await?;
            let current = self.limits_of(tenant, &quota, now).await?;
            let quote = self.quote(request, current.limits.daily_usd.is_some()).await?;
            let quota = quota.without(live);
            return Ok(quota.is_some_and(|quota| quota.reserve(&current.limits, quote, now).is_ok()));
        };
        let quote = self.quote(request, true).await?;
        self.ledger(tenant).has_room_without(live, terms, quote, now).await
    }

    /// Estimates the cost of a run with a model that the deployment allows, and that has a price if costs are limited.
    async fn quote<'r>(&self, request: PricedRequest<'r>, limits_costs: bool) -> Result<Quote<'r>, Denied> {
        let PricedRequest { model, fallbacks, bytes, budget } = request;
        let mut answering = self.answering(model).await?;
        for fallback in fallbacks {
            answering.extend(self.answering(Some(fallback.as_str())).await?);
        }
        let prices = self.prices.current().await;
        if let Some(unpriced) = answering.iter().find(|model| limits_costs && !prices.knows(model)) {
            return Err(Denied::Unpriced(unpriced.clone()));
        }
        let estimates = answering.iter().map(|model| prices.first_call(model, bytes));
        let first_call = estimates.max().unwrap_or(MicroUsd(0));
        Ok(Quote { model, fallbacks, first_call, budget })
    }

    /// Returns the models of which one answers a request with this model.
    async fn answering(&self, model: Option<&str>) -> Result<Vec<String>, Denied> {
        let Some(name) = model else {
            let Some(models) = &self.models else {
                return Ok(self.default_models.iter().map(ToString::to_string).collect());
            };
            let default = models.default_model().await;
            return if models.unconfigured().is_some() {
                Err(Denied::NoProvider)
            } else {
                Ok(vec![default.to_string()])
            };
        };
        let is_allowed = |model: &ModelName| {
            self.allowed.contains(model) && self.models.as_ref().is_none_or(|models| models.allows(model))
        };
        match name.parse() {
            Ok(model) if is_allowed(&model) => Ok(vec![name.to_owned()]),
            _ => Err(Denied::NotAllowed(name.to_owned())),
        }
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
