//! Questions to people, and their answers.

use sequent_core::{InterruptId, Timestamp, UserId};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// An open question, as AG-UI lists it at the end of an execution.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interrupt {
    /// Names the question.
    pub id: InterruptId,
    /// The question.
    #[serde(flatten)]
    pub question: Question,
}

/// A question that a run puts to a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Question {
    /// What kind of question it is.
    pub reason: Reason,
    /// The question itself.
    pub message: String,
    /// The tool call that waits for the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_call_id: Option<String>,
    /// JSON Schema of the answer's payload.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_schema: Option<Value>,
    /// When the run goes on without an answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

/// What kind of question an interrupt is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The model asks for something only a person knows.
    Question,
    /// A tool may run only if a person agrees.
    Approval,
    /// A tool that must not run twice was running when its process died.
    UnknownOutcome,
}

/// The answer to an interrupt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InterruptAnswer {
    /// Which question.
    pub interrupt_id: InterruptId,
    /// How it was answered.
    pub status: AnswerStatus,
    /// The answer, as the question's schema wants it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<Value>,
    /// Who answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<UserId>,
    /// Questions still open behind this answer. At 0 the run goes on.
    pub remaining: u32,
}

/// How a question was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AnswerStatus {
    /// With a payload.
    Resolved,
    /// The person declines.
    Cancelled,
    /// Nobody answered in time.
    Expired,
}
