//! What is to become of a tool call, as far as the log decides it. Pure, like [`next`](crate::next).

use sequent_event::{
    AnswerStatus, AskedInterrupt, JobStatus, Plan, Question, Reason, RunJob, State, ToolCall,
};
use sequent_tool::{Kind, Registry, Tool, ask_user};
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
    /// A job of this type works on it, or is to be made, with these arguments.
    Job(&'static str, Value),
    /// It waits for an answer already asked for.
    Wait,
}

/// What is to become of `call`. `allowed` are the tools this run may use.
pub(crate) fn verdict(state: &State, tools: &Registry, allowed: &[String], call: &ToolCall) -> Verdict {
    if call.name == planning::NAME && allowed.contains(&call.name) {
        return match planning::written(&call.arguments, state.plan.as_ref()) {
            Ok(plan) => Verdict::Plan(plan),
            Err(why) => Verdict::Answer(why),
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
    // It may have run, and nobody has said since what became of it. It was noted because it must not run twice,
    // whatever is known of the tool by now: a server may be away, or describe it otherwise.
    if state.dispatched.contains(&call.id) {
        return Verdict::Ask(unknown_outcome(call));
    }
    if let Some(text) = answer.and_then(|(reason, answer)| settled(call, reason, answer)) {
        return Verdict::Answer(text);
    }
    // What was handed to a job has that job's result, whatever is known of the tool by now.
    let of_call = |task: &&RunJob| task.job.tool_call_id.as_deref() == Some(call.id.as_str());
    if let Some(ended) = state.jobs.iter().rfind(of_call).and_then(|task| task.ended.as_ref()) {
        return Verdict::Answer(match ended.status {
            JobStatus::Success => ended.result.clone(),
            JobStatus::Error => format!("`{}` failed: {}", call.name, ended.result),
        });
    }
    let tool = tools.get(&call.name).filter(|_| allowed.contains(&call.name));
    let Some(tool) = tool else { return Verdict::Answer(format!("There is no tool `{}`.", call.name)) };
    let arguments = match tools.check(&call.name, &call.arguments) {
        Ok(arguments) => arguments,
        Err(error) => return Verdict::Answer(error.message().to_owned()),
    };
    let begin = |arguments| match tool.kind {
        Kind::Job(job_type) => Verdict::Job(job_type, arguments),
        _ => Verdict::Run(tool.clone(), arguments),
    };
    if answer.is_some() {
        return begin(arguments);
    }
    if tool.asks() {
        return match question(call, arguments) {
            Ok(question) => Verdict::Ask(question),
            Err(why) => Verdict::Answer(why),
        };
    }
    if tool.needs_approval { Verdict::Ask(approval(call)) } else { begin(arguments) }
}

/// What the call came to by what a person said. `None`: it is to run.
fn settled(call: &ToolCall, reason: Reason, answer: &sequent_event::InterruptAnswer) -> Option<String> {
    let payload = answer.payload.as_ref().unwrap_or(&Value::Null);
    Some(match (reason, answer.status) {
        (Reason::Question, AnswerStatus::Resolved) => match payload {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        },
        (Reason::Question, AnswerStatus::Cancelled) => "The person declined to answer.".to_owned(),
        (Reason::Question, AnswerStatus::Expired) => {
            "Nobody answered in time. Go on without the answer.".to_owned()
        }
        (Reason::Approval, AnswerStatus::Resolved) if payload["approved"] == json!(true) => return None,
        (Reason::Approval, AnswerStatus::Expired) => {
            format!("Nobody allowed `{}` in time, so it did not run.", call.name)
        }
        (Reason::Approval, _) => format!("The person did not allow `{}`, so it did not run.", call.name),
        (Reason::UnknownOutcome, AnswerStatus::Resolved) if payload["action"] == json!("retry") => {
            return None;
        }
        (Reason::UnknownOutcome, _) => match payload["result"].as_str() {
            Some(result) => result.to_owned(),
            None => {
                format!("It is not known whether `{}` had its effect. It was not tried again.", call.name)
            }
        },
    })
}

fn question(call: &ToolCall, arguments: Value) -> Result<Question, String> {
    let asked = ask_user::Question::from_arguments(arguments).map_err(|error| error.message().to_owned())?;
    Ok(Question {
        reason: Reason::Question,
        response_schema: asked.answer_schema(),
        message: asked.question,
        tool_call_id: Some(call.id.clone()),
        expires_at: None,
    })
}

fn approval(call: &ToolCall) -> Question {
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

fn unknown_outcome(call: &ToolCall) -> Question {
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
