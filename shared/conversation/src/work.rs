//! How a run is asked to work, as requests and rows say it.

use sequent_event::{Budget, Configuration, Orchestration};
use serde::{Deserialize, Serialize};

/// How a run is asked to work. All of it is optional.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct Work {
    /// `direct`: model and tools alternate until the model answers. `plan`: the model plans first, and the steps are
    /// carried out one by one, those that are independent by child runs.
    #[cfg_attr(feature = "openapi", schema(value_type = String, example = "direct"))]
    pub orchestration: Orchestration,
    /// The document that the run is to deliver: `report`, `slides` or `website`.
    pub deliverable_type: Option<String>,
    /// The tools the model may call; all that the deployment offers without.
    pub tools: Option<Vec<String>>,
    /// What the run may use up, its children included.
    pub budget: Limits,
    /// What its caller may do, as scopes; all that a person may without. Tools may need one.
    pub scopes: Option<Vec<String>>,
}

/// What a run may use up. What is absent is limited by the deployment alone.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Model calls.
    pub max_steps: Option<u32>,
    /// Tokens read and written.
    pub max_tokens: Option<u64>,
    /// Millionths of a US dollar.
    pub max_cost_micro_usd: Option<u64>,
    /// Seconds from the start of the first execution, without those spent waiting for people.
    pub max_seconds: Option<u64>,
}

impl From<Work> for Configuration {
    fn from(work: Work) -> Self {
        let Limits { max_steps, max_tokens, max_cost_micro_usd, max_seconds } = work.budget;
        Self {
            orchestration: work.orchestration,
            deliverable_type: work.deliverable_type,
            tools: work.tools,
            budget: Budget { max_steps, max_tokens, max_cost_micro_usd, max_seconds },
            scopes: work.scopes,
            hold: None,
        }
    }
}

impl From<&Configuration> for Work {
    fn from(configuration: &Configuration) -> Self {
        let Budget { max_steps, max_tokens, max_cost_micro_usd, max_seconds } = configuration.budget;
        Self {
            orchestration: configuration.orchestration,
            deliverable_type: configuration.deliverable_type.clone(),
            tools: configuration.tools.clone(),
            budget: Limits { max_steps, max_tokens, max_cost_micro_usd, max_seconds },
            scopes: configuration.scopes.clone(),
        }
    }
}
