//! The questions that a run waits for, as its row shows them.

use sequent_core::{InterruptId, Timestamp};
use sequent_event::{Interrupt, Reason};
use serde::{Deserialize, Serialize};

/// A question that waits for a person's answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[expect(missing_docs, reason = "plain data")]
pub struct RunQuestion {
    pub id: InterruptId,
    /// `question`: the model asks. `approval`: a tool may run only if a person agrees. `unknown_outcome`: a tool that
    /// must not run twice was running when its process died. `client_tool`: the client carries out the call.
    #[cfg_attr(feature = "openapi", schema(value_type = String, example = "question"))]
    pub reason: Reason,
    /// The text of the question.
    pub message: String,
    /// The tool call that waits for the answer.
    #[serde(default)]
    pub tool_call_id: Option<String>,
    /// The tool that is called, if a tool call waits for the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_name: Option<String>,
    /// The arguments of a call that the client carries out. They are a text, which ends with a note, if they are too long for
    /// a question: the log of the run has all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Value>))]
    pub arguments: Option<serde_json::Value>,
    /// JSON Schema of the answer's payload.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Object>))]
    pub response_schema: Option<serde_json::Value>,
    /// The time at which the run continues without an answer.
    #[serde(default)]
    pub expires_at: Option<Timestamp>,
}

impl From<&Interrupt> for RunQuestion {
    fn from(interrupt: &Interrupt) -> Self {
        let question = interrupt.question.clone();
        Self {
            id: interrupt.id,
            reason: question.reason,
            message: question.message,
            tool_call_id: question.tool_call_id,
            tool_name: question.call.as_ref().map(|call| call.tool_name.clone()),
            arguments: question.call.and_then(|call| call.arguments),
            response_schema: question.response_schema,
            expires_at: question.expires_at,
        }
    }
}
