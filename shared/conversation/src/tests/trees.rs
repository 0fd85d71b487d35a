//! Random histories of a conversation beside a simple model of its tree.
//!
//! `TREE_HISTORIES` sets their number, and `TREE_SEED` the first seed.

use std::{collections::BTreeSet, env};

use futures::{StreamExt, stream};
use sequent_core::{RunId, Timestamp};
use sequent_event::{Body, CancelReason, RunOutcome};
use sequent_runlog::{DynamoStorage, Writer};
use sequent_tables::CursorKey;

use crate::{
    Continues, Error, History, Message, MessageRole, NewFork, NewRun, Runs, TurnReference, TurnRequest,
    cancel, claim, create,
    testing::{Conversation, append_all, response},
};

/// Histories of a test run, unless `TREE_HISTORIES` is set.
const HISTORIES: u64 = 6;
/// Histories at a time.
const AT_ONCE: usize = 3;
const STEPS: usize = 25;

/// A run as the model knows it.
struct Turn {
    new: NewRun,
    after: Option<RunId>,
    /// The run was rolled back.
    is_removed: bool,
    is_answered: bool,
}

/// The live run with its owner.
struct Live {
    new: NewRun,
    owner: Box<Writer<DynamoStorage>>,
}

/// A conversation and the model of it.
struct Bench {
    conversation: Conversation,
    random: fastrand::Rng,
    turns: Vec<Turn>,
    head: Option<RunId>,
    live: Option<Live>,
    waiting: Vec<NewRun>,
}

impl Bench {
    async fn new(seed: u64) -> Self {
        Self {
            conversation: Conversation::new().await,
            random: fastrand::Rng::with_seed(seed),
            turns: Vec::new(),
            head: None,
            live: None,
            waiting: Vec::new(),
        }
    }

    fn turn(&self, run: RunId) -> &Turn {
        self.turns.iter().find(|turn| turn.new.run == run).unwrap()
    }

    fn turn_mut(&mut self, run: RunId) -> &mut Turn {
        self.turns.iter_mut().find(|turn| turn.new.run == run).unwrap()
    }

    /// The runs up to this one that have messages, oldest first.
    fn chain(&self, mut run: Option<RunId>) -> Vec<RunId> {
        let mut chain = Vec::new();
        while let Some(at) = run {
            let turn = self.turn(at);
            if !turn.is_removed {
                chain.push(at);
            }
            run = turn.after;
        }
        chain.reverse();
        chain
    }

    /// The messages of the runs, as the model knows them.
    fn messages_of(&self, chain: &[RunId]) -> Vec<(RunId, MessageRole)> {
        let both = |run: &RunId| {
            let answer = self.turn(*run).is_answered.then_some((*run, MessageRole::Assistant));
            [(*run, MessageRole::User)].into_iter().chain(answer)
        };
        chain.iter().flat_map(both).collect()
    }

    fn any_kept(&mut self) -> Option<RunId> {
        let kept: Vec<RunId> =
            self.turns.iter().filter(|turn| !turn.is_removed).map(|turn| turn.new.run).collect();
        self.random.choice(kept)
    }

    /// A place for a new run, and the run that it continues there.
    fn place(&mut self) -> (Continues, Option<RunId>) {
        let other = self.any_kept();
        match (self.random.u8(..6), other) {
            (0, Some(run)) => (Continues::Run(run), Some(run)),
            (1, Some(run)) => (Continues::Beside(run), self.turn(run).after),
            (2, _) => (Continues::Start, None),
            _ => (Continues::Head, self.head),
        }
    }

    /// A run whose id says nothing about the time of its creation: the clocks of two machines differ.
    fn new_run(&mut self, continues: Continues) -> NewRun {
        let run = RunId::from_bits(self.random.u128(..) >> 8);
        NewRun { run, continues, ..self.conversation.asking() }
    }

    fn created(&mut self, new: &NewRun, after: Option<RunId>) {
        self.turns.push(Turn { new: new.clone(), after, is_removed: false, is_answered: false });
        self.head = Some(new.run);
    }

