//! The tool calls of a message and their chunks.
//!
//! A call runs here, or waits for the client: for the result of a tool that the client carries out, for an answer, or for a
//! decision. The SDK sends the message again once all calls of its last step that do not run here (`providerExecuted`) have
//! results. So a call that waits is marked as one that does not run here, and a step goes on until all its calls have results.

use std::borrow::Cow;

use sequent_core::InterruptId;
use sequent_event::{AnswerStatus, ClientTool, InterruptAnswer, Question, Reason};
use serde_json::{Value, json};

use super::chunk::{Chunk, Json};

/// The calls without a result.
#[derive(Debug, Clone)]
pub(super) struct ToolCalls {
    /// The names of the tools that the client carries out.
    of_client: Vec<String>,
    /// Calls whose arguments are being written.
    open: Vec<PartialCall>,
    /// Complete calls.
    pending: Vec<PendingCall>,
    /// The stream has the chunks of approvals.
    approvals: bool,
}

#[derive(Debug, Clone)]
struct PartialCall {
    id: String,
    tool: String,
    arguments: String,
}

#[derive(Debug, Clone)]
struct PendingCall {
    id: String,
    tool: String,
    input: Json,
    progress: CallProgress,
}

/// The progress of a complete call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CallProgress {
    /// The call runs here.
    Running,
    /// The call waits for the answer to this question.
    Asked(InterruptId, Reason),
    /// A person has decided that the call runs. It does when the next execution starts.
    Approved,
    /// The client has the result, which the log does not have yet.
    Answered,
}

impl ToolCalls {
    pub(super) const fn new(approvals: bool) -> Self {
        Self { of_client: Vec::new(), open: Vec::new(), pending: Vec::new(), approvals }
    }

    /// Learns the tools that the client carries out.
    pub(super) fn declare(&mut self, tools: &[ClientTool]) {
        self.of_client = tools.iter().map(|tool| tool.name.clone()).collect();
    }

    /// Returns `true` if all calls have results.
    pub(super) fn have_results(&self) -> bool {
        self.open.is_empty() && self.pending.is_empty()
    }

    fn runs_here(&self, tool: &str) -> bool {
        !self.of_client.iter().any(|name| name == tool)
    }

    pub(super) fn start(&mut self, id: &str, tool: &str) -> Chunk {
        self.open.push(PartialCall { id: id.to_owned(), tool: tool.to_owned(), arguments: String::new() });
        Chunk::ToolInputStart {
            tool_call_id: id.to_owned(),
            tool_name: tool.to_owned(),
            provider_executed: self.runs_here(tool),
        }
    }

    pub(super) fn append_arguments(&mut self, id: &str, delta: &str) -> Option<Chunk> {
        let call = self.open.iter_mut().find(|call| call.id == id)?;
        call.arguments.push_str(delta);
        Some(Chunk::ToolInputDelta { tool_call_id: id.to_owned(), input_text_delta: delta.to_owned() })
    }

    /// The arguments are complete: the tool is called.
    pub(super) fn complete(&mut self, id: &str) -> Option<Chunk> {
        let index = self.open.iter().position(|call| call.id == id)?;
        let PartialCall { id, tool, arguments } = self.open.remove(index);
        let input = Json::of_arguments(&arguments);
        let runs_here = self.runs_here(&tool);
        let call = PendingCall { id, tool, input, progress: CallProgress::Running };
        let chunk = call.available(runs_here);
        self.pending.push(call);
        Some(chunk)
    }

    /// The call waits for the answer to a question.
    pub(super) fn ask(&mut self, interrupt: InterruptId, question: &Question) -> Vec<Chunk> {
        let of_client = question.reason == Reason::ClientTool;
        let requests_approval = question.reason == Reason::Approval && self.approvals;
        let Some(call) =
            self.pending.iter_mut().find(|call| Some(&call.id) == question.tool_call_id.as_ref())
        else {
            return Vec::new();
        };
        // The message shows the former answer as the result of the call.
        let shows_result = call.progress == CallProgress::Answered;
        call.progress = CallProgress::Asked(interrupt, question.reason);
        let request = Chunk::ToolApprovalRequest { approval_id: interrupt, tool_call_id: call.id.clone() };
        let waits = (!of_client || shows_result).then(|| call.available(false));
        waits.into_iter().chain(requests_approval.then_some(request)).collect()
    }

