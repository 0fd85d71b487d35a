//! A conversation as a request contains it: the earlier turns, and the responses of this run with what followed each of
//! them. Whatever the logs say is left out is left out here, so the same logs always give the same messages.

use std::collections::BTreeMap;

use sequent_event::{Compaction, Coverage, State, TurnPosition};
use sequent_model::{Message, Part, Role};
use sequent_tool::cut;

use crate::transcript::{self, Transcript};

/// Bytes of a result, or of arguments, that a stub would not shorten.
pub(crate) const SHORT: usize = 300;

/// The beginning of the message in the place of what a compaction covers.
pub(crate) const LEFT_OUT: &str = "(The conversation up to here is left out.";

/// The messages of an earlier run.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Turn {
    pub(crate) at: TurnPosition,
    pub(crate) messages: Vec<Message>,
}

/// The messages of a run: first what is before any response that is not covered, then these responses, each with what
/// followed it.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct RunMessages {
    /// The summary in the place of earlier runs.
    pub(crate) summary: Option<Message>,
    /// The task, and what else is before the first of the responses.
    pub(crate) head: Vec<Message>,
    pub(crate) responses: Vec<Vec<Message>>,
    /// The number of responses that are covered.
    pub(crate) covered: usize,
}

/// The earlier turns and the run that goes on.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Conversation {
    pub(crate) turns: Vec<Turn>,
    pub(crate) own: RunMessages,
}

impl Conversation {
    /// The conversation of a run whose log led to `state`, after the earlier `turns`. `compactions` are those of the earlier
    /// runs.
    pub(crate) fn of(mut turns: Vec<Turn>, compactions: &[Compaction], state: &State) -> Self {
        if let Some(covers) = coverage(&state.compactions).map(|(covers, _)| covers) {
            turns.retain(|turn| !covers.has_turn(turn.at));
        }
        let mut own = RunMessages::of(state, true);
        let calls: Vec<&str> = compactions
            .iter()
            .chain(&state.compactions)
            .flat_map(|made| &made.calls)
            .map(String::as_str)
            .collect();
        let messages = turns.iter_mut().flat_map(|turn| &mut turn.messages);
        leave_out(messages.chain(own.iter_mut()), &calls);
        Self { turns, own }
    }

    /// The messages of a request. Without tools, the earlier turns have no calls: providers refuse calls in a request that
    /// offers no tools.
    pub(crate) fn messages(&self, offers_tools: bool) -> Vec<Message> {
        let mut messages: Vec<Message> = self.turns.iter().flat_map(|turn| turn.messages.clone()).collect();
        if !offers_tools {
            transcript::leave_out_calls(&mut messages);
        }
        messages.extend(self.own.iter().cloned());
        messages
    }

    /// Returns `true` if people have attached files.
    pub(crate) fn has_files(&self) -> bool {
        let turns = self.turns.iter().flat_map(|turn| &turn.messages);
        let mut parts = turns.chain(self.own.iter()).flat_map(|message| &message.parts);
        parts.any(|part| matches!(part, Part::File(_)))
    }

    /// The messages that `covers` would cover, and that are not covered yet.
    pub(crate) fn covered_by(&self, covers: Coverage) -> Vec<&Message> {
        let turns = self.turns.iter().filter(|turn| covers.has_turn(turn.at));
        let responses = usize::try_from(covers.responses).unwrap_or(usize::MAX);
        let own = self.own.responses.iter().take(responses.saturating_sub(self.own.covered));
        let head = self.own.head.iter().skip(1).filter(|_| responses > 0);
        let turns = self.own.summary.iter().chain(turns.flat_map(|turn| &turn.messages));
        turns.chain(head).chain(own.flatten()).collect()
    }
}

impl RunMessages {
    /// The messages of the run, with what its own compactions cover and cut. The run that goes on is `with_origin`.
    pub(crate) fn of(state: &State, with_origin: bool) -> Self {
        let mut transcript = transcript::of(state, transcript::plan(state), with_origin);
        for compaction in &state.compactions {
            excerpt(&mut transcript, compaction);
        }
        match coverage(&state.compactions) {
            Some((covers, compaction)) => Self::covered(&transcript, covers, compaction),
            None => Self::split(&transcript, 0),
        }
    }

    /// The messages, the first `covered` responses of which are left out.
    fn split(transcript: &Transcript, covered: usize) -> Self {
        let Transcript { messages, responses, .. } = transcript;
        let begins = &responses[covered.min(responses.len())..];
        let ends = begins.iter().skip(1).copied().chain([messages.len()]);
        let parts = begins.iter().zip(ends).map(|(begin, end)| messages[*begin..end].to_vec());
        let head = messages[..responses.first().copied().unwrap_or(messages.len())].to_vec();
        Self { summary: None, head, responses: parts.collect(), covered }
    }

