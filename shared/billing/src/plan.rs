//! The limits of a plan. [`Ledger::reserve`](crate::Ledger::reserve) checks them, before a run starts.

use std::collections::BTreeMap;

use sequent_core::MicroCredits;
use serde::{Deserialize, Serialize};

/// The limits of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Plan {
    /// Models that runs may call. A trailing `*` matches any ending. All models if missing.
    pub models: Option<Vec<String>>,
    /// Tools that runs may call. All tools if missing.
    pub tools: Option<Vec<String>>,
    /// Most runs at the same time.
    pub concurrent_runs: u32,
    /// Largest price of a run, in millionths of a credit.
    #[cfg_attr(feature = "openapi", schema(value_type = i64))]
    pub per_run: MicroCredits,
    /// Days that a project is kept after its last message. If missing, it is kept until it is deleted. Checked once a day
    /// from the tenant's next run on.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<u32>, minimum = 1))]
    pub retention_days: Option<std::num::NonZeroU32>,
    /// Largest price of all runs of a day, in millionths of a credit. Unlimited if missing.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<i64>))]
    pub per_day: Option<MicroCredits>,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            models: None,
            tools: None,
            concurrent_runs: 3,
            per_run: MicroCredits::whole(1),
            retention_days: None,
            per_day: None,
        }
    }
}

/// The plans of a deployment, by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plans(BTreeMap<String, Plan>);

impl Plans {
    /// The plan of tenants without a subscription.
    pub const FREE: &'static str = "free";

    /// Reads plans such as `{"pro": {"per_run": 5000000, "concurrent_runs": 20}}`. A plan `free` replaces the default one.
    ///
    /// # Errors
    /// Returns an error if the text is not an object of plans.
    pub fn from_json(json: &str) -> Result<Self, serde_json::Error> {
        let mut plans: BTreeMap<String, Plan> = serde_json::from_str(json)?;
        plans.entry(Self::FREE.to_owned()).or_default();
        Ok(Self(plans))
    }

    /// Returns the models that plans name.
    pub(crate) fn models(&self) -> impl Iterator<Item = &String> {
        self.0.values().flat_map(|plan| plan.models.iter().flatten())
    }

    /// Returns the plan `name`, or the free plan if there is none of that name any more.
    #[must_use]
    pub fn get(&self, name: &str) -> &Plan {
        self.0.get(name).unwrap_or_else(|| &self.0[Self::FREE])
    }
}

impl Default for Plans {
    fn default() -> Self {
        Self(BTreeMap::from([(Self::FREE.to_owned(), Plan::default())]))
    }
}

impl Plan {
    /// Returns `true` if runs may call this model.
    #[must_use]
    pub fn has_model(&self, model: &str) -> bool {
        let fits = |pattern: &String| sequent_model::matches(pattern, model);
        self.models.as_ref().is_none_or(|models| models.iter().any(fits))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plans_are_read_and_the_free_one_is_always_there() {
        let plans =
            Plans::from_json(r#"{"pro": {"models": ["gpt-5*", "demo"], "per_day": 5000000}}"#).unwrap();
        assert_eq!(plans.get("gone"), &Plan::default());
        let pro = plans.get("pro");
        assert!(pro.has_model("gpt-5-mini") && pro.has_model("demo") && !pro.has_model("demo-2"));
        assert!(Plan::default().has_model("anything"));
        assert!(
            Plans::from_json(r#"{"pro": {"concurrent_run": 1}}"#).is_err(),
            "a misspelt limit is refused"
        );
    }
}
