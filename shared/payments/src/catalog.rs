//! What is for sale: which prices at Stripe buy which plan and how many credits.

use std::collections::BTreeMap;

use sequent_core::MicroCredits;
use serde::{Deserialize, Serialize};

/// What a deployment sells.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Catalog {
    /// Plans to subscribe to, by their names.
    pub plans: BTreeMap<String, PlanOffer>,
    /// Credits to buy once, by their names.
    pub packs: BTreeMap<String, Pack>,
}

/// A plan that is sold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct PlanOffer {
    /// Its prices, by their names, such as `monthly`.
    pub prices: BTreeMap<String, PriceOffer>,
    /// Days for which it may be tried out before the first payment, by those who have never subscribed.
    #[serde(default)]
    pub trial_days: u32,
    /// Credits for those days, in millionths.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(value_type = i64))]
    pub trial_credits: MicroCredits,
}

/// A price of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct PriceOffer {
    /// The recurring price at Stripe.
    pub price: String,
    /// Credits that each payment of it buys, in millionths; they expire a day after the time it pays for.
    #[cfg_attr(feature = "openapi", schema(value_type = i64))]
    pub credits: MicroCredits,
    /// Whether it can still be bought. Those who have it keep it.
    #[serde(default = "yes")]
    pub sold: bool,
}

/// Credits that are bought once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Pack {
    /// The one-off price at Stripe.
    pub price: String,
    /// How many, in millionths.
    #[cfg_attr(feature = "openapi", schema(value_type = i64))]
    pub credits: MicroCredits,
    /// Days until they expire; never if not given.
    #[serde(default)]
    pub expires_days: Option<u32>,
}

/// The catalog does not make sense.
#[derive(Debug, thiserror::Error)]
#[error("BILLING_CATALOG {0}")]
pub struct Unreadable(String);

fn yes() -> bool {
    true
}

impl Catalog {
    /// The catalog in `json`.
    ///
    /// # Errors
    /// Says what is wrong with it: it is no such object, two offers have the same price, or one gives no credits.
    pub fn from_json(json: &str) -> Result<Self, Unreadable> {
        let catalog: Self =
            serde_json::from_str(json).map_err(|error| Unreadable(format!("is no catalog: {error}")))?;
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

    /// As `BILLING_CATALOG` says; nothing is sold if it says nothing.
    ///
    /// # Errors
    /// See [`from_json`](Self::from_json).
    pub fn from_env() -> Result<Self, Unreadable> {
        match std::env::var("BILLING_CATALOG").ok().filter(|json| !json.is_empty()) {
            Some(json) => Self::from_json(&json),
            None => Ok(Self::default()),
        }
    }

    /// Whether nothing is sold.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.plans.is_empty() && self.packs.is_empty()
    }

    /// The plan that a price at Stripe belongs to.
    #[must_use]
    pub fn plan_of(&self, price: &str) -> Option<(&str, &PlanOffer)> {
        let sells = |plan: &PlanOffer| plan.prices.values().any(|offer| offer.price == price);
        self.plans.iter().find(|(_, plan)| sells(plan)).map(|(name, plan)| (name.as_str(), plan))
    }

    /// The credits that a payment of a recurring price buys.
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
    fn a_catalog_is_read_and_mistakes_are_told() {
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
            ("[1]", "no catalog"),
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
