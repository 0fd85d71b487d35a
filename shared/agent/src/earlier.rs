//! The earlier turns of a conversation, as a request contains them: what people and the model said, and the calls of tools
//! with their results.
//!
//! A turn is one run. A model that sees only the texts of earlier turns does not know what its tools have said, asks again,
//! or makes it up. So the calls of the latest runs are read from their logs. The results of the oldest are left out first,
//! and then the oldest turns.

use futures::{StreamExt, TryStreamExt, stream};
use sequent_conversation::{Error, Message as StoredMessage, MessageRole, Projects};
use sequent_core::RunId;
use sequent_event::{Event, Seq, State};
use sequent_model::Message;
use sequent_runlog::{Consistency, LogKey, Segment, Storage as _};
use sequent_tool::cut;

use crate::{Engine, execution::Execution, fit, transcript};

/// Earlier messages of the project that a request contains at most.
const MAX_MESSAGES: u32 = 100;
/// Runs whose calls a request contains at most. Each costs a read of its log before the first word of the answer.
const MAX_LOGS: usize = 12;
/// Logs that are read at the same time.
const PARALLEL_READS: usize = 6;
/// Bytes of earlier turns that a request contains at most.
const MAX_BYTES: usize = 200_000;
/// Bytes above which only the beginning of an earlier answer is part of a request: it alone would leave little room for the
/// others.
const GIANT: usize = MAX_BYTES / 2;
/// Bytes that remain of such a message.
const GIANT_EXCERPT: usize = 4_000;

/// The messages of one run.
type Turn = Vec<Message>;

/// Reads the earlier turns. They do not change while the run has the turn.
pub(crate) async fn turns(execution: &Execution<'_>) -> Result<Vec<Message>, Error> {
    let rows = by_run(rows_before(execution, execution.run.id).await?);
    let has_calls = |rows: &[StoredMessage]| rows.iter().any(|row| row.has_calls);
    let mut with_calls: Vec<bool> = rows.iter().map(|rows| has_calls(rows)).collect();
    let mut logs = 0;
    for has_calls in with_calls.iter_mut().rev() {
        logs += usize::from(*has_calls);
        *has_calls &= logs <= MAX_LOGS;
    }
    let key = execution.key;
    let engine = execution.engine;
    let reads = rows.into_iter().zip(with_calls).map(|(rows, has_calls)| async move {
        let log = LogKey { run: rows[0].run_id, ..key };
        let turn = if has_calls { of_log(engine, log).await? } else { None };
        Ok::<_, Error>(turn.unwrap_or_else(|| of_rows(&rows)))
    });
    let turns: Vec<Turn> = Box::pin(stream::iter(reads).buffered(PARALLEL_READS)).try_collect().await?;
    Ok(fitted(turns, MAX_BYTES))
}

/// The messages of the project's runs before this one. Messages of later runs are excluded: this process may have taken
/// over an old run.
pub(crate) async fn rows_before(execution: &Execution<'_>, run: RunId) -> Result<Vec<StoredMessage>, Error> {
    let projects = Projects::new(execution.engine.store(), execution.key.tenant);
    let rows = projects.latest_messages(execution.run.project_id, MAX_MESSAGES).await?;
    Ok(rows.into_iter().filter(|row| row.run_id < run).collect())
}

fn by_run(rows: Vec<StoredMessage>) -> Vec<Vec<StoredMessage>> {
    let mut runs: Vec<Vec<StoredMessage>> = Vec::new();
    for row in rows {
        match runs.last_mut().filter(|run| run[0].run_id == row.run_id) {
            Some(run) => run.push(row),
            None => runs.push(vec![row]),
        }
    }
    runs
}

/// Reads the turn from the log of its run. Returns `None` if the log is longer than one read, or not understood.
async fn of_log(engine: &Engine, key: LogKey) -> Result<Option<Turn>, Error> {
    let page = engine.storage.read(key, Seq::START, Consistency::Strong).await?;
    if page.has_more {
        return Ok(None);
    }
    let events: Vec<Event> = page.segments.iter().flat_map(Segment::events).collect();
    let state = State::of(&events).ok().filter(|state| state.phase.is_closed());
    Ok(state.map(|state| transcript::messages(&state, state.plan.as_ref())))
}

