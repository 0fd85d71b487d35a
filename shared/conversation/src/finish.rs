//! Finishing a run: the terminal segment and every row that repeats it, in one transaction.

use std::sync::Arc;

use sequent_billing::{Payer, Spent, hold};
use sequent_core::{MicroUsd, TenantId, Timestamp};
use sequent_event::{Body, CancelReason, Hold, Phase, RunOutcome, State};
use sequent_jobs::NewJob;
use sequent_runlog::{
    AppendError, DynamoStorage, Finish, LogKey, Signals, Stopped, TransactionRows, Unavailable, Writer,
};
use sequent_tables::{
    Cancelled, Key, Label, Row, Transaction, Update, Write,
    attributes::{LEASE_EPOCH, LEASE_UNTIL},
    exists, key,
};

use crate::{
    MAX_STEERING_MESSAGES, NameProject, PersonWaits, RebuildInput, RebuildProjections, Run, SettleRun,
    replies::{answers, compacts, prompt_ordinal},
    statistics, tree,
    turn::{self, TurnState},
};

const RUN: Label = Label::new("run");
const TURN: Label = Label::new("turn");
const SETTLEMENT: Label = Label::new("settlement");

/// Closes the log of the run with `bodies`, the last of which is terminal, and writes the run's final rows with it.
/// `known` are the signals that the owner has acted on: if there are others, nothing is closed.
///
/// Nothing but a failure of the table keeps a run from ending. If rows are refused for good, the end is stored without
/// them: a run that cannot end would be executed and paid for again and again.
///
/// # Errors
/// As [`Writer::finish`].
pub async fn finish(
    writer: &Writer<DynamoStorage>,
    tenant: TenantId,
    run: &Run,
    known: Signals,
    bodies: Vec<Body>,
) -> Result<Finish, Stopped> {
    finish_at(TurnState::Held, writer, tenant, run, known, bodies).await
}

/// As [`finish`], for a run that may never have had the turn.
pub(crate) async fn finish_at(
    place: TurnState,
    writer: &Writer<DynamoStorage>,
    tenant: TenantId,
    run: &Run,
    known: Signals,
    bodies: Vec<Body>,
) -> Result<Finish, Stopped> {
    let rolled_back = known.cancel == Some(CancelReason::RolledBack);
    let mut omitted = Omitted::default();
    loop {
        let run = run.clone();
        let rows = move |state: &State| -> Option<TransactionRows> {
            let rows = FinalRows::new(tenant, run.clone(), state, rolled_back, place);
            Some(Arc::new(move |transaction| rows.join(transaction, omitted)))
        };
        let cancelled = match writer.finish(known, bodies.clone(), rows).await? {
            Finish::RowsRefused(cancelled) => cancelled,
            finished => return Ok(finished),
        };
        omitted = match omitted.with_refused(&cancelled, rolled_back) {
            Some(omitted) => omitted,
            None => {
                return Err(Stopped::Unavailable(Arc::new(Unavailable(AppendError::RowsRefused(cancelled)))));
            }
        };
        tracing::error!(?omitted, error = %cancelled, "the table refused rows of the run's end; storing the end without them");
    }
}

/// The rows that the end of a run leaves out, because the table has refused them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Omitted {
    /// The way back of the head: a run that is rolled back is not the head any more.
    head: bool,
    /// The release of the turn: another run has it. The run gives up its place in the queue instead.
    turn: bool,
    /// The run's row, which is lost. The log is rebuilt into rows later.
    run: bool,
    /// The messages and the name of the project. They are rebuilt later.
    messages: bool,
    /// The settlement. The hold stays, and the audit reports it. A deleted quota has none.
    settlement: bool,
}

impl Omitted {
    /// Leaves out more, in view of this refusal. Returns `None` if there is no more to leave out.
    fn with_refused(self, cancelled: &Cancelled, rolled_back: bool) -> Option<Self> {
        if rolled_back && !self.head && cancelled.refused(TURN) {
            Some(Self { head: true, ..self })
        } else if !self.turn && cancelled.refused(TURN) {
            Some(Self { turn: true, ..self })
        } else if !self.run && cancelled.refused(RUN) {
            Some(Self { run: true, ..self })
        } else if !self.settlement && cancelled.refused(SETTLEMENT) {
            Some(Self { settlement: true, ..self })
        } else if !self.messages {
            Some(Self { messages: true, ..self })
        } else if !self.settlement {
            Some(Self { settlement: true, ..self })
        } else {
            None
        }
    }
}

