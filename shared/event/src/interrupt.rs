//! Questions that runs ask people, and their answers.

use sequent_core::{InterruptId, Timestamp, UserId};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// An open question, in the form in which AG-UI lists it at the end of an execution.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "plain data")]
pub struct Interrupt {
    pub id: InterruptId,
    #[serde(flatten)]
    pub question: Question,
}

/// A question that a run asks a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "plain data")]
pub struct Question {
    pub reason: Reason,
    /// The text of the question.
    pub message: String,
    /// The tool call that waits for the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_call_id: Option<String>,
    /// The tool that is called, if a tool call waits for the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call: Option<Box<QuestionedCall>>,
    /// The JSON Schema of the answer's payload.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_schema: Option<Value>,
    /// The time at which the run continues without an answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

/// The tool call that a question is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct QuestionedCall {
    /// The name of the tool.
    pub tool_name: String,
    /// The arguments of a call that the client carries out. They are a text, which ends with a note, if they are too long for
    /// a question: the log has all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arguments: Option<Value>,
    /// The digest of the definition of the tool whose calls a person can approve for the rest of the conversation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub definition: Option<String>,
}

/// A tool whose calls a person has approved for the rest of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "plain data")]
pub struct ApprovedTool {
    pub name: String,
    /// The digest of its definition. Another tool under the name is not approved.
    pub definition: String,
}

/// The reason of a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The model needs information that only a person has.
    Question,
    /// A tool may run only if a person approves it.
    Approval,
    /// The process died while a tool ran that must not run twice.
    UnknownOutcome,
    /// The client carries out the call. The answer is its result.
    ClientTool,
}

/// The answer to an interrupt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "plain data")]
pub struct InterruptAnswer {
    pub interrupt_id: InterruptId,
    pub status: AnswerStatus,
    /// The answer in the form of the question's schema.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<Value>,
    /// The user who answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<UserId>,
    /// The number of questions that are still open after this answer. At 0 the run continues.
    pub remaining: u32,
}

/// The kind of answer to a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AnswerStatus {
    /// The person answered. The answer has a payload.
    Resolved,
    /// The person declined to answer.
    Cancelled,
    /// The question expired without an answer.
    Expired,
}
