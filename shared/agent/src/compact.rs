//! Makes the request of a model call fit the context window, and records what it leaves out.
//!
//! The parts that a request leaves out are an event. So they are the same for later requests, whichever process sends them, and
//! what a model was sent can be computed from the log for ever, whatever the tables of windows say by then.

use std::sync::Arc;

use sequent_conversation::{Error, closing_bodies};
use sequent_event::{Body, Compaction, CompactionReason, TurnPosition};
use sequent_model::{
    ModelName,
    estimate::{text_tokens, tools_tokens},
};

use crate::{
    conversation::Conversation,
    earlier::Earlier,
    execution::{Execution, Flow, run_error, stop_error},
    fit::{Cut, RequestLimits, TooLarge, fit},
    next::Purpose,
    prompt::Prepared,
    room,
    summary::{self, Interruption, WantedSummary, Written},
};

/// Compactions without a response between them. More of them would not help.
const MAX_COMPACTIONS: usize = 4;
/// Tokens of the messages that are added for a purpose.
const PURPOSE_TOKENS: u64 = 50;

/// The request, or what to do before there is one.
pub(crate) enum Ready {
    Ask(Box<Prepared>),
    Instead(Flow),
}

/// A request that is too large.
struct Excess<'a> {
    reason: CompactionReason,
    model: &'a ModelName,
    conversation: Conversation,
    tokens: u64,
    room: u64,
}

/// Prepares the request for this purpose. If it is too large, records what to leave out instead.
pub(crate) async fn request(
    execution: &mut Execution<'_>,
    purpose: Purpose,
    model: &ModelName,
) -> Result<Ready, Error> {
    let (conversation, earlier) = conversation(execution).await?;
    let prepared = execution.prepare(purpose, model, &conversation);
    let is_there = |through| conversation.turns.iter().any(|turn| turn.at <= through);
    let cover = earlier.cover.filter(|through| is_there(*through));
    let words = earlier
        .words
        .filter(|words| execution.state.compactions.iter().all(|made| made.words < Some(*words)));
    let tokens = prepared.record.tokens;
    let all = room::of(execution, model);
    let room = beside_files(&conversation, all);
    if tokens <= room && cover.is_none() && words.is_none() {
        return Ok(Ready::Ask(Box::new(prepared)));
    }
    let reason = if tokens > room { CompactionReason::Window } else { CompactionReason::Turns };
    let limits = RequestLimits { fixed: fixed(&prepared), room, cover };
    let excess = Excess { reason, model, conversation, tokens, room };
    match fit(&excess.conversation, limits) {
        Ok(None) if words.is_none() => Ok(Ready::Ask(Box::new(prepared))),
        Ok(cut) if execution.state.new_compactions < MAX_COMPACTIONS => {
            let cut = cut.unwrap_or_default();
            leave_out(execution, &excess, cut, words).await.map(Ready::Instead)
        }
        // Turns that should be covered stay in a request that has room for them, and files get what is left.
        _ if tokens <= all => Ok(Ready::Ask(Box::new(prepared))),
        Ok(_) => Ok(Ready::Instead(too_large(execution, TooLarge { tokens }, room))),
        Err(left) => Ok(Ready::Instead(too_large(execution, left, room))),
    }
}

/// The room that the messages have beside the files of the conversation. Files get what the messages leave, and a quarter at
/// least if the messages can be cut.
fn beside_files(conversation: &Conversation, room: u64) -> u64 {
    if conversation.has_files() { room - room / 4 } else { room }
}

/// Prepares the request for this purpose, whatever its size.
pub(crate) async fn draft(
    execution: &mut Execution<'_>,
    purpose: Purpose,
    model: &ModelName,
) -> Result<Prepared, Error> {
    let (conversation, _) = conversation(execution).await?;
    Ok(execution.prepare(purpose, model, &conversation))
}

/// Leaves out more after the provider has refused a request of this many tokens as too large. The second refusal in a row
/// ends the run.
pub(crate) async fn after_refusal(
    execution: &mut Execution<'_>,
    model: &ModelName,
    sent: &Sent,
) -> Result<Flow, Error> {
    let room = sent.tokens / 3 * 2;
    let mut new = execution.state.compactions.iter().rev().take(execution.state.new_compactions);
    if new.any(|made| made.reason == CompactionReason::Refused) {
        return Ok(too_large(execution, TooLarge { tokens: sent.tokens }, room));
    }
    let (conversation, _) = conversation(execution).await?;
    let limits = RequestLimits { fixed: sent.fixed, room: beside_files(&conversation, room), cover: None };
    let reason = CompactionReason::Refused;
    let excess = Excess { reason, model, conversation, tokens: sent.tokens, room };
    match fit(&excess.conversation, limits) {
        Ok(Some(cut)) => leave_out(execution, &excess, cut, None).await,
        // The messages fit. The event leaves less room for the files.
        Ok(None) if sent.has_files() => leave_out(execution, &excess, Cut::default(), None).await,
        Ok(None) => Ok(too_large(execution, TooLarge { tokens: sent.tokens }, room)),
        Err(left) => Ok(too_large(execution, left, room)),
    }
}

/// The size of a request that was sent.
pub(crate) struct Sent {
    pub(crate) tokens: u64,
    /// The tokens of the parts that are neither messages nor files.
    fixed: u64,
    files: u64,
}

