//! Decides from the log how to handle a tool call. Pure, like [`next`](crate::next).

use sequent_event::{
    AnswerStatus, ApprovedTool, AskedInterrupt, JobStatus, Plan, Question, QuestionedCall, Reason, RunJob,
    State, ToolCall,
};
use sequent_tool::{Tool, ToolKind, ask_user, web_fetch};
use serde_json::{Value, json};

use crate::{call_limits, offer::Offering, planning, questions, web::WebRules};

/// Bytes of a job's input at most: it is part of a row, and DynamoDB allows 400 KB.
const MAX_JOB_INPUT: usize = 200_000;

/// The decision about a call.
#[derive(Debug, Clone)]
pub(crate) enum Verdict {
    /// Run the tool with these arguments.
    Run(Tool, Value),
    /// The call has this result.
    Answer(CallResult),
    /// Store the plan in the log.
    Plan(Plan),
    /// Ask a person first.
    Ask(Question),
    /// Create a job of this type with these arguments, or wait for it.
    Job(&'static str, Value),
    /// Wait for the answer to a question that was asked already.
    Wait,
}

/// The result of a call. Not every text comes from a tool: a person, a job or an error may have written it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CallResult {
    /// The text for the model.
    pub(crate) content: String,
    /// The stable code of the failure. `None` if the call has not failed.
    pub(crate) error: Option<&'static str>,
}

impl CallResult {
    /// The code of a tool of the client, or of a job, that has failed.
    const FAILED: &str = "tool_failed";

    pub(crate) const fn done(content: String) -> Self {
        Self { content, error: None }
    }

    pub(crate) const fn failed(code: &'static str, content: String) -> Self {
        Self { content, error: Some(code) }
    }

    /// The result of a call that is not allowed, or not as it was written.
    pub(crate) fn refused(content: String) -> Self {
        Self::failed(sequent_tool::Error::Refused(String::new()).code(), content)
    }
}

/// Decides how to handle `call`. The run may use the tools in `allowed`, and `web_fetch` within the rules of `web`.
pub(crate) fn verdict(
    offering: Offering<'_>,
    allowed: &[String],
    web: &WebRules,
    call: &ToolCall,
) -> Verdict {
    let Offering { state, tools, agents } = offering;
    let quote = questions::quote(call, state.pending_tools.len());
    if call.name == planning::NAME && allowed.contains(&call.name) {
        return match planning::new_plan(&call.arguments, state.plan.as_ref(), agents) {
            Ok(plan) => Verdict::Plan(plan),
            Err(problem) => Verdict::Answer(CallResult::refused(problem)),
        };
    }
    let asked = state
        .asked
        .iter()
        .rfind(|asked| asked.interrupt.question.tool_call_id.as_deref() == Some(call.id.as_str()));
    let answer = match asked {
        Some(AskedInterrupt { answer: None, .. }) => return Verdict::Wait,
        Some(AskedInterrupt { interrupt, answer: Some(answer) }) => Some((interrupt.question.reason, answer)),
        None => None,
    };
    // The call was dispatched and has no result: it may have run. Only calls that must not run twice are
    // recorded as dispatched, so this does not depend on how the tool is described now.
    if state.dispatched.contains(&call.id) {
        return Verdict::Ask(unknown_outcome(call, &quote));
    }
    if let Some(result) = answer.and_then(|(reason, answer)| result_of_answer(call, reason, answer)) {
        return Verdict::Answer(result);
    }
    // A job's result counts even if the tool is not available any more.
    if let Some(result) = job_result(state, call) {
        return Verdict::Answer(result);
    }
    let tool = tools.get(&call.name).filter(|_| allowed.contains(&call.name));
    let Some(tool) = tool else {
        return Verdict::Answer(CallResult::refused(format!("There is no tool `{}`.", call.name)));
    };
    if let Some(refusal) = call_limits::beyond_run(state, tool, call) {
        return Verdict::Answer(CallResult::refused(refusal));
    }
    // The settings of the tenant replace the handler of `web_fetch`, and not what the agent of the run demands.
    let needs_approval = tool.needs_approval;
    let is_fetch = call.name == web_fetch::NAME;
    let allowed_tool = if is_fetch { web.tool() } else { Some(tool) };
    let Some(tool) = allowed_tool else {
        let refusal = "The settings of this account do not let runs read pages of the web.";
        return Verdict::Answer(CallResult::refused(refusal.to_owned()));
    };
    let arguments = match tools.check(&call.name, &call.arguments) {
        Ok(arguments) => arguments,
        Err(error) => return Verdict::Answer(CallResult::failed(error.code(), error.message().to_owned())),
    };
    let start = |arguments| match tool.kind {
        ToolKind::Job(_) if call.arguments.len() > MAX_JOB_INPUT => {
            Verdict::Answer(CallResult::refused(format!(
                "The arguments of `{}` have {} bytes; at most {MAX_JOB_INPUT} are allowed.",
                call.name,
                call.arguments.len()
            )))
        }
        ToolKind::Job(job_type) => Verdict::Job(job_type, arguments),
        _ => Verdict::Run(tool.clone(), arguments),
    };
    let is_current = asked.is_none_or(|asked| !was_changed(tool, asked));
    if answer.is_some() && is_current {
        return start(arguments);
    }
    if tool.is_of_client() {
        return Verdict::Ask(client_call(state, call, arguments, quote));
    }
    if tool.asks() {
        return match question(call, arguments) {
            Ok(question) => Verdict::Ask(question),
            Err(problem) => Verdict::Answer(CallResult::refused(problem)),
        };
    }
    if is_fetch && !web.knows(state, call) {
        return unknown_address(state, call, &quote);
    }
    if needs_approval {
        let seen = ApprovedTool { name: call.name.clone(), definition: tool.digest() };
        if !state.is_always_approved(&seen) {
            return Verdict::Ask(lasting(approval(call, &quote), seen.definition));
        }
    }
    start(arguments)
}

