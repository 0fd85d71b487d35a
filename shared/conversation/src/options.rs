//! The way in which a run works, as requests and rows contain it.

use sequent_core::Scopes;
use sequent_event::{Budget, Configuration, Orchestration, ScopeNames};
use serde::{Deserialize, Serialize};

/// The way in which a run works. Everything is optional.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct RunOptions {
    /// `direct`: model and tools alternate until the model answers. `plan`: the model plans first, and the steps are
    /// carried out one by one. Independent steps are carried out by child runs.
    #[cfg_attr(feature = "openapi", schema(value_type = String, example = "direct"))]
    pub orchestration: Orchestration,
    /// The document that the run delivers: `report`, `slides` or `website`.
    pub deliverable_type: Option<String>,
    /// The tools that the model may call. All tools of the deployment if null.
    pub tools: Option<Vec<String>>,
    /// The limits of the run, its children included.
    pub budget: RunLimits,
    /// The scopes of the run's caller, which tools may require. All scopes if null.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Vec<String>>))]
    pub scopes: Option<Scopes>,
}

/// The limits of a run. A limit that is absent is set by the deployment alone.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default, deny_unknown_fields)]
pub struct RunLimits {
    /// Model calls.
    pub max_steps: Option<u32>,
    /// Input and output tokens.
    pub max_tokens: Option<u64>,
    /// Millionths of a US dollar.
    pub max_cost_micro_usd: Option<u64>,
    /// Seconds since the start of the first execution, without the time spent waiting for people.
    pub max_seconds: Option<u64>,
}

impl From<RunOptions> for Configuration {
    fn from(options: RunOptions) -> Self {
        let RunLimits { max_steps, max_tokens, max_cost_micro_usd, max_seconds } = options.budget;
        Self {
            orchestration: options.orchestration,
            deliverable_type: options.deliverable_type,
            tools: options.tools,
            budget: Budget { max_steps, max_tokens, max_cost_micro_usd, max_seconds },
            scopes: options.scopes.map(ScopeNames::from),
            hold: None,
        }
    }
}

impl From<&Configuration> for RunOptions {
    fn from(configuration: &Configuration) -> Self {
        let Budget { max_steps, max_tokens, max_cost_micro_usd, max_seconds } = configuration.budget;
        Self {
            orchestration: configuration.orchestration,
            deliverable_type: configuration.deliverable_type.clone(),
            tools: configuration.tools.clone(),
            budget: RunLimits { max_steps, max_tokens, max_cost_micro_usd, max_seconds },
            scopes: configuration.scopes.as_ref().map(ScopeNames::known),
        }
    }
}