/// Returns the events that close what is open in `state`: AG-UI requires that messages and steps end before the run.
#[must_use]
pub fn closing_bodies(state: &State) -> Vec<Body> {
    let messages = state.open.iter().map(|open| match open.reasoning {
        true => Body::ReasoningMessageEnd { message_id: open.id },
        false => Body::TextMessageEnd { message_id: open.id },
    });
    let reasoning = state.open_reasoning.iter().map(|id| Body::ReasoningEnd { message_id: *id });
    let tools = state.open_tools.iter().map(|id| Body::ToolCallEnd { tool_call_id: id.clone() });
    let steps = state.open_steps.iter().map(|name| Body::StepFinished { step_name: name.clone() });
    messages.chain(reasoning).chain(tools).chain(steps).collect()
}

/// The settlement of a run that has ended for good.
struct Settlement {
    hold: Box<Hold>,
    payer: Payer,
    cost: MicroUsd,
}

/// The final rows of a run.
struct FinalRows {
    key: LogKey,
    /// The row before this end.
    run: Run,
    ended: Update,
    answers: Vec<Row>,
    /// The mark of a coverage at the run's first message. It is with the answers if there are any.
    coverage_mark: Option<Update>,
    naming: Option<NewJob>,
    metering: Option<NewJob>,
    settlement: Option<Settlement>,
    /// The job that settles the run when its children and jobs have written down what they used.
    settling: Option<NewJob>,
    /// The numbers that the run adds to the counters of its agent.
    counted: Option<Update>,
    /// The place that the run gives up because it will never be executed again.
    given_up: Option<TurnState>,
    rolled_back: bool,
    /// The user messages to delete, because the exchange is rolled back.
    deleted_messages: Vec<Key>,
    at: Timestamp,
}

impl FinalRows {
    fn new(tenant: TenantId, run: Run, state: &State, rolled_back: bool, place: TurnState) -> Self {
        let at = state.ended_at.unwrap_or_else(Timestamp::now);
        let key = LogKey { tenant, run: run.id };
        let project = run.project_id;
        let is_child = run.parent_run_id.is_some();
        let waits = state.is_interrupted();
        let succeeded = state.phase == Phase::Finished(RunOutcome::Success);
        // An interrupted run goes on, and so does its answer. A child answers its parent.
        let has_answers = !rolled_back && !waits && !is_child;
        let is_late = !waits && state.usage_may_grow;
        let settles_now = !waits && !is_late;
        let settlement = state.configuration.hold.clone().filter(|_| settles_now).map(|hold| Settlement {
            hold,
            payer: Payer { tenant, run: run.id, user: run.user_id, project },
            cost: state.totals.cost_micro_usd,
        });
        let names = run.opens_project && succeeded && !rolled_back;
        let deleted = if rolled_back && !is_child { prompt_keys(tenant, &run, state) } else { Vec::new() };
        let answers = if has_answers { answer_rows(tenant, &run, state, at) } else { Vec::new() };
        let is_marked = has_answers && answers.is_empty() && compacts(state);
        let opening = prompt_keys(tenant, &run, state).into_iter().next().filter(|_| is_marked);
        Self {
            key,
            answers,
            counted: statistics::counted(tenant, &run.clone().projected(state)),
            coverage_mark: opening.map(|key| Update::of(&key).set("compacts", true).when(exists())),
            ended: run_update(key, run.clone(), state),
            naming: names.then(|| NameProject::job(tenant, project, key.run)),
            settling: is_late.then(|| SettleRun::job(tenant, key.run, at)),
            metering: settlement
                .as_ref()
                .and_then(|settlement| Spent::job(&settlement.hold, settlement.payer, settlement.cost, at)),
            settlement,
            given_up: (!waits && !is_child).then_some(place),
            rolled_back,
            run,
            deleted_messages: deleted,
            at,
        }
    }

