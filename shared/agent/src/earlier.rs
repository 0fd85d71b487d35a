//! Reads the earlier turns of a conversation: what people and the model said, and the calls of tools with their results.
//!
//! A turn is one run. A model that sees only the texts of earlier turns does not know what its tools have said, asks again,
//! or makes it up. So the calls of the latest runs are read from their logs. Of older runs, requests contain only words. The
//! place where that begins is recorded in a log, and it moves by many turns at once: the beginning of the requests stays the
//! same for many turns, and providers cache by it.
//!
//! Each message that no summary covers is read, or a mark says that the beginning is not. So turns are covered before the next run
//! can have more messages than are read.

use std::collections::BTreeMap;

use futures::{StreamExt, TryStreamExt, stream};
use sequent_conversation::{Error, MAX_STEERING_MESSAGES, Message as StoredMessage, MessageRole, Projects};
use sequent_core::{ProjectId, TenantId};
use sequent_event::{Compaction, Event, Lineage, Seq, State, TurnPosition};
use sequent_model::Message;
use sequent_runlog::{Consistency, DynamoStorage, LogKey, Segment, Storage as _};

use crate::{
    conversation::{RunMessages, Turn, coverage, mark},
    transcript,
};

/// Earlier messages of the project that are read.
const MAX_MESSAGES: u32 = 150;
/// Messages that are not covered, above which the older ones are.
const MANY_MESSAGES: usize = 70;
/// Messages that then remain at most, if they are of more than one run.
const KEPT_MESSAGES: usize = 36;
/// Messages of a run at most: those of people, with an answer to each.
const MAX_MESSAGES_OF_RUN: usize = 2 * (1 + MAX_STEERING_MESSAGES);
// A run that begins when nothing has to be covered yet may have as many messages as there can be, and all are read.
const _: () = assert!(MANY_MESSAGES + MAX_MESSAGES_OF_RUN < MAX_MESSAGES as usize);
/// Runs whose calls a request contains at most. Each costs a read of its log before the first word of the answer.
const MAX_LOGS: usize = 12;
/// Runs whose calls remain when there are more.
const KEPT_LOGS: usize = 6;
/// Logs that are read at the same time.
const PARALLEL_READS: usize = 6;
/// Pages of the log of a run that are read. A run with more is in the request by its words only.
const PAGES: usize = 1;
/// Pages that are read of the log that covers a part of the conversation. Otherwise the part would be in requests again.
const PAGES_OF_COVERAGE: usize = 8;

/// The earlier turns of a conversation.
#[derive(Debug, Clone, Default)]
pub(crate) struct Earlier {
    pub(crate) turns: Vec<Turn>,
    /// The compactions of these turns.
    pub(crate) compactions: Vec<Compaction>,
    /// The last turn that is from now on in requests by its words only, if there are too many turns with calls.
    pub(crate) words: Option<TurnPosition>,
    /// The last turn that must be covered, because there are too many messages.
    pub(crate) cover: Option<TurnPosition>,
}

/// The messages of one run in the table.
struct RunRows {
    at: TurnPosition,
    rows: Vec<StoredMessage>,
}

impl RunRows {
    fn has_calls(&self) -> bool {
        self.rows.iter().any(|row| row.has_calls)
    }

    fn compacts(&self) -> bool {
        self.rows.iter().any(|row| row.compacts)
    }

    /// The turn without calls. Providers refuse messages without words, such as answers of calls alone.
    fn words(self) -> Turn {
        let spoken = self.rows.iter().filter(|row| !row.readable().trim().is_empty());
        let message = |row: &StoredMessage| match row.role {
            MessageRole::User => transcript::of_person(&row.user_content()),
            MessageRole::Assistant => Message::assistant(row.content.clone()),
        };
        Turn { at: self.at, messages: spoken.map(message).collect() }
    }
}

impl Earlier {
    /// Reads the turns before the run `key`, whose own log has led to `state`. They do not change while the run has the turn.
    pub(crate) async fn read(
        storage: &DynamoStorage,
        key: LogKey,
        project: ProjectId,
        state: &State,
    ) -> Result<Self, Error> {
        let lineage = state.configuration.lineage;
        let mut runs = by_run(rows_before(storage, key.tenant, project, lineage).await?);
        let turns = state.configuration.agent.as_ref().and_then(|agent| agent.turns);
        let cut = latest(&mut runs, turns).or_else(|| cut_run(&mut runs));
        let logs = read_logs(storage, key, &runs).await?;
        let marks = logs.values().flat_map(|log| &log.compactions).chain(&state.compactions);
        let known = marks.filter_map(|compaction| compaction.words).max();
        let words = words_through(&runs, known);
        let mut earlier = Self { words: words.filter(|words| Some(*words) != known), ..Self::default() };
        let rows = runs.iter().map(|run| (run.at, run.rows.len())).collect::<Vec<_>>();
        for run in runs {
            let log = logs.get(&run.at);
            let has_coverage = log.is_some_and(|log| coverage(&log.compactions).is_some());
            match log.filter(|_| has_coverage || Some(run.at) > words) {
                Some(log) => earlier.add_log(run.at, log),
                None => earlier.turns.push(run.words()),
            }
        }
        if !logs.values().any(|log| coverage(&log.compactions).is_some()) {
            let beginning = cut.map(|at| Turn { at, messages: vec![mark()] });
            earlier.turns.splice(0..0, beginning);
        }
        earlier.cover = earlier.cover_through(&rows, state);
        Ok(earlier)
    }

