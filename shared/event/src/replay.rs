//! Replays: a run that starts with what another one has done.
//!
//! The log of a replay has its configuration and its task first, and then copies of the events that it keeps. They are in
//! the log from the transaction that creates the run, so its readers need no other log. Copies have no effect again: they
//! are not charged for, and the children and jobs that they name belong to the other run.

use std::collections::BTreeMap;

use sequent_core::{MessageId, RunId};
use serde::{Deserialize, Serialize};

use crate::{Body, CompactionReason, Configuration, EncryptedValueOf, Event, JobEnd, RunStage, Seq};

/// Pieces of a text are joined up to this number of bytes. Even if JSON escapes every byte to six, an event can hold them.
const MAX_PIECE: usize = 16_000;

/// The origin of a run that repeats another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Replay {
    /// The run that is repeated.
    pub run_id: RunId,
    /// The last event of its log that this run keeps. `None` if it keeps nothing but the task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seq: Option<Seq>,
    /// The number of copied events. They follow the task.
    pub copied: u64,
}

impl Configuration {
    /// The position of the last copied event in a log that has this configuration at `seq`. The task is between them.
    pub(crate) fn copied_through(&self, seq: Seq) -> Seq {
        match self.replay.as_deref() {
            Some(Replay { copied, .. }) if *copied > 0 => seq.plus(1 + copied),
            _ => Seq::START,
        }
    }
}

impl Event {
    /// The position of the last copied event of the log, if this event says that there are copies.
    #[must_use]
    pub fn copied_through(&self) -> Option<Seq> {
        match self.body()? {
            Body::RunConfigured(configuration) => Some(configuration.copied_through(self.seq)),
            _ => None,
        }
    }
}

/// Copies the events that a replay keeps of a log: what the run did, and what it was told after its task. The events of its
/// executions and owners are left out, because the replay has its own. Messages get new ids, and those of people the `model`
/// that the replay asks. The pieces of a text are joined.
///
/// Events that this build does not understand are left out.
pub fn copies<'a>(events: impl IntoIterator<Item = &'a Event>, model: Option<&str>) -> Vec<Body> {
    let mut copier = Copier { model, ..Copier::default() };
    let mut copies: Vec<Body> = Vec::new();
    for copy in events.into_iter().filter_map(|event| copier.copy(event.body()?)) {
        let rest = match copies.last_mut() {
            Some(last) => last.merge(copy, MAX_PIECE),
            None => Some(copy),
        };
        copies.extend(rest);
    }
    copies
}

#[derive(Default)]
struct Copier<'a> {
    model: Option<&'a str>,
    has_task: bool,
    /// The new ids of messages.
    ids: BTreeMap<MessageId, MessageId>,
}

impl Copier<'_> {
    fn copy(&mut self, body: &Body) -> Option<Body> {
        let is_task =
            matches!(body, Body::UserMessage { .. }) && !std::mem::replace(&mut self.has_task, true);
        if is_task || is_of_execution(body) {
            return None;
        }
        let mut copy = body.clone();
        if let Some(id) = message_id(&mut copy) {
            *id = self.new_id(*id);
        }
        match &mut copy {
            Body::UserMessage { model, .. } => *model = self.model.map(str::to_owned),
            Body::ReasoningEncryptedValue { subtype: EncryptedValueOf::Message, entity_id, .. } => {
                if let Ok(id) = entity_id.parse() {
                    *entity_id = self.new_id(id).to_string();
                }
            }
            // Another model has another window.
            Body::ContextCompacted(compaction) if compaction.reason == CompactionReason::Refused => {
                compaction.reason = CompactionReason::Window;
            }
            // The stage of the replay, whose log must not look closed.
            Body::JobFinished(JobEnd { run, .. }) => *run = RunStage::Live,
            _ => {}
        }
        Some(copy)
    }

    fn new_id(&mut self, old: MessageId) -> MessageId {
        *self.ids.entry(old).or_insert_with(MessageId::new)
    }
}

/// Returns `true` if the event belongs to an execution of the run, to its owner or to those who rate it, and not to its work.
fn is_of_execution(body: &Body) -> bool {
    matches!(
        body,
        Body::RunConfigured(_)
            | Body::RunClaimed { .. }
            | Body::RunStarted { .. }
            | Body::RunFinished { .. }
            | Body::RunError { .. }
            | Body::CancelRequested { .. }
            | Body::FeedbackGiven(_)
            | Body::ItemEvaluated(_)
    )
}

fn message_id(body: &mut Body) -> Option<&mut MessageId> {
    match body {
        Body::TextMessageStart { message_id, .. }
        | Body::TextMessageContent { message_id, .. }
        | Body::TextMessageEnd { message_id }
        | Body::ReasoningStart { message_id }
        | Body::ReasoningMessageStart { message_id, .. }
        | Body::ReasoningMessageContent { message_id, .. }
        | Body::ReasoningMessageEnd { message_id }
        | Body::ReasoningEnd { message_id }
        | Body::ToolCallResult { message_id, .. }
        | Body::UserMessage { message_id, .. }
        | Body::MessageAbandoned { message_id } => Some(message_id),
        Body::ToolCallStart { parent_message_id, .. } => parent_message_id.as_mut(),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
