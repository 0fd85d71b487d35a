//! The catalog: prices at Stripe, and the plan or the credits that each buys.

use std::collections::BTreeMap;

use sequent_core::MicroCredits;
use serde::{Deserialize, Serialize};

/// The offers of a deployment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Catalog {
    /// Plans by name.
    pub plans: BTreeMap<String, PlanOffer>,
    /// Packs of credits by name.
    pub packs: BTreeMap<String, Pack>,
}

/// A plan for sale.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct PlanOffer {
    /// Prices by name, such as `monthly`.
    pub prices: BTreeMap<String, PriceOffer>,
    /// Days of the trial before the first payment. Only tenants that have never subscribed get a trial.
    #[serde(default)]
    pub trial_days: u32,
    /// Credits for the trial, in millionths.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(value_type = i64))]
    pub trial_credits: MicroCredits,
}

/// A price of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct PriceOffer {
    /// Id of the recurring price at Stripe.
    pub price: String,
    /// Credits per payment, in millionths. They expire a day after the period that the payment covers.
    #[cfg_attr(feature = "openapi", schema(value_type = i64))]
    pub credits: MicroCredits,
    /// `false` if the price cannot be bought any more. Existing subscriptions keep it.
    #[serde(default = "yes")]
    pub sold: bool,
}

/// A pack of credits, bought with a single payment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Pack {
    /// Id of the one-time price at Stripe.
    pub price: String,
    /// Credits of the pack, in millionths.
    #[cfg_attr(feature = "openapi", schema(value_type = i64))]
    pub credits: MicroCredits,
    /// Days until the credits expire. Without it they do not expire.
    #[serde(default)]
    pub expires_days: Option<u32>,
}

/// The catalog is invalid.
#[derive(Debug, thiserror::Error)]
#[error("BILLING_CATALOG {0}")]
pub struct Unreadable(String);

fn yes() -> bool {
    true
}

impl Catalog {
    /// Parses a catalog.
    ///
    /// # Errors
    /// Fails if the JSON is not a catalog, if two offers have the same price, or if an offer gives no credits.
    pub fn from_json(json: &str) -> Result<Self, Unreadable> {
        let catalog: Self =
            serde_json::from_str(json).map_err(|error| Unreadable(format!("is not a catalog: {error}")))?;
        let plans = catalog.plans.values().flat_map(|plan| plan.prices.values());
        let plans = plans.map(|offer| (&offer.price, offer.credits));
        let packs = catalog.packs.values().map(|pack| (&pack.price, pack.credits));
        let mut seen = std::collections::BTreeSet::new();
        for (price, credits) in plans.chain(packs) {
            if !seen.insert(price) {
                return Err(Unreadable(format!("names the price {price} twice")));
            }
            if credits <= MicroCredits::ZERO {
                return Err(Unreadable(format!("gives no credits for the price {price}")));
            }
        }
        if let Some((name, _)) = catalog.plans.iter().find(|(_, plan)| plan.prices.is_empty()) {
            return Err(Unreadable(format!("gives the plan {name} no prices")));
        }
        Ok(catalog)
    }

    /// Reads the catalog in `BILLING_CATALOG`. It is empty if the variable is not set.
    ///
    /// # Errors
    /// See [`from_json`](Self::from_json).
    pub fn from_env() -> Result<Self, Unreadable> {
        match std::env::var("BILLING_CATALOG").ok().filter(|json| !json.is_empty()) {
            Some(json) => Self::from_json(&json),
            None => Ok(Self::default()),
        }
    }

    /// Returns `true` if nothing is for sale.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.plans.is_empty() && self.packs.is_empty()
    }

    /// Returns the plan that a price at Stripe belongs to.
    #[must_use]
    pub fn plan_of(&self, price: &str) -> Option<(&str, &PlanOffer)> {
        let sells = |plan: &PlanOffer| plan.prices.values().any(|offer| offer.price == price);
        self.plans.iter().find(|(_, plan)| sells(plan)).map(|(name, plan)| (name.as_str(), plan))
    }

    /// Returns the credits that a payment of a recurring price buys.
    #[must_use]
    pub fn credits_of(&self, price: &str) -> Option<MicroCredits> {
        let (_, plan) = self.plan_of(price)?;
        plan.prices.values().find(|offer| offer.price == price).map(|offer| offer.credits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_catalog_is_parsed_and_mistakes_are_reported() {
        let catalog = Catalog::from_json(
            r#"{"plans": {"pro": {"prices": {"monthly": {"price": "price_m", "credits": 20000000},
                "old": {"price": "price_o", "credits": 10000000, "sold": false}}, "trial_days": 14}},
                "packs": {"small": {"price": "price_s", "credits": 5000000, "expires_days": 365}}}"#,
        )
        .unwrap();
        assert_eq!(catalog.plan_of("price_o").unwrap().0, "pro");
        assert_eq!(catalog.credits_of("price_m"), Some(MicroCredits::whole(20)));
        assert_eq!((catalog.plan_of("price_s"), catalog.credits_of("price_x")), (None, None));
        for (json, why) in [
            ("[1]", "not a catalog"),
            (r#"{"plan": {}}"#, "plan"),
            (r#"{"packs": {"a": {"price": "p", "credits": 0}}}"#, "no credits"),
            (r#"{"packs": {"a": {"price": "p", "credits": 1}, "b": {"price": "p", "credits": 1}}}"#, "twice"),
            (r#"{"plans": {"a": {"prices": {}}}}"#, "no prices"),
        ] {
            let error = Catalog::from_json(json).unwrap_err().to_string();
            assert!(error.contains(why), "{json}: {error}");
        }
    }
}