    async fn step(&mut self) {
        match (self.random.u8(..6), self.live.take()) {
            (5, live) => {
                self.live = live;
                self.move_head().await;
            }
            (_, None) => self.begin().await,
            (0 | 1, Some(live)) => {
                self.live = Some(live);
                self.enqueue().await;
            }
            (2, Some(live)) => self.stop(live, CancelReason::Interrupted).await,
            (3, Some(live)) => self.stop(live, CancelReason::RolledBack).await,
            (_, Some(live)) => self.answer(live).await,
        }
    }

    /// Starts a run, or continues with one that waits.
    async fn begin(&mut self) {
        for at in 0..self.waiting.len() {
            let new = self.waiting[at].clone();
            let runs = &self.conversation.runs;
            let row = Runs::new(runs.tables(), new.tenant).get(new.run).await.unwrap();
            let Some(owner) = claim(runs, new.key(), &row, None).await.unwrap() else { continue };
            self.waiting.remove(at);
            let waits: BTreeSet<RunId> = self.waiting.iter().map(|other| other.run).collect();
            assert!(
                self.chain(Some(new.run)).iter().all(|run| !waits.contains(run)),
                "a run overtakes its own past"
            );
            let started = Body::RunStarted { thread_id: new.project, run_id: new.run, parent_run_id: None };
            owner.append(started).await.unwrap();
            self.live = Some(Live { new, owner });
            return;
        }
        assert!(self.waiting.is_empty(), "one of the waiting runs has the turn");
        let (continues, after) = self.place();
        let new = self.new_run(continues);
        let owner = self.conversation.begin(&new).await;
        self.created(&new, after);
        self.live = Some(Live { new, owner });
    }

    async fn enqueue(&mut self) {
        let (continues, after) = self.place();
        let new = self.new_run(continues);
        create(&self.conversation.runs, &new, TurnRequest::Wait).await.unwrap();
        self.created(&new, after);
        self.waiting.push(new);
    }

    async fn move_head(&mut self) {
        let Some(run) = self.any_kept() else { return };
        let Conversation { project, .. } = self.conversation;
        let moved =
            self.conversation.projects().change(project, None, Some(run), &[], Timestamp::now()).await;
        assert_eq!(moved.unwrap().head, Some(run));
        self.head = Some(run);
    }

    /// Forks the conversation and checks that the fork shows its beginning, and continues it.
    async fn check_fork(&mut self, run: RunId) {
        let Conversation { project, user, .. } = self.conversation;
        let new = NewFork { project, from: TurnReference::Run(run), user, name: None, quotes: &[] };
        let projects = self.conversation.projects();
        let has_ended = |run: &RunId| self.turn(*run).is_answered;
        let chain = self.chain(Some(run));
        let forked = Box::pin(projects.fork(&new, Timestamp::now())).await;
        if !chain.iter().all(has_ended) {
            assert!(matches!(forked, Err(Error::Busy(_))), "{forked:?}");
            return;
        }
        let fork = forked.unwrap();
        assert_eq!(fork.head, Some(run));
        let shown = projects.messages(fork.id).await.unwrap();
        assert_eq!(outline(&shown), self.messages_of(&chain), "the fork from {run}");
        for continues in [Continues::Head, Continues::Beside(run)] {
            let next = NewRun { project: fork.id, continues, ..self.conversation.asking() };
            create(&self.conversation.runs, &next, TurnRequest::Wait).await.unwrap();
            let row = Runs::new(self.conversation.runs.tables(), next.tenant).get(next.run).await.unwrap();
            let history = projects.messages_before(row.project_id, row.lineage, u32::MAX).await.unwrap();
            assert_eq!(outline(&history), self.messages_of(&self.chain(row.after)));
        }
    }

    async fn answer(&mut self, Live { new, owner }: Live) {
        let said = response("So.", 1, "stop");
        self.conversation.end(&owner, &new, said, RunOutcome::Success).await;
        self.turn_mut(new.run).is_answered = true;
    }

    async fn stop(&mut self, Live { new, owner }: Live, reason: CancelReason) {
        append_all(&owner, response("Half", 1, "stop")).await;
        cancel(&self.conversation.runs, new.key(), None, reason).await.unwrap();
        self.conversation.end(&owner, &new, Vec::new(), RunOutcome::Cancelled).await;
        let turn = self.turn_mut(new.run);
        turn.is_answered = true;
        turn.is_removed = reason == CancelReason::RolledBack;
        let after = turn.after;
        if reason == CancelReason::RolledBack && self.head == Some(new.run) {
            self.head = after;
        }
    }

