//! How a run is asked to work, what it plans, and what it rests on.

use sequent_core::MicroCredits;
use serde::{Deserialize, Serialize};

/// How a run is asked to work.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Configuration {
    /// How model calls and tools are arranged.
    pub orchestration: Orchestration,
    /// The document that the run is to deliver, such as `report`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deliverable_type: Option<String>,
    /// The tools the model may call; all that the deployment and the caller's scopes allow without.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tools: Option<Vec<String>>,
    /// What it may use up.
    #[serde(skip_serializing_if = "Budget::is_unlimited")]
    pub budget: Budget,
    /// The credits that were held for it, where runs are paid for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hold: Option<Box<Hold>>,
    /// What its caller may do; all that a person may without. Tools that need a scope are not there without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scopes: Option<Vec<String>>,
}

/// Credits that are held for a run from its start to its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Hold {
    /// How many: the most that the run can cost whoever pays for it.
    pub amount: MicroCredits,
    /// The day that it counts for, as `dYYYYMMDD` in UTC.
    pub day: String,
    /// What people pay for what we pay, in percent.
    pub markup: u32,
    /// Whether what is spent of it is reported to whoever bills by use.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub metered: bool,
}

impl Configuration {
    /// Whether the run's caller has the scope.
    #[must_use]
    pub fn has_scope(&self, scope: &str) -> bool {
        self.scopes.as_ref().is_none_or(|scopes| scopes.iter().any(|has| has == scope))
    }
}

/// How model calls and tools are arranged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Orchestration {
    /// Model and tools alternate until the model answers.
    #[default]
    Direct,
    /// The model plans first; the steps are carried out one by one, those that are independent by child runs.
    Plan,
}

/// What a run may use up, its children included. What is absent is limited by the deployment alone.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct Budget {
    /// Model calls.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_steps: Option<u32>,
    /// Tokens read and written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<u64>,
    /// Millionths of a US dollar.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_cost_micro_usd: Option<u64>,
    /// Seconds from the start of the first execution, time spent waiting for people left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_seconds: Option<u64>,
}

impl Budget {
    /// Whether nothing is limited.
    #[must_use]
    pub fn is_unlimited(&self) -> bool {
        *self == Self::default()
    }
}

/// What the run intends to do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// The steps in order.
    pub steps: Vec<Step>,
}

/// One step of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Step {
    /// Names the step within its plan; `STEP_STARTED.stepName` and `SUBAGENT_STARTED.name` refer to it.
    pub id: String,
    /// A few words for people.
    pub title: String,
    /// What is to be done, for whoever does it.
    pub instructions: String,
    /// It needs no other step's result, so a child run may do it beside others.
    #[serde(default)]
    pub independent: bool,
    /// How far it is.
    #[serde(default)]
    pub status: StepStatus,
}

/// How far a step is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepStatus {
    /// To be done, or being done.
    #[default]
    Pending,
    /// Done.
    Done,
    /// Could not be done; the run goes on without it.
    Failed,
}

/// A source that the answer rests on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Citation {
    /// Where it is.
    pub url: String,
    /// What it is called.
    pub title: String,
    /// The words that matter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quote: Option<String>,
    /// The tool call that cited it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_call_id: Option<String>,
}
