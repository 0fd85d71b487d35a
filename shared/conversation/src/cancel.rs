//! Cancels runs, their children and their jobs.

use std::sync::Arc;

use sequent_core::{Timestamp, UserId, pace::scaled};
use sequent_event::{Body, CancelReason, Child, Event, RunOutcome, State, Usage};
use sequent_runlog::{
    AppendError, Claim, ControlOutcome, Decision, DynamoStorage, Finish, LogKey, Segment, Signals, Stopped,
    Storage as _, TransactionRows, Unavailable, Writer, append_control, decide, read_all,
};
use sequent_tables::{Transaction, Update, exists, key};

use crate::{
    Error, GRACE, LostCall, Run, RunQuestion, RunStatus, RunStore, Runs, closing_bodies,
    finish::finish_at,
    turn::{self, wake_next},
};

/// Times that a request follows a run which is answered and asks again meanwhile.
const ROUNDS: usize = 8;

/// The result of cancelling a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cancel {
    /// The owner of the run ends it at its next write or read of the log.
    Requested,
    /// The run has ended because of the request.
    Done,
    /// The run had ended before.
    AlreadyEnded,
}

/// Requests cancellation. If the run has no live owner, ends it directly. Its text so far is kept.
///
/// # Errors
/// [`Error::RunNotFound`], or when the table or the log fails.
pub async fn cancel(
    runs: &RunStore,
    key: LogKey,
    by: Option<UserId>,
    reason: CancelReason,
) -> Result<Cancel, Error> {
    if !request(runs.storage(), key, Body::CancelRequested { by, reason }).await? {
        return Ok(Cancel::AlreadyEnded);
    }
    match end_if_abandoned(runs, key).await? {
        // The owner has met the request in the meantime.
        Cancel::AlreadyEnded => Ok(Cancel::Done),
        other => Ok(other),
    }
}

/// Stores the request in the log. Returns `false` if the run has ended.
pub(crate) async fn request(storage: &DynamoStorage, key: LogKey, cancel: Body) -> Result<bool, Error> {
    for _ in 0..ROUNDS {
        match append_control(storage, key, cancel.clone()).await? {
            ControlOutcome::Missing => return Err(Error::RunNotFound),
            ControlOutcome::Closed => return Ok(false),
            ControlOutcome::Appended(_) => return Ok(true),
            ControlOutcome::Waiting => {}
        }
        if request_of_waiting(storage, key, &cancel).await? {
            return Ok(true);
        }
    }
    Err(Unavailable(AppendError::Busy).into())
}

/// Stores the request in the log of a run that waits for people, together with the run's place in the due index: if this
/// process dies before it has ended the run, the sweep has it ended. Returns `false` if the run does not wait any more.
async fn request_of_waiting(storage: &DynamoStorage, key: LogKey, cancel: &Body) -> Result<bool, Error> {
    /// The run has been answered, or has ended.
    struct WaitsNoLonger;
    let decided = decide(storage, key, |state: &State| match state.is_interrupted() {
        true => Ok((vec![cancel.clone()], Some(rows_of_waiting(key, Timestamp::now())))),
        false => Err(WaitsNoLonger),
    });
    match decided.await? {
        Decision::Stored(_) => Ok(true),
        Decision::Refused(WaitsNoLonger) => Ok(false),
        Decision::Missing => Err(Error::RunNotFound),
    }
}

/// The row of a run that waited for people, with the request. Its questions need no answer any more.
fn rows_of_waiting(key: LogKey, now: Timestamp) -> TransactionRows {
    let update = Update::of(&key::run(key.tenant, key.run))
        .set("interrupts", Vec::<RunQuestion>::new())
        .gsi2(&key::active_run(key.run, now + scaled(GRACE)))
        .when(exists());
    Arc::new(move |transaction: Transaction| transaction.write(update.clone()))
}

/// Cancels a child run on behalf of its parent. Returns the event that reports it in the parent's log.
///
/// # Errors
/// Fails if the table or the log fails.
pub async fn cancel_child(runs: &RunStore, parent: LogKey, child: &Child) -> Result<Body, Error> {
    let key = LogKey { run: child.run, ..parent };
    match Box::pin(cancel(runs, key, None, CancelReason::Parent)).await {
        // A child that is in the parent's log and was not created has nothing to cancel.
        Ok(_) | Err(Error::RunNotFound) => {}
        Err(error) => return Err(error),
    }
    let segments = read_all(runs.storage(), key).await?;
    let events: Vec<Event> = segments.iter().flat_map(Segment::events).collect();
    let state = State::of(&events).map_err(Stopped::from)?;
    let has_ended = events.is_empty() || (state.phase.is_closed() && !state.is_interrupted());
    Ok(Body::SubagentError {
        subagent_run_id: child.run,
        message: "The child run was cancelled.".to_owned(),
        code: "cancelled".to_owned(),
        usage: state.totals,
        usage_may_grow: !has_ended,
    })
}

