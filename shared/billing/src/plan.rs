//! Plans: what a tenant may do. Checked in one place, [`Ledger::quote`](crate::Ledger::quote), before a run begins.

use std::collections::BTreeMap;

use sequent_core::MicroCredits;
use serde::{Deserialize, Serialize};

/// What a plan allows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Plan {
    /// The models that runs may ask, `*` at the end standing for anything; all without.
    pub models: Option<Vec<String>>,
    /// The tools that runs may call; all without.
    pub tools: Option<Vec<String>>,
    /// Runs that may be under way at once.
    pub concurrent_runs: u32,
    /// The most a run may cost, in millionths of a credit.
    #[cfg_attr(feature = "openapi", schema(value_type = i64))]
    pub per_run: MicroCredits,
    /// Days that a conversation is kept in which nothing is said any more; without, it is kept until somebody deletes it.
    /// Looked at on the days on which a run begins.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<u32>, minimum = 1))]
    pub retention_days: Option<std::num::NonZeroU32>,
    /// The most a day's runs may cost; unlimited without.
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
    /// The plan of those who pay for none.
    pub const FREE: &'static str = "free";

    /// The plans in `json`: `{"pro": {"per_run": 5000000, "concurrent_runs": 20}}`. A plan `free`
    /// among them replaces the usual one.
    ///
    /// # Errors
    /// When it is no such object.
    pub fn from_json(json: &str) -> Result<Self, serde_json::Error> {
        let mut plans: BTreeMap<String, Plan> = serde_json::from_str(json)?;
        plans.entry(Self::FREE.to_owned()).or_default();
        Ok(Self(plans))
    }

    /// The plan called `name`; the free one if there is none of that name any more.
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
    /// Whether runs may ask this model.
    #[must_use]
    pub fn has_model(&self, model: &str) -> bool {
        let fits = |pattern: &String| match pattern.strip_suffix('*') {
            Some(beginning) => model.starts_with(beginning),
            None => pattern == model,
        };
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
        assert!(Plans::from_json(r#"{"pro": {"concurrent_run": 1}}"#).is_err(), "a slip of the pen is told");
    }
}