/// Returns `true` if the tool is not the one any more whose call the question was about.
fn was_changed(tool: &Tool, asked: &AskedInterrupt) -> bool {
    let call = asked.interrupt.question.call.as_ref();
    call.and_then(|call| call.definition.as_ref()).is_some_and(|definition| *definition != tool.digest())
}

/// The model has composed the address, so a person decides. A child run cannot ask one.
fn unknown_address(state: &State, call: &ToolCall, quote: &str) -> Verdict {
    if state.parent.is_some() {
        let text = "The address is neither in the task that the person set nor in a result that was read, so it was not \
                    fetched. Use an address from there.";
        return Verdict::Answer(CallResult::refused(text.to_owned()));
    }
    let approval = approval(call, quote);
    let reason = "The address is neither in your messages nor in a page or result that was read before.";
    Verdict::Ask(Question { message: format!("{reason} {}", approval.message), ..approval })
}

/// The result of the job that carries out a call, if the job has ended.
fn job_result(state: &State, call: &ToolCall) -> Option<CallResult> {
    let of_call = |job: &&RunJob| job.job.tool_call_id.as_deref() == Some(call.id.as_str());
    let ended = state.jobs.iter().rfind(of_call)?.ended.as_ref()?;
    Some(match ended.status {
        JobStatus::Success => CallResult::done(ended.result.clone()),
        JobStatus::Error => {
            CallResult::failed(CallResult::FAILED, format!("`{}` failed: {}", call.name, ended.result))
        }
    })
}