/// The turn without calls. Providers refuse messages without words, such as answers of calls alone.
fn of_rows(rows: &[StoredMessage]) -> Turn {
    let spoken = rows.iter().filter(|row| !row.readable().trim().is_empty());
    let message = |row: &StoredMessage| match row.role {
        MessageRole::User => transcript::of_person(&row.user_content()),
        MessageRole::Assistant if row.content.len() > GIANT => {
            Message::assistant(cut(row.content.clone(), GIANT_EXCERPT, usize::MAX, "this message"))
        }
        MessageRole::Assistant => Message::assistant(row.content.clone()),
    };
    spoken.map(message).collect()
}

/// Leaves out the oldest results and then the oldest turns, so that the rest has at most `bound` bytes. If the turns exceed
/// the bound, the results are cut to half of it at once, as of a request at the time of each turn: the beginning stays the
/// same for many turns, and providers cache by it.
fn fitted(mut turns: Vec<Turn>, bound: usize) -> Vec<Message> {
    for end in 1..=turns.len() {
        let size: usize = turns[..end].iter().map(|turn| fit::size(turn)).sum();
        if size > bound {
            let (latest, older) = turns[..end].split_last_mut().expect("the range has an end");
            let rest = fit::leave_out_results(older.iter_mut().flatten(), size - bound / 2);
            let size = bound / 2 + rest;
            // One turn alone may be too long.
            fit::leave_out_results(latest.iter_mut(), size.saturating_sub(bound));
        }
    }
    let mut room = bound;
    let mut kept: Vec<Turn> = Vec::new();
    for turn in turns.into_iter().rev() {
        let Some(left) = room.checked_sub(fit::size(&turn)) else { break };
        room = left;
        kept.push(turn);
    }
    kept.into_iter().rev().flatten().collect()
}

#[cfg(test)]
mod tests {
    use sequent_model::{Part, Role, ToolCall};

    use super::*;

    const BOUND: usize = 40_000;

    /// A turn with a call whose result has this many bytes.
    fn turn(id: usize, bytes: usize) -> Turn {
        let call = ToolCall::new(format!("call_{id}"), "fetch", "{}");
        vec![
            Message::user("What is there?"),
            Message { role: Role::Assistant, parts: vec![Part::ToolCall(call)] },
            Message::tool_result(format!("call_{id}"), "x".repeat(bytes)),
            Message::assistant("That is there."),
        ]
    }

    fn results(messages: &[Message]) -> Vec<usize> {
        let tools = messages.iter().filter(|message| message.role == Role::Tool);
        tools.map(|message| fit::size(std::slice::from_ref(message))).collect()
    }

    #[test]
    fn the_oldest_results_are_left_out_first_and_the_words_stay() {
        let messages = fitted((0..6).map(|id| turn(id, 12_000)).collect(), BOUND);
        assert_eq!(messages.len(), 24);
        let results = results(&messages);
        assert!(results[..3].iter().all(|bytes| *bytes < 300), "{results:?}");
        assert_eq!(results[3..], [12_000; 3]);
        assert!(fit::size(&messages) <= BOUND);
    }

    #[test]
    fn the_beginning_stays_the_same_for_many_turns() {
        let mut changes = 0;
        let mut before: Vec<Message> = Vec::new();
        for turns in 1..30 {
            let messages = fitted((0..turns).map(|id| turn(id, 3_000)).collect(), BOUND);
            changes += usize::from(messages[..before.len()] != before[..]);
            before = messages;
        }
        assert!((1..=6).contains(&changes), "{changes} of 29 requests begin differently");
    }

    #[test]
    fn one_turn_with_too_many_results_keeps_its_words() {
        let long: Turn = (0..5).flat_map(|id| turn(id, 20_000)).collect();
        let messages = fitted(vec![long], BOUND);
        assert_eq!(messages.len(), 20);
        assert!(fit::size(&messages) <= BOUND, "{}", fit::size(&messages));
    }

    #[test]
    fn the_oldest_turns_are_left_out_when_their_words_are_too_many() {
        let said = |bytes: usize| vec![Message::assistant("x".repeat(bytes))];
        assert_eq!(fitted(vec![said(10), said(18_000), said(18_000), said(18_000)], BOUND).len(), 2);
    }
}