    fn join(&self, mut transaction: Transaction, omitted: Omitted) -> Transaction {
        if !omitted.run {
            transaction = transaction.write(self.ended.clone()).label(RUN);
        }
        if let Some(counted) = &self.counted {
            transaction = transaction.write(counted.clone());
        }
        if let Some(place) = self.given_up {
            transaction = transaction.write(self.give_up(place, omitted)).label(TURN);
        }
        if !omitted.settlement {
            transaction = self.settle(transaction);
        }
        if !omitted.messages {
            transaction = self.keep_messages(transaction);
        }
        if omitted.messages || omitted.run {
            let input = RebuildInput { run_id: self.key.run };
            let rebuild = NewJob::of::<RebuildProjections>(self.key.tenant, &input);
            transaction = enqueue(transaction, &rebuild, self.at);
        }
        transaction
    }

    /// Gives up the run's place in its project. The head moves back from a run that is rolled back.
    fn give_up(&self, place: TurnState, omitted: Omitted) -> Write {
        if omitted.turn || place == TurnState::Waiting {
            return turn::stop_waiting(self.key.tenant, &self.run);
        }
        let release = turn::release_update(self.key, self.run.project_id, self.at);
        match self.rolled_back && !omitted.head {
            true => tree::rewind(release, self.run.id, self.run.lineage).into(),
            false => release.into(),
        }
    }

    fn settle(&self, mut transaction: Transaction) -> Transaction {
        if let Some(job) = &self.settling {
            transaction = enqueue(transaction, job, self.at);
        }
        let Some(Settlement { hold, payer, cost }) = &self.settlement else { return transaction };
        let writes = hold::settle(hold, *payer, *cost, self.at);
        let settle = |transaction: Transaction, write| transaction.write(write).label(SETTLEMENT);
        let transaction = writes.into_iter().fold(transaction, settle);
        self.metering.iter().fold(transaction, |transaction, job| enqueue(transaction, job, self.at))
    }

    fn keep_messages(&self, transaction: Transaction) -> Transaction {
        let answers = self.answers.iter().cloned().map(Write::put);
        let deletions = self.deleted_messages.iter().map(Write::delete);
        let marks = self.coverage_mark.iter().cloned().map(Write::from);
        let transaction = answers.chain(deletions).chain(marks).fold(transaction, Transaction::write);
        self.naming.iter().fold(transaction, |transaction, job| enqueue(transaction, job, self.at))
    }
}

/// Adds the rows of a job. A run ends once and its jobs have ids of their own, so they need no conditions.
fn enqueue(transaction: Transaction, job: &NewJob, at: Timestamp) -> Transaction {
    job.rows(at).into_iter().map(Write::put).fold(transaction, Transaction::write)
}

/// The rows of the run's answers.
pub(crate) fn answer_rows(tenant: TenantId, run: &Run, state: &State, at: Timestamp) -> Vec<Row> {
    let rows = answers(run, state, at).into_iter().map(|answer| {
        let key = key::message(tenant, run.project_id, run.lineage.depth, run.id, answer.ordinal);
        Row::new(&key, &answer.message).expect("a message serialises to a map")
    });
    rows.collect()
}

/// The keys of the messages that people sent to the run.
pub(crate) fn prompt_keys(tenant: TenantId, run: &Run, state: &State) -> Vec<Key> {
    let ordinals = (0..state.prompts.len()).map(prompt_ordinal);
    // More messages than a run takes are not stored as rows.
    let ordinals = ordinals.take(1 + MAX_STEERING_MESSAGES);
    let depth = run.lineage.depth;
    ordinals.map(|ordinal| key::message(tenant, run.project_id, depth, run.id, ordinal)).collect()
}

/// The run's row after an execution: the state of the log, and no lease. A run that waits for people stays in the due
/// index until the first of its questions expires.
fn run_update(key: LogKey, run: Run, state: &State) -> Update {
    let run = run.projected(state);
    let mut update = Update::of(&key::run(key.tenant, key.run))
        .set("status", run.status)
        .set("usage", run.usage)
        .set("cost", run.cost)
        .set("error", &run.error)
        .set("interrupts", &run.interrupts)
        .set("started_at", run.started_at)
        .set("completed_at", run.completed_at)
        .remove(LEASE_UNTIL)
        .remove(LEASE_EPOCH)
        .when(exists());
    if run.person_waits != PersonWaits::default() {
        update = update.set("person_waits", run.person_waits);
    }
    match run.interrupts.iter().filter_map(|question| question.expires_at).min() {
        Some(expiry) => update.gsi2(&key::active_run(run.id, expiry)),
        None => update.remove_gsi2().remove("opens_project"),
    }
}

#[cfg(test)]
mod tests;