    /// A question was answered. Returns the result of the call if the answer is the result.
    pub(super) fn answer(&mut self, answer: &InterruptAnswer) -> Option<Chunk> {
        let approvals = self.approvals;
        let (call, reason) = self.pending.iter_mut().find_map(|call| match call.progress {
            CallProgress::Asked(interrupt, reason) if interrupt == answer.interrupt_id => {
                Some((call, reason))
            }
            _ => None,
        })?;
        let tool_call_id = call.id.clone();
        let payload = answer.payload.as_ref().unwrap_or(&Value::Null);
        let resolved = answer.status == AnswerStatus::Resolved;
        let (progress, chunk) = match reason {
            Reason::Question | Reason::ClientTool if resolved => {
                let output = Json::of_value(payload);
                let chunk = Chunk::ToolOutputAvailable { tool_call_id, output, provider_executed: false };
                (CallProgress::Answered, Some(chunk))
            }
            Reason::Question | Reason::ClientTool => {
                let error_text = failure(answer.status, payload);
                let chunk = Chunk::ToolOutputError { tool_call_id, error_text, provider_executed: false };
                (CallProgress::Answered, Some(chunk))
            }
            Reason::Approval if resolved && payload["approved"] == json!(true) => {
                (CallProgress::Approved, None)
            }
            Reason::Approval if approvals => {
                let reason = payload["reason"].as_str().map(str::to_owned);
                (CallProgress::Answered, Some(Chunk::ToolOutputDenied { tool_call_id, reason }))
            }
            Reason::UnknownOutcome if resolved && payload["action"] == json!("retry") => {
                (CallProgress::Approved, None)
            }
            Reason::Approval | Reason::UnknownOutcome => (CallProgress::Running, None),
        };
        call.progress = progress;
        chunk
    }

    /// The next execution starts: what people have approved runs here now.
    pub(super) fn go_on(&mut self) -> Vec<Chunk> {
        let approved = self.pending.iter_mut().filter(|call| call.progress == CallProgress::Approved);
        let run = |call: &mut PendingCall| {
            call.progress = CallProgress::Running;
            call.available(true)
        };
        approved.map(run).collect()
    }

    /// The log has the result of the call. Returns `None` if the client has it already.
    pub(super) fn result(&mut self, id: &str, content: &str, has_failed: bool) -> Option<Chunk> {
        let at = self.pending.iter().position(|call| call.id == id);
        let call = at.map(|at| self.pending.remove(at));
        if call.is_some_and(|call| call.progress == CallProgress::Answered) {
            return None;
        }
        let tool_call_id = id.to_owned();
        Some(if has_failed {
            let error_text = content.to_owned().into();
            Chunk::ToolOutputError { tool_call_id, error_text, provider_executed: true }
        } else {
            let output = Json::of(content);
            Chunk::ToolOutputAvailable { tool_call_id, output, provider_executed: true }
        })
    }

    /// Gives an error to all calls without a result.
    pub(super) fn fail(&mut self, error_text: &'static str) -> Vec<Chunk> {
        let open = std::mem::take(&mut self.open).into_iter().map(|call| Chunk::ToolInputError {
            tool_call_id: call.id,
            tool_name: call.tool,
            input: Json::of_arguments(&call.arguments),
            error_text,
            provider_executed: true,
        });
        let pending = std::mem::take(&mut self.pending).into_iter();
        let unanswered = pending.filter(|call| call.progress != CallProgress::Answered);
        let pending = unanswered.map(|call| Chunk::ToolOutputError {
            tool_call_id: call.id,
            error_text: error_text.into(),
            provider_executed: true,
        });
        open.chain(pending).collect()
    }

    /// Forgets the complete calls: the run has ended.
    pub(super) fn forget_pending(&mut self) {
        self.pending.clear();
    }
}

impl PendingCall {
    fn available(&self, runs_here: bool) -> Chunk {
        Chunk::ToolInputAvailable {
            tool_call_id: self.id.clone(),
            tool_name: self.tool.clone(),
            input: self.input.clone(),
            provider_executed: runs_here,
        }
    }
}

/// The text in place of a result.
fn failure(status: AnswerStatus, payload: &Value) -> Cow<'static, str> {
    match (status, payload.as_str()) {
        (AnswerStatus::Expired, _) => "There was no answer in time.".into(),
        (_, Some(why)) => why.to_owned().into(),
        (_, None) => "There is no answer.".into(),
    }
}