impl Sent {
    pub(crate) fn of(prepared: &Prepared) -> Self {
        Self { tokens: prepared.record.tokens, fixed: fixed(prepared), files: 0 }
    }

    /// Adds the files: with them, the request has this many tokens.
    pub(crate) fn add_files(&mut self, tokens: u64) {
        self.files = tokens.saturating_sub(self.tokens);
        self.tokens = tokens;
    }

    fn has_files(&self) -> bool {
        self.files > 0
    }
}

fn fixed(prepared: &Prepared) -> u64 {
    let system = prepared.request.system.as_deref().unwrap_or_default();
    text_tokens(system) + tools_tokens(&prepared.offer.tools) + PURPOSE_TOKENS
}

/// The conversation, and what was read of its earlier turns. A child has only its task.
async fn conversation(execution: &mut Execution<'_>) -> Result<(Conversation, Arc<Earlier>), Error> {
    let earlier = match execution.earlier.take() {
        Some(earlier) => earlier,
        None if execution.run.parent_run_id.is_some() => Arc::default(),
        None => {
            let Execution { engine, key, run, state, .. } = &*execution;
            Arc::new(Earlier::read(&engine.storage, *key, run.project_id, state).await?)
        }
    };
    let earlier = Arc::clone(execution.earlier.insert(earlier));
    let turns = earlier.turns.clone();
    Ok((Conversation::of(turns, &earlier.compactions, &execution.state), earlier))
}

/// Records what the requests leave out from here on, with a summary of what is covered. The loop then asks again.
async fn leave_out(
    execution: &mut Execution<'_>,
    excess: &Excess<'_>,
    cut: Cut,
    words: Option<TurnPosition>,
) -> Result<Flow, Error> {
    let Excess { reason, model, ref conversation, tokens, room } = *excess;
    let mut compaction = compaction(excess, cut, words);
    if let Some(covers) = compaction.covers {
        let wanted = WantedSummary { model, conversation, covers, room, tokens };
        match Box::pin(summary::write(execution, wanted)).await? {
            Written::Summary(summary, usage) => {
                compaction.summary = summary;
                compaction.usage = Some(usage);
            }
            Written::Unavailable(usage) if tokens <= room => {
                return uncovered(execution, compaction, usage).await;
            }
            Written::Unavailable(usage) => {
                compaction.usage = usage;
                compaction.provisional = true;
            }
            Written::Interrupted(interruption, usage) => {
                return interrupted(execution, interruption, usage).await;
            }
        }
    }
    let run = execution.key.run;
    let Compaction { calls, covers, .. } = &compaction;
    tracing::info!(%run, ?reason, tokens, room, calls = calls.len(), ?covers, "the request leaves out a part of the conversation");
    execution.append(Body::ContextCompacted(Box::new(compaction))).await?;
    Ok(Flow::Continue)
}

/// The compaction before its summary is written.
fn compaction(excess: &Excess<'_>, cut: Cut, words: Option<TurnPosition>) -> Compaction {
    let Excess { reason, tokens, room, .. } = *excess;
    let Cut { calls, excerpts, covers } = cut;
    Compaction {
        reason,
        tokens,
        room,
        calls,
        excerpts,
        covers,
        summary: None,
        provisional: false,
        words,
        usage: None,
    }
}

/// Leaves the turns in the request that should be covered, because it has room for them and there is no summary now. A later
/// turn tries again.
async fn uncovered(
    execution: &mut Execution<'_>,
    compaction: Compaction,
    usage: Option<sequent_event::Usage>,
) -> Result<Flow, Error> {
    if let Some(earlier) = &mut execution.earlier {
        Arc::make_mut(earlier).cover = None;
    }
    // It is no response of the run.
    let usage = usage
        .map(|usage| sequent_event::Usage { finish_reason: sequent_event::Usage::ABANDONED.into(), ..usage });
    let rest = Compaction { covers: None, ..compaction };
    let leaves_out = !rest.calls.is_empty() || rest.excerpts.is_some() || rest.words.is_some();
    let rest = leaves_out.then(|| Body::ContextCompacted(Box::new(rest)));
    execution.append_all(usage.map(Body::UsageRecorded).into_iter().chain(rest)).await?;
    Ok(Flow::Continue)
}

/// Ends the step without a compaction. What the summary has cost so far is counted.
async fn interrupted(
    execution: &mut Execution<'_>,
    interruption: Interruption,
    usage: Option<sequent_event::Usage>,
) -> Result<Flow, Error> {
    if matches!(interruption, Interruption::WriterStopped) {
        return Err(stop_error(&execution.writer).await);
    }
    execution.append_all(usage.map(Body::UsageRecorded)).await?;
    Ok(if matches!(interruption, Interruption::HandOver) { Flow::HandOver } else { Flow::Continue })
}

/// Ends the run, because the request does not fit.
fn too_large(execution: &Execution<'_>, left: TooLarge, room: u64) -> Flow {
    let message = format!(
        "The conversation is too long for the model: the request has about {} tokens, and {room} fit. Send a shorter \
         message, start a new conversation, or choose a model with a larger context window.",
        left.tokens
    );
    let mut bodies = closing_bodies(&execution.state);
    bodies.push(run_error(sequent_model::Error::ContextTooLong.code(), &message));
    Flow::End(bodies)
}
