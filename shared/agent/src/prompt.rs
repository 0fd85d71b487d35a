//! What a model is told: the conversation so far, and what this run has said and done.

use std::collections::BTreeSet;

use sequent_conversation::Error;
use sequent_conversation::{Projects, Role as Speaker};
use sequent_deliverables::tool_name;
use sequent_documents::Kind;
use sequent_event::{ChildEnd, Plan, State, TranscriptEntry};
use sequent_model::{Message, Part, Role, ToolCall};

use crate::{execution::Execution, next::Purpose};

/// Most earlier messages sent along.
const MESSAGES: u32 = 100;
/// Most bytes of earlier messages sent along; the oldest are left out first.
const BYTES: usize = 200_000;

/// Instructions that stand above the conversation.
pub(crate) fn system(purpose: Purpose, deliverable: Option<Kind>) -> Option<String> {
    let text = match purpose {
        Purpose::Answer => "",
        Purpose::Plan => {
            "Plan the work before you do it: call `write_plan` once with the steps it takes. Mark a step as \
             independent if it needs no other step's result. If the task needs no plan, answer it at once instead."
        }
        Purpose::Step => {
            "You carry out a plan step by step. Do the step you are asked for, and nothing beyond it. If the plan \
             proves wrong, call `write_plan` with the steps that are still to be done."
        }
        Purpose::Conclude => {
            "All steps of the plan are done. Answer the task with their results; do not mention the steps."
        }
        Purpose::Deliver(_) => "",
    };
    let deliver = deliverable.filter(|_| !matches!(purpose, Purpose::Plan | Purpose::Step)).map(|kind| {
        let tool = tool_name(kind);
        format!(
            "The task is to be answered by a {kind}. When you have what it takes, deliver it by calling `{tool}` once, whole, \
             with what was found out so far; then close with a sentence or two, and do not repeat it. Claim nothing that you \
             cannot support, and cite the sources that you used."
        )
    });
    let text = [Some(text.to_owned()), deliver].into_iter().flatten().filter(|text| !text.is_empty());
    let text = text.collect::<Vec<_>>().join("\n\n");
    (!text.is_empty()).then_some(text)
}

/// The messages of a request: earlier exchanges of the project, then what happened in this run.
pub(crate) async fn messages(of: &Execution<'_>, purpose: Purpose) -> Result<Vec<Message>, Error> {
    let mut messages = match of.run.parent_run_id {
        // A child knows its task and nothing else.
        Some(_) => Vec::new(),
        None => earlier(of).await?,
    };
    messages.extend(transcript(&of.state, of.plan()));
    if purpose == Purpose::Conclude {
        messages.push(Message::user("All steps are done. Give the answer."));
    }
    if let Purpose::Deliver(kind) = purpose {
        messages.push(Message::user(format!("Now deliver the {kind}: call `{}`.", tool_name(kind))));
    }
    Ok(messages)
}

/// Earlier exchanges of the project.
async fn earlier(of: &Execution<'_>) -> Result<Vec<Message>, Error> {
    let projects = Projects::new(of.engine.store(), of.key.tenant);
    let rows = projects.latest_messages(of.run.project_id, MESSAGES).await;
    let rows = rows.map_err(|error| match error {
        sequent_conversation::projects::Error::Data(error) => Error::Data(error),
        _ => Error::NoProject,
    })?;
    let mut room = BYTES;
    // Exchanges of later runs cannot be known to this one: it may be a take-over of an old run.
    let earlier = rows.iter().rev().filter(|row| row.run_id < of.run.id).take_while(|row| {
        room = room.saturating_sub(row.content.len());
        room > 0
    });
    let mut messages: Vec<Message> = earlier
        .map(|row| match row.role {
            Speaker::User => Message::user(row.content.clone()),
            Speaker::Assistant => Message::assistant(row.content.clone()),
        })
        .collect();
    messages.reverse();
    Ok(messages)
}

/// What was said and done in this run. Providers want the results of a response's calls right behind it, so what people
/// said in between follows them.
fn transcript(state: &State, plan: Option<&Plan>) -> Vec<Message> {
    let mut messages: Vec<Message> = Vec::new();
    let mut waiting: Vec<Message> = Vec::new();
    let mut calls = 0_usize;
    let mut told: BTreeSet<&str> = BTreeSet::new();
    for turn in &state.transcript {
        let message = match turn {
            TranscriptEntry::User { text, .. } => Message::user(text.clone()),
            TranscriptEntry::Assistant { text, calls: made, .. } => {
                messages.append(&mut waiting);
                calls = made.len();
                let said = (!text.is_empty()).then(|| Part::Text { text: text.clone() });
                let calls = made.iter().map(|call| {
                    let (id, name) = (call.id.clone(), call.name.clone());
                    Part::ToolCall(ToolCall { id, name, arguments: arguments(&call.arguments) })
                });
                let parts: Vec<Part> = said.into_iter().chain(calls).collect();
                if !parts.is_empty() {
                    messages.push(Message { role: Role::Assistant, parts });
                }
                continue;
            }
            TranscriptEntry::Tool { call, content } => {
                calls = calls.saturating_sub(1);
                messages.push(Message::tool_result(call.clone(), content.clone()));
                if calls == 0 {
                    messages.append(&mut waiting);
                }
                continue;
            }
            // A step that is taken up again, after people have answered, goes on from where it was: told anew, a model
            // would begin it anew.
            TranscriptEntry::Step { name } if !told.insert(name) => continue,
            TranscriptEntry::Step { name } => Message::user(instruction(plan, name)),
            TranscriptEntry::StepOver => continue,
            TranscriptEntry::Child { name, ended } => Message::user(report(plan, name, ended)),
        };
        if calls > 0 { waiting.push(message) } else { messages.push(message) }
    }
    messages.append(&mut waiting);
    messages
}

/// Providers refuse calls without arguments.
fn arguments(written: &str) -> String {
    if written.trim().is_empty() { "{}".to_owned() } else { written.to_owned() }
}

fn instruction(plan: Option<&Plan>, id: &str) -> String {
    match plan.and_then(|plan| plan.steps.iter().find(|step| step.id == id)) {
        Some(step) => format!("Carry out the step “{}”:\n{}", step.title, step.instructions),
        None => format!("Carry out the step “{id}”."),
    }
}

fn report(plan: Option<&Plan>, id: &str, ended: &ChildEnd) -> String {
    let step = plan.and_then(|plan| plan.steps.iter().find(|step| step.id == id));
    let title = step.map_or(id, |step| step.title.as_str());
    match ended {
        ChildEnd::Result(result) => format!("The result of the step “{title}”:\n{result}"),
        ChildEnd::Failure { message, .. } => format!("The step “{title}” could not be done: {message}"),
    }
}
