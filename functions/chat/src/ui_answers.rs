//! The answers in a message of the AI SDK: results of calls that the client has carried out, and decisions about calls.
//!
//! `addToolOutput` and `addToolApprovalResponse` write them into the calls of the message, which the SDK sends when all calls of
//! its last step have one (`ToolUIPart` of the npm package `ai`, versions 6.0.322 and 7.0.173).

use sequent_event::{AnswerStatus, AskedInterrupt, InterruptAnswer, Reason, State};
use serde_json::{Value, json};

use crate::ui_content::{UiMessage, UiPart};

/// An answer in a message.
#[derive(Debug)]
pub(crate) struct UiAnswer {
    /// The position of the call among the parts of the message.
    pub(crate) part: usize,
    pub(crate) status: AnswerStatus,
    pub(crate) payload: Option<Value>,
    target: AnswerTarget,
}

/// The question that an answer belongs to.
#[derive(Debug)]
enum AnswerTarget {
    /// That about the call with this id, whose result the answer is.
    Call(String),
    /// The question with this id.
    Approval(String),
}

impl UiMessage {
    /// Returns the answers in the last step of the message. Those of the steps before it have been read. With `always`, approvals
    /// hold for the rest of the conversation.
    pub(crate) fn answers(&self, always: bool) -> Vec<UiAnswer> {
        let start = self.parts.iter().rposition(|part| part.kind == "step-start");
        let in_last_step = self.parts.iter().enumerate().skip(start.map_or(0, |start| start + 1));
        in_last_step.filter_map(|(at, part)| part.answer(at, always)).collect()
    }
}

impl UiPart {
    fn answer(&self, at: usize, always: bool) -> Option<UiAnswer> {
        if self.kind != "dynamic-tool" && !self.kind.starts_with("tool-") {
            return None;
        }
        let text = |name: &str| self.other.get(name).and_then(Value::as_str);
        let of_call = |status, payload| {
            let target = AnswerTarget::Call(text("toolCallId")?.to_owned());
            Some(UiAnswer { part: at, status, payload, target })
        };
        match text("state")? {
            "output-available" => {
                let output = self.other.get("output").cloned().unwrap_or_default();
                of_call(AnswerStatus::Resolved, Some(output))
            }
            "output-error" => of_call(AnswerStatus::Cancelled, text("errorText").map(Value::from)),
            "approval-responded" => decision(at, self.other.get("approval")?, always),
            _ => None,
        }
    }
}

fn decision(at: usize, approval: &Value, always: bool) -> Option<UiAnswer> {
    let approved = approval["approved"].as_bool()?;
    let mut payload = json!({ "approved": approved });
    if approved && always {
        payload["always"] = json!(true);
    }
    if let Some(reason) = approval["reason"].as_str() {
        payload["reason"] = json!(reason);
    }
    let target = AnswerTarget::Approval(approval["id"].as_str()?.to_owned());
    Some(UiAnswer { part: at, status: AnswerStatus::Resolved, payload: Some(payload), target })
}

impl UiAnswer {
    /// Finds the question of the run that is answered.
    pub(crate) fn question<'s>(&self, state: &'s State) -> Option<&'s AskedInterrupt> {
        state.asked.iter().rfind(|asked| {
            let question = &asked.interrupt.question;
            match &self.target {
                AnswerTarget::Call(id) => {
                    let is_result = matches!(question.reason, Reason::Question | Reason::ClientTool);
                    is_result && question.tool_call_id.as_ref() == Some(id)
                }
                AnswerTarget::Approval(id) => {
                    question.reason == Reason::Approval && asked.interrupt.id.to_string() == *id
                }
            }
        })
    }

    /// Returns `true` if the stored answer says the same. The reason for a decision does not count.
    pub(crate) fn is_same(&self, stored: &InterruptAnswer) -> bool {
        let payload = self.payload.as_ref().unwrap_or(&Value::Null);
        let stored_payload = stored.payload.as_ref().unwrap_or(&Value::Null);
        match self.target {
            AnswerTarget::Call(_) => self.status == stored.status && is_same(payload, stored_payload),
            AnswerTarget::Approval(_) => {
                let was_approved =
                    stored.status == AnswerStatus::Resolved && stored_payload["approved"] == json!(true);
                payload["approved"] == json!(was_approved)
            }
        }
    }
}

/// Returns `true` if both are equal for a client in JavaScript, which has only floating-point numbers.
fn is_same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => one.as_f64() == other.as_f64(),
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| is_same(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            let has_same =
                |(name, value): (&String, &Value)| other.get(name).is_some_and(|other| is_same(value, other));
            one.len() == other.len() && one.iter().all(has_same)
        }
        _ => one == other,
    }
}
