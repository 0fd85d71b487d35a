//! `settle_run`: adds up a run that ended while its children or jobs were still using models, and charges it.
//!
//! The end of a run asks them to stop and does not wait for them. Their owners notice within a moment, and write down what
//! they used: children in their own logs, jobs in their rows. Until then the hold of the run stays, so that this use is
//! paid, too. The transaction that ends the run stores the job.

use std::{sync::Arc, time::Duration};

use sequent_billing::{Payer, Spent, hold};
use sequent_core::{JobId, RunId, TenantId, Timestamp, pace::scaled};
use sequent_event::{Body, ChildEnd, Event, State, Totals};
use sequent_jobs::{Context, Done, Failed, Job, JobKind, NewJob, RetryPolicy};
use sequent_runlog::{DynamoStorage, LogKey, Segment, Settings, read_all};
use sequent_tables::{Transaction, Update, Write, attribute, exists, key};
use serde::{Deserialize, Serialize};

use crate::{
    Run, RunCost, TokenUsage,
    cancel::{CHILD_LEFT_BEHIND, JOB_LEFT_BEHIND},
};

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

/// Returns `true` if a child or a job of the ended run may still be using a model.
pub(crate) fn has_usage_in_flight(state: &State) -> bool {
    let child =
        |ended: &ChildEnd| matches!(ended, ChildEnd::Failure { message, .. } if message == CHILD_LEFT_BEHIND);
    let mut children = state.children.iter().filter_map(|child| child.ended.as_ref());
    let mut jobs = state.jobs.iter().filter_map(|job| job.ended.as_ref());
    children.any(child) || jobs.any(|ended| ended.result == JOB_LEFT_BEHIND)
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
        let now = Timestamp::now();
        let used = Box::pin(used(&context.storage, log, now)).await?;
        if used.in_flight > 0 {
            let waits = format!("{} children or jobs of the run have not ended", used.in_flight);
            if now.since(input.ended_at) < scaled(PATIENCE) {
                return Err(Failed::Retry(waits));
            }
            tracing::error!(run = %input.run_id, waits, "settling a run without their further usage");
        }
        let settlement = LateSettlement::of(&context, input, &used).await?;
        let text = format!("{} micro-dollars", used.totals.cost_micro_usd.0);
        Ok(Done { writes: Some(Arc::new(move |writes| settlement.join(writes))), ..Done::text(text) })
    }
}

/// The usage of a run and of everything that it started.
struct RunUsage {
    state: State,
    totals: Totals,
    /// Children and jobs that may still be using a model.
    in_flight: u32,
}

/// Adds up the model calls of a run, of its jobs and of its children, each from where it was recorded first. The events
/// with which the run's own log repeats the usage of a child are older.
async fn used(storage: &DynamoStorage, log: LogKey, now: Timestamp) -> Result<RunUsage, Failed> {
    let segments = read_all(storage, log).await.map_err(Failed::retry)?;
    let events: Vec<Event> = segments.iter().flat_map(Segment::events).collect();
    let state = folded(log, &events);
    let mut totals = Totals::default();
    for event in &events {
        if let Some(Body::UsageRecorded(usage)) = event.body() {
            totals.count(usage);
        }
    }
    // A child that is in its parent's log and was never created has an empty log.
    let has_ended = events.is_empty() || (state.phase.is_closed() && !state.is_interrupted());
    let mut in_flight = u32::from(!has_ended);
    for job in &state.jobs {
        let place = key::job(log.tenant, job.job.job_id);
        let row: Option<Job> = storage.store().get(&place).await.map_err(Failed::retry)?;
        let reported = job.ended.as_ref().map(|ended| ended.usage).unwrap_or_default();
        totals.add(&row.as_ref().map_or(reported, |row| row.usage.into()));
        in_flight += u32::from(row.is_some_and(|row| may_work(&row, now)));
    }
    for child in &state.children {
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
    async fn of(context: &Context, input: SettleInput, used: &RunUsage) -> Result<Self, Failed> {
        let tenant = context.tenant;
        let totals = &used.totals;
        let place = key::run(tenant, input.run_id);
        let run: Option<Run> = context.store().get(&place).await.map_err(Failed::retry)?;
        // A run whose conversation was deleted has no row, and is paid for all the same.
        let update = run.as_ref().map(|_| {
            let tokens =
                TokenUsage { input_tokens: totals.input_tokens, output_tokens: totals.output_tokens };
            let cost = RunCost { micro_usd: totals.cost_micro_usd, incomplete: totals.incomplete };
            Write::from(Update::of(&place).set("usage", tokens).set("cost", cost).when(exists()))
        });
        let mut rows: Vec<Write> = update.into_iter().collect();
        if let Some(run) = &run {
            rows.extend(settle(context, input, used, run).await?);
        }
        Ok(Self { rows })
    }

    fn join(&self, transaction: Transaction) -> Transaction {
        self.rows.iter().cloned().fold(transaction, Transaction::write)
    }
}

/// Builds the writes that settle the hold, unless the account or the quota has none for the run.
async fn settle(
    context: &Context,
    input: SettleInput,
    used: &RunUsage,
    run: &Run,
) -> Result<Vec<Write>, Failed> {
    let Some(held) = &used.state.configuration.hold else { return Ok(Vec::new()) };
    let tenant = context.tenant;
    if !hold::is_stored(held, context.store(), tenant, input.run_id).await.map_err(Failed::retry)? {
        return Ok(Vec::new());
    }
    let payer = Payer { tenant, run: input.run_id, user: run.user_id, project: run.project_id };
    let cost = used.totals.cost_micro_usd;
    let is_held = attribute(["holds", &input.run_id.to_string()]).is_present();
    let mut writes = hold::settle(held, payer, cost, input.ended_at);
    if let Some(released) = writes.first_mut() {
        *released = released.clone().when(is_held);
    }
    let metering = Spent::job(held, payer, cost, input.ended_at);
    let metering = metering.into_iter().flat_map(|job| job.rows(Timestamp::now())).map(Write::put);
    Ok(writes.into_iter().chain(metering).collect())
}

#[cfg(test)]
mod tests;
