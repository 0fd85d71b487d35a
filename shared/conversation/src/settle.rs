//! `settle_run`: adds up a run that ended while its children or jobs were still using models, and charges it.
//!
//! The end of a run asks them to stop and does not wait for them. Their owners notice within a moment, and write down what
//! they used: children in their own logs, jobs in their rows. Until then the hold of the run stays, so that this use is
//! paid, too. The transaction that ends the run stores the job.

use std::{sync::Arc, time::Duration};

use sequent_billing::{Payer, Spent, hold};
use sequent_core::{JobId, RunId, TenantId, Timestamp, pace::scaled};
use sequent_event::{Body, Event, State, Totals};
use sequent_jobs::{Context, Done, Failed, Job, JobKind, NewJob, RetryPolicy};
use sequent_runlog::{DynamoStorage, LogKey, Segment, Settings, read_all};
use sequent_tables::{Retry, Transaction, Update, Write, attribute, exists, key};
use serde::{Deserialize, Serialize};

use crate::{Error, Run, RunCost, TokenUsage, statistics};

/// Time after the end of a run in which its children and jobs must have ended. It is shorter than the time after which the
/// audit reports the hold.
const PATIENCE: Duration = Duration::from_secs(4 * 60);

/// `settle_run`: adds up a run that ended before its children and jobs, and charges it.
#[derive(Debug, Clone, Copy, Default)]
pub struct SettleRun;

/// The input of [`SettleRun`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "plain data")]
pub struct SettleInput {
    pub run_id: RunId,
    /// End of the run.
    pub ended_at: Timestamp,
}

impl SettleRun {
    /// Returns the id of the job that settles the run. It is derived from the run, so that a run has one such job.
    #[must_use]
    pub fn job_id(run: RunId) -> JobId {
        JobId::from_bits(run.bits() ^ 2)
    }

    /// Returns the job to store with the end of the run.
    pub(crate) fn job(tenant: TenantId, run: RunId, ended_at: Timestamp) -> NewJob {
        let id = Self::job_id(run);
        NewJob { id, ..NewJob::of::<Self>(tenant, &SettleInput { run_id: run, ended_at }) }
    }
}

impl JobKind for SettleRun {
    const TYPE: &'static str = "settle_run";
    // More attempts than fit the patience, after which the run is settled in any case.
    const RETRY: RetryPolicy =
        RetryPolicy { attempts: 100, first: Duration::from_secs(2), longest: Duration::from_secs(20) };
    type Input = SettleInput;

    fn key(_: &SettleInput) -> Option<String> {
        None
    }

    async fn run(&self, input: SettleInput, context: Context) -> Result<Done, Failed> {
        let log = LogKey { tenant: context.tenant, run: input.run_id };
        let used =
            Box::pin(final_usage(&context.storage, log, input.ended_at)).await.map_err(Failed::retry)?;
        let settlement = LateSettlement::of(&context.storage, log, input.ended_at, &used).await;
        let settlement = settlement.map_err(Failed::retry)?;
        let text = format!("{} micro-dollars", used.totals.cost_micro_usd.0);
        Ok(Done { writes: Some(Arc::new(move |writes| settlement.join(writes))), ..Done::text(text) })
    }
}

/// Settles an ended run whose job [`SettleRun`] has failed for good or was cancelled, by what its log and those of its
/// children record. Its hold would stay otherwise, because a run and its job settle only as they end. A hold that has a
/// posting already was settled and is left alone: it contradicts the ledger.
///
/// # Errors
/// [`Error::StillRunning`] if a child or a job may still be using a model, or when the table or a log fails.
pub async fn settle_ended(storage: &DynamoStorage, log: LogKey) -> Result<(), Error> {
    let run: Option<Run> = storage.store().get(&key::run(log.tenant, log.run)).await?;
    let Some(run) = run.filter(Run::has_ended) else { return Ok(()) };
    if hold::is_posted(storage.store(), log.tenant, log.run).await? {
        return Ok(());
    }
    let ended_at = run.completed_at.unwrap_or(run.created_at);
    let used = Box::pin(final_usage(storage, log, ended_at)).await?;
    let settlement = LateSettlement::of(storage, log, ended_at, &used).await?;
    Ok(storage.store().commit(settlement.join(Transaction::new()), Retry::CONTENDED).await?)
}

/// The usage of a run and of everything that it started.
struct RunUsage {
    state: State,
    totals: Totals,
    /// Children and jobs that may still be using a model.
    in_flight: u32,
}

/// Returns the usage of an ended run that will not grow any more, or that has had the time to grow.
async fn final_usage(storage: &DynamoStorage, log: LogKey, ended_at: Timestamp) -> Result<RunUsage, Error> {
    let now = Timestamp::now();
    let used = Box::pin(used(storage, log, now)).await?;
    if used.in_flight > 0 {
        if now.since(ended_at) < scaled(PATIENCE) {
            return Err(Error::StillRunning(log.run));
        }
        let left = used.in_flight;
        tracing::error!(run = %log.run, left, "settling a run without the further usage of its children and jobs");
    }
    Ok(used)
}