/// The result of a call that a person's answer decides. Returns `None` if the call has to run.
fn result_of_answer(
    call: &ToolCall,
    reason: Reason,
    answer: &sequent_event::InterruptAnswer,
) -> Option<CallResult> {
    let payload = answer.payload.as_ref().unwrap_or(&Value::Null);
    let content = match (reason, answer.status) {
        (Reason::Question | Reason::ClientTool, AnswerStatus::Resolved) => match payload {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        },
        (Reason::ClientTool, AnswerStatus::Cancelled) => match payload.as_str() {
            Some(why) => format!("`{}` failed: {why}", call.name),
            None => format!("`{}` was not carried out.", call.name),
        },
        (Reason::ClientTool, AnswerStatus::Expired) => {
            format!("There was no result of `{}` in time. Continue without it.", call.name)
        }
        (Reason::Question, AnswerStatus::Cancelled) => "The person declined to answer.".to_owned(),
        (Reason::Question, AnswerStatus::Expired) => {
            "There was no answer in time. Continue without it.".to_owned()
        }
        (Reason::Approval, AnswerStatus::Resolved) if payload["approved"] == json!(true) => return None,
        (Reason::Approval, AnswerStatus::Expired) => {
            format!("`{}` was not approved in time, so it did not run.", call.name)
        }
        (Reason::Approval, _) => {
            let refusal = format!("The person did not approve `{}`, so it did not run.", call.name);
            match payload["reason"].as_str().filter(|why| !why.trim().is_empty()) {
                Some(why) => format!("{refusal} The reason: {why}"),
                None => refusal,
            }
        }
        (Reason::UnknownOutcome, AnswerStatus::Resolved) if payload["action"] == json!("retry") => {
            return None;
        }
        (Reason::UnknownOutcome, _) => match payload["result"].as_str() {
            Some(result) => result.to_owned(),
            None => {
                format!("It is unknown if `{}` had its effect. It was not run again.", call.name)
            }
        },
    };
    // A decision of a person is no failure.
    let error = match (reason, answer.status) {
        (Reason::ClientTool, AnswerStatus::Cancelled | AnswerStatus::Expired) => Some(CallResult::FAILED),
        (Reason::UnknownOutcome, _) if !payload["result"].is_string() => {
            Some(sequent_tool::Error::Unknown(String::new()).code())
        }
        _ => None,
    };
    Some(CallResult { content, error })
}

fn question(call: &ToolCall, arguments: Value) -> Result<Question, String> {
    let asked =
        ask_user::UserQuestion::from_arguments(arguments).map_err(|error| error.message().to_owned())?;
    Ok(Question {
        reason: Reason::Question,
        response_schema: asked.answer_schema(),
        message: asked.question,
        tool_call_id: Some(call.id.clone()),
        call: None,
        expires_at: None,
    })
}

/// A call for the client. The arguments are whole, or the beginning of their text if a question cannot contain them.
fn client_call(state: &State, call: &ToolCall, arguments: Value, quote: String) -> Question {
    let is_whole = quote == call.arguments;
    let arguments = if is_whole { arguments } else { Value::String(quote) };
    let declared = state.configuration.client_tool(&call.name);
    Question {
        reason: Reason::ClientTool,
        message: format!("The client has to carry out a call of its tool `{}`.", call.name),
        tool_call_id: Some(call.id.clone()),
        call: Some(Box::new(QuestionedCall {
            tool_name: call.name.clone(),
            arguments: Some(arguments),
            definition: None,
        })),
        response_schema: declared.and_then(|tool| tool.output_schema.clone()),
        expires_at: None,
    }
}

/// The name of the tool that a question is about.
fn named(call: &ToolCall) -> Option<Box<QuestionedCall>> {
    Some(Box::new(QuestionedCall { tool_name: call.name.clone(), arguments: None, definition: None }))
}

fn approval(call: &ToolCall, quote: &str) -> Question {
    Question {
        reason: Reason::Approval,
        message: format!("Do you approve a call of the tool `{}` with these arguments? {quote}", call.name),
        tool_call_id: Some(call.id.clone()),
        call: named(call),
        response_schema: Some(json!({
            "type": "object",
            "properties": {
                "approved": {"type": "boolean"},
                "reason": {"type": "string", "description": "For the model, if the call is not approved."}
            },
            "required": ["approved"]
        })),
        expires_at: None,
    }
}

/// Offers that the approval holds for all calls of the tool in the conversation. That of an address holds for the address only.
fn lasting(mut approval: Question, definition: String) -> Question {
    if let Some(call) = &mut approval.call {
        call.definition = Some(definition);
    }
    if let Some(schema) = &mut approval.response_schema {
        let description = "The approval holds for all calls of the tool in this conversation.";
        schema["properties"]["always"] = json!({"type": "boolean", "description": description});
    }
    approval
}

fn unknown_outcome(call: &ToolCall, quote: &str) -> Question {
    Question {
        reason: Reason::UnknownOutcome,
        message: format!(
            "The tool `{}` was running when its process was lost, so it may have had its effect. Run it again, or \
             continue without it? Its arguments: {quote}",
            call.name
        ),
        tool_call_id: Some(call.id.clone()),
        call: named(call),
        response_schema: Some(json!({
            "type": "object",
            "properties": {
                "action": {"type": "string", "enum": ["retry", "skip"]},
                "result": {"type": "string", "description": "With `skip`: the result of the call, if you know it."}
            },
            "required": ["action"]
        })),
        expires_at: None,
    }
}
