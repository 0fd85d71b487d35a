//! The prompt of a model call: system instructions, the earlier conversation, and what this run has done so
//! far.

use std::collections::BTreeSet;

use sequent_conversation::Error;
use sequent_conversation::{MessageRole, Projects};
use sequent_deliverables::tool_name;
use sequent_documents::DocumentKind;
use sequent_event::{ChildEnd, Plan, State, TranscriptEntry};
use sequent_model::{Message, Part, Role, ToolCall};
use sequent_tool::cut;

use crate::{execution::Execution, fit, next::Purpose};

/// Earlier messages of the project that a prompt contains at most.
const MAX_MESSAGES: u32 = 100;
/// Bytes of earlier messages that a prompt contains at most. The oldest are left out first.
const MAX_BYTES: usize = 200_000;
/// Bytes above which only the beginning of an earlier message is part of a prompt: it alone would leave little room for the
/// others.
const GIANT: usize = MAX_BYTES / 2;
/// Bytes that remain of such a message.
const GIANT_EXCERPT: usize = 4_000;

/// Returns the system instructions for this purpose.
pub(crate) fn system(purpose: Purpose, deliverable: Option<DocumentKind>) -> Option<String> {
    let text = match purpose {
        Purpose::Answer => "",
        Purpose::Plan => {
            "Plan the work before you do it: call `write_plan` once with all steps. Mark a step as independent if it \
             needs no other step's result. If the task needs no plan, answer it at once instead."
        }
        Purpose::Step => {
            "You carry out a plan step by step. Do the step that you are asked for, and nothing else. If the plan \
             turns out to be wrong, call `write_plan` with the steps that are still to be done."
        }
        Purpose::Conclude => {
            "All steps of the plan are done. Answer the task with their results; do not mention the steps."
        }
        Purpose::Deliver(_) => "",
    };
    let deliver = deliverable.filter(|_| !matches!(purpose, Purpose::Plan | Purpose::Step)).map(|kind| {
        let tool = tool_name(kind);
        format!(
            "The result of the task is a {kind}. When you have everything you need, deliver the complete {kind} with one \
             call of `{tool}`; then finish with a sentence or two, and do not repeat its content. Claim nothing that you \
             cannot support, and cite the sources that you used."
        )
    });
    let parts = [Some(text.to_owned()), deliver].into_iter().flatten().filter(|part| !part.is_empty());
    let instructions = parts.collect::<Vec<_>>().join("\n\n");
    (!instructions.is_empty()).then_some(instructions)
}

/// The messages of a request: earlier messages of the project, then what happened in this run.
pub(crate) async fn messages(execution: &mut Execution<'_>, purpose: Purpose) -> Result<Vec<Message>, Error> {
    let earlier = match execution.earlier.take() {
        Some(earlier) => earlier,
        None => earlier(execution).await?,
    };
    let mut messages = execution.earlier.insert(earlier).clone();
    let mut own = transcript(&execution.state, execution.plan());
    fit::fit(&mut own, execution.engine.bounds.transcript);
    messages.append(&mut own);
    if purpose == Purpose::Conclude {
        messages.push(Message::user("All steps are done. Give the answer."));
    }
    if let Purpose::Deliver(kind) = purpose {
        messages.push(Message::user(format!("Now deliver the {kind}: call `{}`.", tool_name(kind))));
    }
    Ok(messages)
}

/// Earlier messages of the project. They do not change while the run has the turn. A child gets its task only.
async fn earlier(execution: &Execution<'_>) -> Result<Vec<Message>, Error> {
    if execution.run.parent_run_id.is_some() {
        return Ok(Vec::new());
    }
    let projects = Projects::new(execution.engine.store(), execution.key.tenant);
    let rows = projects.latest_messages(execution.run.project_id, MAX_MESSAGES).await?;
    // Messages of later runs are excluded: this process may have taken over an old run.
    let before = rows.into_iter().filter(|row| row.run_id < execution.run.id);
    Ok(latest_that_fit(before.map(|row| (row.role, row.content)).collect()))
}