/// Adds up the model calls of a run, of its jobs and of its children, each from where it was recorded first. The events
/// with which the run's own log repeats the usage of a child are older.
async fn used(storage: &DynamoStorage, log: LogKey, now: Timestamp) -> Result<RunUsage, Error> {
    let segments = read_all(storage, log).await?;
    let events: Vec<Event> = segments.iter().flat_map(Segment::events).collect();
    let state = folded(log, &events);
    let mut totals = Totals::default();
    // The calls, jobs and children of a run that this one repeats were charged to that run.
    let own = events.iter().filter(|event| event.seq > state.copied_through);
    for usage in own.filter_map(|event| event.body().and_then(Body::usage)) {
        totals.count(usage);
    }
    // A child that is in its parent's log and was never created has an empty log.
    let has_ended = events.is_empty() || (state.phase.is_closed() && !state.is_interrupted());
    let mut in_flight = u32::from(!has_ended);
    for job in state.own_jobs() {
        let place = key::job(log.tenant, job.job.job_id);
        let row: Option<Job> = storage.store().get(&place).await?;
        let reported = job.ended.as_ref().map(|ended| ended.usage).unwrap_or_default();
        totals.add(&row.as_ref().map_or(reported, |row| row.usage.into()));
        in_flight += u32::from(row.is_some_and(|row| may_work(&row, now)));
    }
    for child in state.own_children() {
        let child = Box::pin(used(storage, LogKey { run: child.run, ..log }, now)).await?;
        totals.add(&child.totals);
        in_flight += child.in_flight;
    }
    Ok(RunUsage { state, totals, in_flight })
}

/// Folds a log as far as that is possible. A run must be charged also if its log is damaged: the hold is in its first
/// events, and the model calls are counted one by one.
fn folded(log: LogKey, events: &[Event]) -> State {
    let mut state = State::default();
    if let Some(error) = events.iter().find_map(|event| state.apply(event).err()) {
        let run = log.run;
        tracing::error!(%run, %error, "the log is damaged; settling the run by what can be read of it");
    }
    state
}

/// Returns `true` if an attempt at the job may still be at work. The attempt at a cancelled job notices when it renews its
/// lease, and stores its usage then.
fn may_work(job: &Job, now: Timestamp) -> bool {
    let noticed = |ended: Timestamp| ended + Settings::default().lease < now;
    !job.has_ended() || (job.attempt > 0 && !job.completed_at.is_some_and(noticed))
}

/// The writes of a late settlement.
struct LateSettlement {
    rows: Vec<Write>,
}

impl LateSettlement {
    async fn of(
        storage: &DynamoStorage,
        log: LogKey,
        ended_at: Timestamp,
        used: &RunUsage,
    ) -> Result<Self, Error> {
        let totals = &used.totals;
        let place = key::run(log.tenant, log.run);
        // A run whose conversation was deleted has no row, and its deletion has settled it.
        let Some(run) = storage.store().get::<Run>(&place).await? else {
            return Ok(Self { rows: Vec::new() });
        };
        let tokens = TokenUsage { input_tokens: totals.input_tokens, output_tokens: totals.output_tokens };
        let cost = RunCost { micro_usd: totals.cost_micro_usd, incomplete: totals.incomplete };
        let update = Update::of(&place).set("usage", tokens).set("cost", cost).when(exists());
        let counted = statistics::counted_late(log.tenant, &run, tokens, cost);
        let mut rows = vec![Write::from(update)];
        rows.extend(counted.map(Write::from));
        rows.extend(settle(storage, &run, log, ended_at, used).await?);
        Ok(Self { rows })
    }

    fn join(&self, transaction: Transaction) -> Transaction {
        self.rows.iter().cloned().fold(transaction, Transaction::write)
    }
}

/// Builds the writes that settle the hold, unless the account or the quota has none for the run.
async fn settle(
    storage: &DynamoStorage,
    run: &Run,
    log: LogKey,
    ended_at: Timestamp,
    used: &RunUsage,
) -> Result<Vec<Write>, Error> {
    let LogKey { tenant, .. } = log;
    let Some(held) = &used.state.configuration.hold else { return Ok(Vec::new()) };
    if !hold::is_stored(held, storage.store(), tenant, run.id).await? {
        return Ok(Vec::new());
    }
    let payer = Payer { tenant, run: run.id, user: run.user_id, project: run.project_id };
    let cost = used.totals.cost_micro_usd;
    let is_held = attribute(["holds", &run.id.to_string()]).is_present();
    let mut writes = hold::settle(held, payer, cost, ended_at);
    if let Some(released) = writes.first_mut() {
        *released = released.clone().when(is_held);
    }
    let metering = Spent::job(held, payer, cost, ended_at);
    let metering = metering.into_iter().flat_map(|job| job.rows(Timestamp::now())).map(Write::put);
    Ok(writes.into_iter().chain(metering).collect())
}

#[cfg(test)]
mod tests;