    /// The task stays whole, and so does the last instruction: the model works on its step.
    fn covered(transcript: &Transcript, covers: Coverage, compaction: &Compaction) -> Self {
        let covered = usize::try_from(covers.responses).unwrap_or(usize::MAX).min(transcript.responses.len());
        let mut run = Self::split(transcript, covered);
        let summary = in_place(compaction);
        if covered == 0 {
            return Self { summary: Some(summary), ..run };
        }
        let end = transcript.responses.get(covered).copied().unwrap_or(transcript.messages.len());
        let instruction = transcript.instructions.iter().rev().find(|at| **at < end);
        let instruction = instruction.and_then(|at| transcript.messages.get(*at)).cloned();
        run.head = run.head.into_iter().take(1).chain([summary]).chain(instruction).collect();
        run
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Message> {
        self.summary.iter().chain(&self.head).chain(self.responses.iter().flatten())
    }

    fn iter_mut(&mut self) -> impl Iterator<Item = &mut Message> {
        self.head.iter_mut().chain(self.responses.iter_mut().flatten())
    }
}

/// The coverage that counts among the compactions of a run.
pub(crate) fn coverage(compactions: &[Compaction]) -> Option<(Coverage, &Compaction)> {
    compactions.iter().rev().find_map(|compaction| compaction.covers.map(|covers| (covers, compaction)))
}

/// The message in the place of what a compaction covers. The model has written it, so it has the authority of an answer and
/// not that of a person: what tools have said is in it, too.
fn in_place(compaction: &Compaction) -> Message {
    match &compaction.summary {
        Some(summary) => Message::assistant(format!("{LEFT_OUT} This is a summary of it.)\n\n{summary}")),
        None => mark(),
    }
}

/// The message that only says that something is left out.
pub(crate) fn mark() -> Message {
    Message::assistant(format!("{LEFT_OUT})"))
}

/// Returns `true` if an answer is the message in the place of what is left out.
pub(crate) fn is_summary(answer: &str) -> bool {
    answer.starts_with(LEFT_OUT)
}

/// Cuts the results and later texts of people that the model had not read yet. The task stays whole.
fn excerpt(transcript: &mut Transcript, compaction: &Compaction) {
    let Some(excerpts) = compaction.excerpts else { return };
    let limit = usize::try_from(excerpts.bytes).unwrap_or(usize::MAX);
    let after = usize::try_from(excerpts.after_response).unwrap_or(usize::MAX);
    let begin = after.checked_sub(1).and_then(|at| transcript.responses.get(at)).copied().unwrap_or(0).max(1);
    let end = transcript.responses.get(after).copied().unwrap_or(transcript.messages.len());
    let messages = transcript.messages.get_mut(begin..end).unwrap_or_default();
    for message in messages.iter_mut().filter(|message| message.role != Role::Assistant) {
        message.parts.iter_mut().for_each(|part| shorten(part, limit));
    }
}

fn shorten(part: &mut Part, limit: usize) {
    match part {
        Part::Text { text } => *text = cut(std::mem::take(text), limit, usize::MAX, "this text"),
        Part::ToolResult(result) => {
            let content = std::mem::take(&mut result.content);
            result.content = cut(content, limit, usize::MAX, "the result");
        }
        Part::Reasoning(_) | Part::ToolCall(_) | Part::File(_) => {}
    }
}

/// Replaces the results and long arguments of these calls by stubs. A call and its result stay a pair, because providers
/// refuse one without the other.
fn leave_out<'a>(messages: impl Iterator<Item = &'a mut Message>, calls: &[&str]) {
    let mut names: BTreeMap<String, String> = BTreeMap::new();
    for part in messages.flat_map(|message| &mut message.parts) {
        match part {
            Part::ToolCall(call) if calls.contains(&call.id.as_str()) => {
                names.insert(call.id.clone(), call.name.clone());
                if call.arguments.len() > SHORT {
                    call.arguments = arguments_stub(call.arguments.len());
                }
            }
            Part::ToolResult(result) if result.content.len() > SHORT => {
                if let Some(name) = names.get(&result.call_id) {
                    result.content = stub(name, result.content.len());
                }
            }
            _ => {}
        }
    }
}

/// The stub of a result.
fn stub(name: &str, bytes: usize) -> String {
    format!("[Left out: the result of {name}, {bytes} bytes. Call it again if you need it.]")
}

/// The stub of arguments. Providers require JSON here.
fn arguments_stub(bytes: usize) -> String {
    serde_json::json!({ "left_out": format!("{bytes} bytes of arguments") }).to_string()
}

#[cfg(test)]
mod tests;
