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
    /// must not run twice was running when its process died.
    #[cfg_attr(feature = "openapi", schema(value_type = String, example = "question"))]
    pub reason: Reason,
    /// The text of the question.
    pub message: String,
    /// The tool call that waits for the answer.
    #[serde(default)]
    pub tool_call_id: Option<String>,
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
            response_schema: question.response_schema,
            expires_at: question.expires_at,
        }
    }
}
