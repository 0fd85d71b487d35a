//! Outcomes, reasons and usage of executions.

use sequent_core::MicroUsd;
use serde::{Deserialize, Serialize};

use crate::{Interrupt, RequestRecord};

/// The outcome of an execution that did not fail (AG-UI `RUN_FINISHED.outcome`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum RunOutcome {
    /// The answer is complete.
    Success,
    /// The run was cancelled. The answer so far is kept.
    Cancelled,
    /// The run waits for people.
    Interrupt {
        /// All questions that are still open.
        interrupts: Vec<Interrupt>,
    },
}

/// The author of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// The model, in an answer.
    Assistant,
    /// A person who uses the product.
    User,
    /// The model, in its reasoning (AG-UI gives reasoning messages this role).
    Reasoning,
}

/// The thing that a provider's data belongs to (AG-UI `REASONING_ENCRYPTED_VALUE.subtype`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EncryptedValueOf {
    /// A block of reasoning.
    Message,
    /// A call of a tool.
    ToolCall,
}

/// The reason of a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClaimReason {
    /// The process is the first owner of the run.
    Start,
    /// The former owner was lost or handed the run over.
    TakeOver,
    /// The former owner had released the run in order to wait for child runs or jobs.
    Continue,
    /// The run had waited for people and has nothing left to wait for.
    Resume,
}

/// The reason of a cancellation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CancelReason {
    /// A person requested it.
    Requested,
    /// A newer message of the same project interrupts the run. The answer so far is kept.
    Interrupted,
    /// A newer message of the same project replaces the run. Its answer is dropped from the conversation.
    RolledBack,
    /// The parent run was cancelled.
    Parent,
}

/// Tokens and cost of one model call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Usage {
    /// The name of the provider: `openai`, `anthropic`, `bedrock` or `demo`.
    pub provider: String,
    /// The provider's name of the model.
    pub model: String,
    /// Tokens of the input, cached ones included.
    pub input_tokens: u64,
    /// Tokens of the output, reasoning included.
    pub output_tokens: u64,
    /// The input tokens that the provider read from its cache. Zeros are left out, so that the end of a paid answer
    /// stays within one kilobyte, which is one write unit.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub cached_input_tokens: u64,
    /// The input tokens that the provider wrote to its cache, at a price of their own.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub cache_write_tokens: u64,
    /// The output tokens of reasoning.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub reasoning_tokens: u64,
    /// The cost to the operator; absent if the model is not in the price table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_micro_usd: Option<MicroUsd>,
    /// The provider gave no figures, so these are estimates of ours.
    #[serde(default, skip_serializing_if = "is_false")]
    pub estimated: bool,
    /// The time from the request to the end of the answer.
    pub latency_ms: u64,
    /// The provider's reason for the end, such as `stop` or `length`; or [`Usage::ABANDONED`],
    /// [`Usage::CANCELLED`] or [`Usage::FAILED`].
    pub finish_reason: String,
    /// The number of the run's user messages that the request contained.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub messages_told: Option<u32>,
    /// The record of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<Box<RequestRecord>>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_zero(tokens: &u64) -> bool {
    *tokens == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_false(flag: &bool) -> bool {
    !*flag
}

impl Usage {
    /// The finish reason of a response that was abandoned half way and is requested again elsewhere. It costs
    /// money but is not a response.
    pub const ABANDONED: &str = "abandoned";
    /// The finish reason of a response that was cut short because the run ended: it was cancelled or reached a limit.
    pub const CANCELLED: &str = "cancelled";
    /// The finish reason of a response that was cut short by an error of the model.
    pub const FAILED: &str = "error";

    /// Returns `true` if the call gave a response.
    #[must_use]
    pub fn is_of_response(&self) -> bool {
        self.finish_reason != Self::ABANDONED
    }

    /// Returns `true` if the response was cut short: by us, by an error, or by the model's server.
    #[must_use]
    pub fn is_of_cut_response(&self) -> bool {
        let by_server = ["length", "context", "content_filter", "refusal"];
        matches!(self.finish_reason.as_str(), Self::CANCELLED | Self::FAILED)
            || by_server.contains(&self.finish_reason.as_str())
    }
}

/// The usage of all model calls of a run, those of its children included.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "plain data")]
pub struct Totals {
    pub input_tokens: u64,
    pub output_tokens: u64,
    pub cost_micro_usd: MicroUsd,
    /// A model was not in the price table, so the cost is a lower bound.
    #[serde(default)]
    pub incomplete: bool,
}

impl Totals {
    /// Returns `true` if nothing was used.
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// Adds one model call.
    pub fn count(&mut self, usage: &Usage) {
        self.input_tokens += usage.input_tokens;
        self.output_tokens += usage.output_tokens;
        self.cost_micro_usd += usage.cost_micro_usd.unwrap_or_default();
        self.incomplete |= usage.cost_micro_usd.is_none();
    }

    /// Adds the usage of a child run, a job or another call.
    pub fn add(&mut self, child: &Self) {
        self.input_tokens += child.input_tokens;
        self.output_tokens += child.output_tokens;
        self.cost_micro_usd += child.cost_micro_usd;
        self.incomplete |= child.incomplete;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeros_are_left_out_and_read_as_zeros() {
        let plain = r#"{"provider":"openai","model":"m","inputTokens":5,"outputTokens":1,"latencyMs":1,"finishReason":"stop"}"#;
        let usage: Usage = serde_json::from_str(plain).unwrap();
        assert_eq!((usage.cached_input_tokens, usage.reasoning_tokens, usage.estimated), (0, 0, false));
        assert_eq!(serde_json::to_string(&usage).unwrap(), plain);
    }
}