    /// Adds the turn of a log. What it covers is not part of the conversation any more.
    fn add_log(&mut self, at: TurnPosition, log: &State) {
        if let Some((covers, _)) = coverage(&log.compactions) {
            self.turns.retain(|turn| !covers.has_turn(turn.at));
        }
        self.compactions.extend(log.compactions.iter().cloned());
        let messages = RunMessages::of(log, false).iter().cloned().collect();
        self.turns.push(Turn { at, messages });
    }

    /// The last turn that must be covered, so that all messages that are not covered are among those that are read.
    fn cover_through(&self, rows: &[(TurnPosition, usize)], state: &State) -> Option<TurnPosition> {
        let covers = coverage(&state.compactions).map(|(covers, _)| covers);
        let open = |at: TurnPosition| {
            self.turns.iter().any(|turn| turn.at == at) && covers.is_none_or(|covers| !covers.has_turn(at))
        };
        let open: Vec<(TurnPosition, usize)> = rows.iter().copied().filter(|(at, _)| open(*at)).collect();
        let many: usize = open.iter().map(|(_, rows)| rows).sum();
        if many <= MANY_MESSAGES {
            return None;
        }
        let sums = open.iter().rev().scan(0, |sum, (_, rows)| {
            *sum += rows;
            Some(*sum)
        });
        let kept = sums.take_while(|sum| *sum <= KEPT_MESSAGES).count().max(1);
        let last = open.len().checked_sub(kept + 1)?;
        open.get(last).map(|(at, _)| *at)
    }
}

/// The latest messages of the runs that a run with this lineage continues.
pub(crate) async fn rows_before(
    storage: &DynamoStorage,
    tenant: TenantId,
    project: ProjectId,
    lineage: Lineage,
) -> Result<Vec<StoredMessage>, Error> {
    Projects::new(storage.store(), tenant).messages_before(project, lineage, MAX_MESSAGES).await
}

fn by_run(rows: Vec<StoredMessage>) -> Vec<RunRows> {
    let mut runs: Vec<RunRows> = Vec::new();
    for row in rows {
        let at = TurnPosition { depth: row.lineage.depth, run: row.run_id };
        match runs.last_mut().filter(|last| last.at == at) {
            Some(last) => last.rows.push(row),
            None => runs.push(RunRows { at, rows: vec![row] }),
        }
    }
    runs
}

/// Removes all runs but the latest `turns`, as the agent of the run chooses. Returns the turn before them if there is one.
fn latest(runs: &mut Vec<RunRows>, turns: Option<u32>) -> Option<TurnPosition> {
    let turns = usize::try_from(turns?).unwrap_or(usize::MAX);
    let removed = runs.len().saturating_sub(turns);
    runs.drain(..removed).next_back().map(|run| run.at)
}

/// Removes the oldest run if there are older messages than were read: some of its own may be among them. Returns its turn.
fn cut_run(runs: &mut Vec<RunRows>) -> Option<TurnPosition> {
    let rows: usize = runs.iter().map(|run| run.rows.len()).sum();
    let is_cut = rows >= MAX_MESSAGES as usize && runs.len() > 1;
    is_cut.then(|| runs.remove(0).at)
}

/// Returns the last turn of which requests contain only words: the `known` one, or a later one if too many runs after it have
/// calls.
fn words_through(runs: &[RunRows], known: Option<TurnPosition>) -> Option<TurnPosition> {
    let with_calls = runs.iter().filter(|run| run.has_calls() && Some(run.at) > known);
    let with_calls: Vec<TurnPosition> = with_calls.map(|run| run.at).collect();
    if with_calls.len() > MAX_LOGS { with_calls.iter().rev().nth(KEPT_LOGS).copied() } else { known }
}

/// Reads the logs of the latest runs with calls, and of the latest one that covers a part of the conversation.
async fn read_logs(
    storage: &DynamoStorage,
    key: LogKey,
    runs: &[RunRows],
) -> Result<BTreeMap<TurnPosition, State>, Error> {
    let with_calls = runs.iter().rev().filter(|run| run.has_calls()).take(MAX_LOGS);
    let compacting = runs.iter().rev().find(|run| run.compacts());
    let pages = |run: &RunRows| if run.compacts() { PAGES_OF_COVERAGE } else { PAGES };
    let wanted: BTreeMap<TurnPosition, usize> =
        with_calls.chain(compacting).map(|run| (run.at, pages(run))).collect();
    let reads = wanted.into_iter().map(|(at, pages)| async move {
        let log = of_log(storage, LogKey { run: at.run, ..key }, pages).await?;
        Ok::<_, Error>(log.map(|log| (at, log)))
    });
    let logs: Vec<_> = Box::pin(stream::iter(reads).buffered(PARALLEL_READS)).try_collect().await?;
    Ok(logs.into_iter().flatten().collect())
}

