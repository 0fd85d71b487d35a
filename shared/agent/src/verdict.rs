//! What is to become of a tool call, as far as the log decides it. Pure, like [`next`](crate::next).

use sequent_event::{AnswerStatus, Asked, Call, Plan, Question, Reason, State};
use sequent_tool::{Registry, Tool, ask_user};
use serde_json::{Value, json};

use crate::planning;

/// What is to become of a call.
#[derive(Debug, Clone)]
pub(crate) enum Verdict {
    /// It runs, with these arguments.
    Run(Tool, Value),
    /// This is its result.
    Answer(String),
    /// It is the plan.
    Plan(Plan),
    /// A person has to say something first.
    Ask(Question),
    /// It waits for an answer already asked for.
    Wait,
}

/// What is to become of `call`. `allowed` are the tools this run may use.
pub(crate) fn verdict(state: &State, tools: &Registry, allowed: &[String], call: &Call) -> Verdict {
    if call.name == planning::NAME && allowed.contains(&call.name) {
        return match planning::written(&call.arguments, state.plan.as_ref()) {
            Ok(plan) => Verdict::Plan(plan),
            Err(why) => Verdict::Answer(why),
        };
    }
    let tool = tools.get(&call.name).filter(|_| allowed.contains(&call.name));
    let Some(tool) = tool else { return Verdict::Answer(format!("There is no tool `{}`.", call.name)) };
    let arguments = match tools.check(&call.name, &call.arguments) {
        Ok(arguments) => arguments,
        Err(error) => return Verdict::Answer(error.message().to_owned()),
    };
    let asked = state
        .asked
        .iter()
        .rfind(|asked| asked.interrupt.question.tool_call_id.as_deref() == Some(call.id.as_str()));
    if let Some(Asked { answer: None, .. }) = asked {
        return Verdict::Wait;
    }
    // It may have run, and nobody has said since what became of it.
    if state.dispatched.contains(&call.id) {
        return match tool.idempotent {
            true => Verdict::Run(tool.clone(), arguments),
            false => Verdict::Ask(unknown_outcome(call)),
        };
    }
    match asked.and_then(|asked| asked.answer.as_ref().map(|answer| (asked, answer))) {
        Some((asked, answer)) => answered(tool, arguments, call, asked.interrupt.question.reason, answer),
        None if tool.asks() => match question(call, arguments) {
            Ok(question) => Verdict::Ask(question),
            Err(why) => Verdict::Answer(why),
        },
        None if tool.needs_approval => Verdict::Ask(approval(call)),
        None => Verdict::Run(tool.clone(), arguments),
    }
}

/// What a person's answer makes of the call.
fn answered(
    tool: &Tool,
    arguments: Value,
    call: &Call,
    reason: Reason,
    answer: &sequent_event::Answered,
) -> Verdict {
    let payload = answer.payload.clone().unwrap_or(Value::Null);
    match (reason, answer.status) {
        (Reason::Question, AnswerStatus::Resolved) => Verdict::Answer(match payload {
            Value::String(text) => text,
            other => other.to_string(),
        }),
        (Reason::Question, AnswerStatus::Cancelled) => {
            Verdict::Answer("The person declined to answer.".to_owned())
        }
        (Reason::Question, AnswerStatus::Expired) => {
            Verdict::Answer("Nobody answered in time. Go on without the answer.".to_owned())
        }
        (Reason::Approval, AnswerStatus::Resolved) if payload["approved"] == json!(true) => {
            Verdict::Run(tool.clone(), arguments)
        }
        (Reason::Approval, AnswerStatus::Expired) => {
            Verdict::Answer(format!("Nobody allowed `{}` in time, so it did not run.", call.name))
        }
        (Reason::Approval, _) => {
            Verdict::Answer(format!("The person did not allow `{}`, so it did not run.", call.name))
        }
        (Reason::UnknownOutcome, AnswerStatus::Resolved) if payload["action"] == json!("retry") => {
            Verdict::Run(tool.clone(), arguments)
        }
        (Reason::UnknownOutcome, _) => Verdict::Answer(match payload["result"].as_str() {
            Some(result) => result.to_owned(),
            None => {
                format!("It is not known whether `{}` had its effect. It was not tried again.", call.name)
            }
        }),
    }
}

fn question(call: &Call, arguments: Value) -> Result<Question, String> {
    let asked = ask_user::Question::from_arguments(arguments).map_err(|error| error.message().to_owned())?;
    Ok(Question {
        reason: Reason::Question,
        response_schema: asked.answer_schema(),
        message: asked.question,
        tool_call_id: Some(call.id.clone()),
        expires_at: None,
    })
}

fn approval(call: &Call) -> Question {
    Question {
        reason: Reason::Approval,
        message: format!("Allow the tool `{}` with these arguments? {}", call.name, call.arguments),
        tool_call_id: Some(call.id.clone()),
        response_schema: Some(json!({
            "type": "object",
            "properties": {"approved": {"type": "boolean"}},
            "required": ["approved"]
        })),
        expires_at: None,
    }
}

fn unknown_outcome(call: &Call) -> Question {
    Question {
        reason: Reason::UnknownOutcome,
        message: format!(
            "The tool `{}` was running when its process was lost. It may have had its effect. Run it again, or go on \
             without? Its arguments: {}",
            call.name, call.arguments
        ),
        tool_call_id: Some(call.id.clone()),
        response_schema: Some(json!({
            "type": "object",
            "properties": {
                "action": {"type": "string", "enum": ["retry", "skip"]},
                "result": {"type": "string", "description": "With skip: what the tool gave, if you know."}
            },
            "required": ["action"]
        })),
        expires_at: None,
    }
}
