//! Configuration, plan and sources of a run.

use sequent_core::{MicroCredits, Scope, Scopes};
use serde::{Deserialize, Serialize};
use serde_json::{Number, Value};

use crate::{
    ApprovedTool, ClientTool, EvaluationSetup, Lineage, Replay, RunAgent, RunHook, RunNote, RunSchedule,
    StepAgent,
};

/// The configuration of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Configuration {
    #[expect(missing_docs, reason = "plain data")]
    pub orchestration: Orchestration,
    /// The type of document that the run has to deliver, such as `report`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deliverable_type: Option<String>,
    /// The tools that the model may call. Without a list, it may call all that the deployment and the
    /// caller's scopes allow.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tools: Option<Vec<String>>,
    /// The tools that the client carries out. They are offered beside the others, and not to child runs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub client_tools: Vec<ClientTool>,
    /// The tools whose calls people had approved for the rest of the conversation when the run was created.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub approved_tools: Vec<ApprovedTool>,
    /// The JSON Schema of the answer, if it has to be JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_schema: Option<Box<Value>>,
    /// The parameters of model calls that the caller chose.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parameters: Option<Box<ChosenParameters>>,
    /// Limits of the usage.
    #[serde(skip_serializing_if = "Budget::is_unlimited")]
    pub budget: Budget,
    /// The credits that are held for the run, if the deployment charges for runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hold: Option<Box<Hold>>,
    /// The choices of the caller, if the plan or the account allowed less.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requested: Option<Box<RequestedLimits>>,
    /// The scopes of the caller. Without a list, the caller may do everything that a person may. The model is
    /// not offered a tool that needs a scope which the caller lacks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scopes: Option<ScopeNames>,
    /// The place of the run in its conversation. A child run has none.
    #[serde(skip_serializing_if = "Lineage::is_first")]
    pub lineage: Lineage,
    /// The origin of the run, if it repeats another one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replay: Option<Box<Replay>>,
    /// The agent that the run was started with, if any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<Box<RunAgent>>,
    /// The notes of the agent about the person. Requests contain them after the instructions.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<RunNote>,
    /// The evaluation that the run carries out, if it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evaluation: Option<Box<EvaluationSetup>>,
    /// The models that the plan of the account allows, if it does not allow all: names, or beginnings of names with a `*` at
    /// the end. An agent of a step may have another model than the run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub models: Option<Vec<String>>,
    /// The schedule that started the run, if any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schedule: Option<RunSchedule>,
    /// The hook that started the run, if any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hook: Option<RunHook>,
}

/// Limits of a run as its caller chose them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
#[expect(missing_docs, reason = "as in the configuration and its budget")]
pub struct RequestedLimits {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tools: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_cost_micro_usd: Option<u64>,
}

/// Parameters of model calls. A parameter that is absent is the model's default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
#[expect(missing_docs, reason = "named and explained as in the request")]
pub struct ChosenParameters {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature: Option<Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_p: Option<Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_output_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stop: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning_effort: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<u32>,
}

/// Credits that are held for a run from its start to its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Hold {
    /// The amount held: the most that the run can cost the tenant.
    pub amount: MicroCredits,
    /// The day that the hold counts for, as `dYYYYMMDD` in UTC.
    pub day: String,
    /// The price for the tenant as a percentage of the cost to the operator.
    pub markup: u32,
    /// The credits spent are reported for billing by usage.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub metered: bool,
    /// The deployment charges nothing: the amount is a part of the tenant's daily limit, and not of its credits.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub of_quota: bool,
    /// The threshold of low credits, if the hold has left fewer: the balance is compared with it when the run has been paid for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub low_below: Option<MicroCredits>,
}

impl Configuration {
    /// Returns the configuration with the limits as the caller chose them.
    #[must_use]
    pub fn as_requested(mut self) -> Self {
        if let Some(requested) = self.requested.take() {
            self.tools = requested.tools;
            self.budget.max_cost_micro_usd = requested.max_cost_micro_usd;
        }
        self
    }

    /// Returns the tool of the client with this name.
    #[must_use]
    pub fn client_tool(&self, name: &str) -> Option<&ClientTool> {
        self.client_tools.iter().find(|tool| tool.name == name)
    }

    /// Returns `true` if the caller of the run has the scope.
    #[must_use]
    pub fn has_scope(&self, scope: Scope) -> bool {
        self.scopes.as_ref().is_none_or(|names| names.known().contains(scope))
    }
}

/// The scopes of a run's caller, by name. Names that this build does not know are kept, so the event of a
/// newer writer is replayed unchanged.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ScopeNames(Vec<String>);

impl ScopeNames {
    /// The scopes that this build knows.
    #[must_use]
    pub fn known(&self) -> Scopes {
        self.0.iter().filter_map(|name| name.parse().ok()).collect()
    }
}

impl From<Scopes> for ScopeNames {
    fn from(scopes: Scopes) -> Self {
        Self(scopes.iter().map(|scope| scope.as_str().to_owned()).collect())
    }
}

/// The order of model calls and tools.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Orchestration {
    /// Model and tools alternate until the model answers.
    #[default]
    Direct,
    /// The model plans first. The steps are executed one after the other; independent steps may be executed
    /// by child runs at the same time.
    Plan,
}

/// Limits of a run's usage, its children included. If a limit is absent, only that of the deployment applies.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct Budget {
    /// Limit of the model calls.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_steps: Option<u32>,
    /// Limit of the input and output tokens together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<u64>,
    /// Limit of the cost in millionths of a US dollar.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_cost_micro_usd: Option<u64>,
    /// Limit of the time since the start of the first execution, in seconds, not counting the time spent
    /// waiting for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_seconds: Option<u64>,
}

impl Budget {
    /// Returns `true` if nothing is limited.
    #[must_use]
    pub fn is_unlimited(&self) -> bool {
        *self == Self::default()
    }
}

/// The plan of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "plain data")]
pub struct Plan {
    pub steps: Vec<Step>,
}

/// One step of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "plain data")]
pub struct Step {
    /// Unique within the plan. `STEP_STARTED.stepName` and `SUBAGENT_STARTED.name` refer to it.
    pub id: String,
    /// A short title for people.
    pub title: String,
    /// Instructions for the model that executes the step.
    pub instructions: String,
    /// The step needs no result of another one, so a child run may execute it in parallel.
    #[serde(default)]
    pub independent: bool,
    /// The agent whose run carries out the step. A step of the run itself, and of its own agent, has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<Box<StepAgent>>,
    #[serde(default)]
    pub status: StepStatus,
}

/// The progress of a step.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "plain data")]
pub enum StepStatus {
    /// The step has not started, or is being executed.
    #[default]
    Pending,
    Done,
    /// The step failed. The run continues without it.
    Failed,
}

/// A source that the answer is based on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "plain data")]
pub struct Citation {
    pub url: String,
    pub title: String,
    /// The relevant passage of the source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quote: Option<String>,
    /// The tool call that cited the source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_call_id: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scopes_of_a_newer_writer_are_kept() {
        let stored = r#"{"orchestration":"direct","scopes":["chat","holograms:show"]}"#;
        let configuration: Configuration = serde_json::from_str(stored).unwrap();
        assert!(configuration.has_scope(Scope::Chat) && !configuration.has_scope(Scope::RunsRead));
        assert_eq!(serde_json::to_string(&configuration).unwrap(), stored);
    }
}