/// Reads the log of a run that has ended. Returns `None` if it is too long, or not understood.
async fn of_log(storage: &DynamoStorage, key: LogKey, pages: usize) -> Result<Option<State>, Error> {
    let mut events: Vec<Event> = Vec::new();
    for _ in 0..pages {
        let after = events.last().map_or(Seq::START, |event| event.seq);
        let page = storage.read(key, after, Consistency::Strong).await?;
        events.extend(page.segments.iter().flat_map(Segment::events));
        if !page.has_more {
            let state = State::of(&events).ok().filter(|state| state.phase.is_closed());
            return Ok(state.map(without_provisional));
        }
    }
    Ok(None)
}

/// Removes the coverages that only the run itself keeps to.
fn without_provisional(mut log: State) -> State {
    for compaction in log.compactions.iter_mut().filter(|compaction| compaction.provisional) {
        compaction.covers = None;
    }
    log
}

#[cfg(test)]
mod tests {
    use sequent_conversation::MessageStatus;
    use sequent_core::{MessageId, RunId, Timestamp};

    use super::*;

    /// The turn of this depth. The ids of its run and of others are not in the order of the turns.
    fn at(depth: u32) -> TurnPosition {
        TurnPosition { depth, run: RunId::from_bits(u128::from(depth * 7 % 5)) }
    }

    fn run(depth: u32, has_calls: bool) -> RunRows {
        let row = StoredMessage {
            id: MessageId::from_bits(depth.into()),
            project_id: ProjectId::from_bits(1),
            run_id: at(depth).run,
            lineage: Lineage { depth, ..Lineage::default() },
            role: MessageRole::Assistant,
            content: "Yes.".into(),
            parts: Vec::new(),
            truncated: false,
            has_calls,
            compacts: false,
            status: MessageStatus::Complete,
            created_at: Timestamp::from_millis(1),
        };
        RunRows { at: at(depth), rows: vec![row] }
    }

    #[test]
    fn the_runs_that_are_in_requests_by_their_words_change_seldom() {
        let mut known = None;
        let mut changes = 0;
        for turns in 1..40 {
            let runs: Vec<RunRows> = (1..=turns).map(|depth| run(depth, depth % 3 > 0)).collect();
            let words = words_through(&runs, known);
            changes += usize::from(words != known);
            known = words;
            let kept = runs.iter().filter(|run| run.has_calls() && Some(run.at) > known).count();
            assert!(kept <= MAX_LOGS, "{kept} logs");
        }
        assert_eq!(changes, 2, "of 39 turns with 26 that have calls");
    }

    #[test]
    fn many_messages_are_covered_by_half() {
        let turns = |count: u32| {
            let turn = |depth| Turn { at: at(depth), messages: Vec::new() };
            Earlier { turns: (1..=count).map(turn).collect(), ..Earlier::default() }
        };
        let rows: Vec<(TurnPosition, usize)> = (1..=50).map(|depth| (at(depth), 2)).collect();
        let state = State::default();
        assert_eq!(turns(35).cover_through(&rows[..35], &state), None);
        assert_eq!(turns(36).cover_through(&rows[..36], &state), Some(at(18)));
    }

    #[test]
    fn no_message_falls_out_before_it_is_covered() {
        let read = MAX_MESSAGES as usize;
        for sizes in
            [[2, 2, 2, 2], [2, 66, 2, 66], [66, 66, 66, 66], [70, 2, 2, 66], [35, 35, 66, 2], [1, 3, 66, 1]]
        {
            let mut open: Vec<(TurnPosition, usize)> = Vec::new();
            for (depth, size) in (0..400).zip(sizes.into_iter().cycle()) {
                let unread: usize = open.iter().map(|(_, rows)| rows).sum();
                assert!(unread < read, "{unread} messages are not covered: {sizes:?}");
                let turns = open.iter().map(|(at, _)| Turn { at: *at, messages: Vec::new() }).collect();
                let earlier = Earlier { turns, ..Earlier::default() };
                if let Some(through) = earlier.cover_through(&open, &State::default()) {
                    open.retain(|(at, _)| *at > through);
                }
                open.push((at(depth), size.min(MAX_MESSAGES_OF_RUN)));
            }
        }
    }

    #[test]
    fn the_oldest_run_is_left_out_if_some_of_its_messages_were_not_read() {
        let runs = |count: u32| (1..=count).map(|depth| run(depth, false)).collect::<Vec<_>>();
        let mut few = runs(MAX_MESSAGES - 1);
        assert_eq!((cut_run(&mut few), few.len()), (None, 149));
        let mut many = runs(MAX_MESSAGES);
        assert_eq!((cut_run(&mut many), many.len()), (Some(at(1)), 149));
    }
}