    async fn check(&mut self) {
        let project = self.conversation.projects().get(self.conversation.project).await.unwrap();
        assert_eq!(project.head, self.head);
        let expected = self.messages_of(&self.chain(self.head));
        let shown = self.conversation.projects().messages(project.id).await.unwrap();
        assert_eq!(outline(&shown), expected, "the branch of the head");
        let Some(run) = self.any_kept() else { return };
        if self.random.u8(..4) == 0 {
            assert_eq!(self.paged(None).await, expected, "the same, page by page");
            let through = self.messages_of(&self.chain(Some(self.newest_end(run))));
            assert_eq!(self.paged(Some(run)).await, through, "the branch of {run}");
            Box::pin(self.check_fork(run)).await;
        }
        let row =
            Runs::new(self.conversation.runs.tables(), self.conversation.tenant).get(run).await.unwrap();
        let history = self
            .conversation
            .projects()
            .messages_before(row.project_id, row.lineage, u32::MAX)
            .await
            .unwrap();
        let after = self.turn(run).after;
        assert_eq!(outline(&history), self.messages_of(&self.chain(after)), "the history of {run}");
        assert_eq!(row.after, after);
    }

    /// The kept runs that continue this one, oldest first.
    fn successors(&self, of: Option<RunId>) -> Vec<RunId> {
        let continues = |turn: &&Turn| !turn.is_removed && turn.after == of;
        let mut runs: Vec<RunId> = self.turns.iter().filter(continues).map(|turn| turn.new.run).collect();
        runs.sort();
        runs
    }

    /// The last of the newest runs that continue one another from this one on.
    fn newest_end(&self, mut run: RunId) -> RunId {
        while let Some(next) = self.successors(Some(run)).pop() {
            run = next;
        }
        run
    }

    /// The messages of a branch, read in pages.
    async fn paged(&mut self, through: Option<RunId>) -> Vec<(RunId, MessageRole)> {
        let cursors = CursorKey::new("a key for tests".to_owned().into());
        let limit = Some(self.random.u32(1..9));
        let mut cursor: Option<String> = None;
        let mut all = Vec::new();
        loop {
            let Conversation { runs, tenant, project, .. } = &self.conversation;
            let history = History::new(runs.storage(), *tenant).through(through);
            let page = history.page(*project, &cursors, cursor.as_deref(), limit).await.unwrap();
            for message in &page.items {
                let siblings = self.successors(self.turn(message.run_id).after);
                let expected = if siblings.len() > 1 { siblings } else { Vec::new() };
                assert_eq!(message.siblings, expected, "the siblings of {}", message.run_id);
            }
            all.extend(page.items.iter().map(|message| (message.run_id, message.role)));
            cursor = page.next_cursor(&cursors);
            if cursor.is_none() {
                return all;
            }
            self.disturb().await;
        }
    }

    /// Moves the head to any run and back, as another person may do between two pages.
    async fn disturb(&mut self) {
        let Some(head) = self.head.filter(|head| !self.turn(*head).is_removed) else { return };
        let project = self.conversation.project;
        let other = self.any_kept().unwrap();
        for run in [other, head] {
            let moved = self.conversation.projects().change(project, None, Some(run), &[], Timestamp::now());
            moved.await.unwrap();
        }
    }
}

fn outline(messages: &[Message]) -> Vec<(RunId, MessageRole)> {
    messages.iter().map(|message| (message.run_id, message.role)).collect()
}

async fn history(seed: u64) {
    let mut bench = Bench::new(seed).await;
    for _ in 0..STEPS {
        Box::pin(bench.step()).await;
        Box::pin(bench.check()).await;
    }
}

fn number(name: &str, default: u64) -> u64 {
    env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[tokio::test]
async fn a_conversation_is_the_tree_that_its_runs_make() {
    let first = number("TREE_SEED", 0);
    let seeds = first..first + number("TREE_HISTORIES", HISTORIES);
    let histories = stream::iter(seeds).map(|seed| async move {
        eprintln!("TREE_SEED={seed}");
        Box::pin(history(seed)).await;
    });
    histories.buffer_unordered(AT_ONCE).collect::<Vec<_>>().await;
}