/// Cancels the open jobs of a run that is about to end; `state` is the state of its log. When this returns, the log
/// contains the ends of the jobs.
///
/// # Errors
/// Fails if the table or the log fails.
pub async fn cancel_jobs(runs: &RunStore, key: LogKey, state: &State) -> Result<(), Error> {
    let reason = "The run that this job belongs to has ended.";
    for job in state.open_jobs() {
        let now = runs.storage().now();
        match Box::pin(sequent_jobs::cancel(runs.storage(), key.tenant, job.job_id, reason, now)).await {
            // A job that is in the log and was not created has nothing to cancel.
            Ok(_) | Err(sequent_jobs::Error::NotFound) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Ends a cancelled run whose owner is dead, or that has never had one.
///
/// # Errors
/// [`Error::RunNotFound`], or when the table or the log fails.
pub async fn end_if_abandoned(runs: &RunStore, key: LogKey) -> Result<Cancel, Error> {
    let row = Runs::new(runs.tables(), key.tenant).get(key.run).await?;
    // A pending run needs no turn to end.
    let may_start = row.status == RunStatus::Pending;
    let writer = match sequent_runlog::claim(runs.storage(), key, runs.settings(), may_start, None).await? {
        Claim::Won(writer) => writer,
        Claim::Closed => return Ok(Cancel::AlreadyEnded),
        Claim::Held | Claim::Missing => return Ok(Cancel::Requested),
    };
    end(runs, key, &row, &writer).await?;
    Ok(Cancel::Done)
}

/// Ends a cancelled run on behalf of its owner, the caller.
pub(crate) async fn end(
    runs: &RunStore,
    key: LogKey,
    row: &Run,
    writer: &Writer<DynamoStorage>,
) -> Result<(), Error> {
    let bodies = end_bodies(runs, key, row, writer).await?;
    // The run has an owner now, so it cannot be given the turn any more if it does not have it.
    let place = turn::place(runs.tables(), key, row).await?;
    loop {
        let known: Signals = *writer.signals().borrow();
        let finished = finish_at(place, writer, key.tenant, row, known, bodies.clone()).await?;
        if let Finish::Done(_) = finished {
            break;
        }
    }
    if row.parent_run_id.is_none() {
        wake_next(runs.tables(), key.tenant, row.project_id).await?;
    }
    Ok(())
}

/// The event that records the model call which was lost with the owner of the run.
async fn lost_call(runs: &RunStore, key: LogKey, state: &State) -> Result<Body, Error> {
    let named = state.model.as_deref().and_then(|name| name.parse().ok());
    let model = named.or_else(|| runs.pricing().default_model.clone());
    let call = LostCall { model, input_tokens: None, finish_reason: Usage::CANCELLED };
    Ok(call.recorded(runs.pricing(), state, &read_all(runs.storage(), key).await?))
}

/// Stops the children and the jobs of the run. Returns the events that end it.
async fn end_bodies(
    runs: &RunStore,
    key: LogKey,
    row: &Run,
    writer: &Writer<DynamoStorage>,
) -> Result<Vec<Body>, Error> {
    let mut bodies = Vec::new();
    if writer.opening().is_interrupted() {
        // A run that waits for people ends in an execution of its own. It comes before the ends of the children, which
        // are allowed in an execution only.
        let parent_run_id = row.parent_run_id;
        bodies.push(Body::RunStarted { thread_id: row.project_id, run_id: row.id, parent_run_id });
    }
    for child in writer.opening().live_children() {
        bodies.push(cancel_child(runs, key, child).await?);
    }
    cancel_jobs(runs, key, writer.opening()).await?;
    bodies.extend(closing_bodies(writer.opening()));
    if writer.opening().call_in_flight {
        bodies.push(lost_call(runs, key, writer.opening()).await?);
    }
    let outcome = RunOutcome::Cancelled;
    bodies.push(Body::RunFinished { thread_id: row.project_id, run_id: row.id, outcome });
    Ok(writer.make_room(bodies).await?)
}
