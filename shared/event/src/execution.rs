//! How executions begin and end, and what they used.

use sequent_core::MicroUsd;
use serde::{Deserialize, Serialize};

use crate::Interrupt;

/// How an execution ended (AG-UI `RUN_FINISHED.outcome`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum RunOutcome {
    /// The answer is complete.
    Success,
    /// Somebody cancelled it; what was said so far is kept.
    Cancelled,
    /// It waits for people to answer.
    Interrupt {
        /// The questions that are open.
        interrupts: Vec<Interrupt>,
    },
}

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// The model.
    Assistant,
    /// A person.
    User,
    /// The model's thinking (AG-UI gives reasoning messages this role).
    Reasoning,
}

/// Why a process claimed a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClaimReason {
    /// It executes the run first.
    Start,
    /// The former owner's lease was over.
    TakeOver,
    /// The run waited for people, and nothing is left to wait for.
    Resume,
}

/// Why a run was cancelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CancelReason {
    /// A person asked for it.
    Requested,
    /// A newer message of the same conversation interrupts it; what it said is kept.
    Interrupted,
    /// A newer message of the same conversation replaces it; what it said is dropped from the conversation.
    RolledBack,
    /// The run that started it was cancelled.
    Parent,
}

/// Tokens and cost of one model call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Usage {
    /// Who answered: `openai`, `anthropic`, `demo`.
    pub provider: String,
    /// The provider's name of the model.
    pub model: String,
    /// Tokens read, cached ones included.
    pub input_tokens: u64,
    /// Tokens written, reasoning included.
    pub output_tokens: u64,
    /// Of the input, tokens served from the provider's cache.
    #[serde(default)]
    pub cached_input_tokens: u64,
    /// Of the output, tokens of reasoning.
    #[serde(default)]
    pub reasoning_tokens: u64,
    /// What it cost us; absent when the model is not in the price table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_micro_usd: Option<MicroUsd>,
    /// The provider gave no figures, these are counted by us.
    #[serde(default)]
    pub estimated: bool,
    /// From request to end of answer.
    pub latency_ms: u64,
    /// The provider's word for why it stopped, such as `stop` or `length`; or [`Usage::ABANDONED`].
    pub finish_reason: String,
    /// How many of the messages that people sent to the run the model had been told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub messages_told: Option<u32>,
}

impl Usage {
    /// The finish reason of a response that was given up half way, to begin anew elsewhere: paid for, but none.
    pub const ABANDONED: &str = "abandoned";

    /// Whether the call gave a response.
    #[must_use]
    pub fn is_of_response(&self) -> bool {
        self.finish_reason != Self::ABANDONED
    }
}

/// What all model calls of a run used, those of its children included.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Totals {
    /// Tokens read.
    pub input_tokens: u64,
    /// Tokens written.
    pub output_tokens: u64,
    /// What they cost.
    pub cost_micro_usd: MicroUsd,
    /// A model was not in the price table, so the cost is a lower bound.
    #[serde(default)]
    pub incomplete: bool,
}

impl Totals {
    /// Whether no model was called.
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// Adds one model call.
    pub(crate) fn count(&mut self, usage: &Usage) {
        self.input_tokens += usage.input_tokens;
        self.output_tokens += usage.output_tokens;
        self.cost_micro_usd += usage.cost_micro_usd.unwrap_or_default();
        self.incomplete |= usage.cost_micro_usd.is_none();
    }

    /// Adds what something else used: a child run, a job, another call.
    pub fn add(&mut self, child: &Self) {
        self.input_tokens += child.input_tokens;
        self.output_tokens += child.output_tokens;
        self.cost_micro_usd += child.cost_micro_usd;
        self.incomplete |= child.incomplete;
    }
}