/// The latest of `messages` that fit [`MAX_BYTES`], oldest first.
fn latest_that_fit(messages: Vec<(MessageRole, String)>) -> Vec<Message> {
    let mut room = MAX_BYTES;
    let mut latest = Vec::new();
    for (role, content) in messages.into_iter().rev() {
        let content = if content.len() > GIANT {
            cut(content, GIANT_EXCERPT, usize::MAX, "this message")
        } else {
            content
        };
        let Some(left) = room.checked_sub(content.len()) else { break };
        room = left;
        latest.push(match role {
            MessageRole::User => Message::user(content),
            MessageRole::Assistant => Message::assistant(content),
        });
    }
    latest.reverse();
    latest
}

/// The messages of this run. Providers require the results of a response's calls directly after the response,
/// so messages that people sent in between come after the results.
fn transcript(state: &State, plan: Option<&Plan>) -> Vec<Message> {
    let mut messages: Vec<Message> = Vec::new();
    let mut waiting: Vec<Message> = Vec::new();
    let mut open_calls = 0_usize;
    let mut started: BTreeSet<&str> = BTreeSet::new();
    for entry in &state.transcript {
        let message = match entry {
            TranscriptEntry::User { text, .. } => Message::user(text.clone()),
            TranscriptEntry::Assistant { text, calls: made, .. } => {
                messages.append(&mut waiting);
                open_calls = made.len();
                let spoken = (!text.is_empty()).then(|| Part::Text { text: text.clone() });
                let calls = made.iter().map(|call| {
                    Part::ToolCall(ToolCall {
                        id: call.id.clone(),
                        name: call.name.clone(),
                        arguments: arguments(&call.arguments),
                    })
                });
                let parts: Vec<Part> = spoken.into_iter().chain(calls).collect();
                if !parts.is_empty() {
                    messages.push(Message { role: Role::Assistant, parts });
                }
                continue;
            }
            TranscriptEntry::Tool { call, content } => {
                open_calls = open_calls.saturating_sub(1);
                messages.push(Message::tool_result(call.clone(), content.clone()));
                if open_calls == 0 {
                    messages.append(&mut waiting);
                }
                continue;
            }
            // A step that continues after people have answered is not announced again: the model would start
            // it again.
            TranscriptEntry::Step { name } if !started.insert(name) => continue,
            TranscriptEntry::Step { name } => Message::user(instruction(plan, name)),
            TranscriptEntry::StepOver => continue,
            TranscriptEntry::Child { name, ended } => Message::user(child_result(plan, name, ended)),
        };
        if open_calls > 0 { waiting.push(message) } else { messages.push(message) }
    }
    messages.append(&mut waiting);
    messages
}

/// Returns `{}` for empty arguments, because providers refuse calls without arguments.
fn arguments(written: &str) -> String {
    if written.trim().is_empty() { "{}".to_owned() } else { written.to_owned() }
}

fn instruction(plan: Option<&Plan>, id: &str) -> String {
    match plan.and_then(|plan| plan.steps.iter().find(|step| step.id == id)) {
        Some(step) => format!("Carry out the step “{}”:\n{}", step.title, step.instructions),
        None => format!("Carry out the step “{id}”."),
    }
}

fn child_result(plan: Option<&Plan>, id: &str, ended: &ChildEnd) -> String {
    let step = plan.and_then(|plan| plan.steps.iter().find(|step| step.id == id));
    let title = step.map_or(id, |step| step.title.as_str());
    match ended {
        ChildEnd::Result(result) => format!("The result of the step “{title}”:\n{result}"),
        ChildEnd::Failure { message, .. } => format!("The step “{title}” could not be done: {message}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history(sizes: &[usize]) -> Vec<usize> {
        let messages = sizes.iter().map(|size| (MessageRole::Assistant, "x".repeat(*size))).collect();
        latest_that_fit(messages)
            .iter()
            .map(|message| serde_json::to_string(message).unwrap().len())
            .collect()
    }

    #[test]
    fn a_giant_message_leaves_the_others_in_the_history() {
        let history = history(&[10, 250_000, 20]);
        assert_eq!(history.len(), 3);
        assert!(history[1] < 2 * GIANT_EXCERPT, "{history:?}");
    }

    #[test]
    fn the_oldest_messages_are_left_out_first() {
        assert_eq!(history(&[10, 90_000, 90_000, 90_000]).len(), 2);
        assert_eq!(history(&[90_000; 2]).len(), 2);
    }
}
