//! Stopping a run.

use sequent_core::{RunId, TenantId, UserId};
use sequent_event::{Body, CancelReason, Child, Event, RunOutcome, State};
use sequent_runlog::{
    Claim, ControlOutcome, DynamoStorage, Finish, LogKey, Segment, Settings, Signals, Stopped, Storage,
    append_control, claim, read_all,
};

use crate::{Error, Runs, Status, closing_bodies, finish, queue::wake_next, start::release_project};

/// What became of a cancel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cancel {
    /// The owner was asked and will end the run at its next write or look.
    Requested,
    /// The run has ended on the request.
    Done,
    /// The run had ended before.
    AlreadyEnded,
}

/// Asks a run to stop, and ends it right here when nobody lives who could. What it said so far is kept.
///
/// # Errors
/// [`Error::NotFound`], or when the table or the log fails.
pub async fn cancel(
    storage: &DynamoStorage,
    settings: Settings,
    tenant: TenantId,
    run: RunId,
    by: Option<UserId>,
    reason: CancelReason,
) -> Result<Cancel, Error> {
    let key = LogKey { tenant, run };
    match append_control(storage, key, Body::CancelRequested { by, reason }).await? {
        ControlOutcome::Missing => return Err(Error::NotFound),
        ControlOutcome::Closed => return Ok(Cancel::AlreadyEnded),
        ControlOutcome::Appended(_) => {}
    }
    match end_if_abandoned(storage, settings, key).await? {
        // Its owner met the request before we looked.
        Cancel::AlreadyEnded => Ok(Cancel::Done),
        other => Ok(other),
    }
}

/// Cancels a child run on behalf of its parent. Gives what is then to stand in the parent's log.
///
/// # Errors
/// As [`cancel`].
pub async fn cancel_child(
    storage: &DynamoStorage,
    settings: Settings,
    parent: LogKey,
    child: &Child,
) -> Result<Body, Error> {
    let key = LogKey { run: child.run, ..parent };
    match Box::pin(cancel(storage, settings, key.tenant, key.run, None, CancelReason::Parent)).await {
        // A child that was written down and never made has nothing to cancel.
        Ok(_) | Err(Error::NotFound) => {}
        Err(error) => return Err(error),
    }
    let segments = read_all(storage, key).await?;
    let events: Vec<Event> = segments.iter().flat_map(Segment::events).collect();
    let state = State::of(&events).map_err(Stopped::from)?;
    Ok(Body::SubagentError {
        subagent_run_id: child.run,
        message: "The run it is a part of has ended.".to_owned(),
        code: "cancelled".to_owned(),
        usage: state.totals,
    })
}

/// Cancels the jobs of a run that is about to end, as far as its log in `state` knows them. Their ends stand in the log
/// when this returns.
///
/// # Errors
/// When the table or the log fails.
pub async fn cancel_jobs(storage: &DynamoStorage, key: LogKey, state: &State) -> Result<(), Error> {
    let why = "The run it is for has ended.";
    for job in state.open_jobs() {
        let now = storage.now();
        match Box::pin(sequent_jobs::cancel(storage, key.tenant, job.job_id, why, now)).await {
            // One that was written down and never made has nothing to cancel.
            Ok(_) | Err(sequent_jobs::Error::NotFound) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Ends a cancelled run whose owner is gone, or that nobody has begun.
///
/// # Errors
/// [`Error::NotFound`], or when the table or the log fails.
pub async fn end_if_abandoned(
    storage: &DynamoStorage,
    settings: Settings,
    key: LogKey,
) -> Result<Cancel, Error> {
    let row = Runs::new(storage.store(), key.tenant).get(key.run).await?;
    // A run that nobody has begun holds no project yet and needs none to end.
    let pending = row.status == Status::Pending;
    let writer = match claim(storage, key, settings, pending, None).await? {
        Claim::Won(writer) => writer,
        Claim::Closed => return Ok(Cancel::AlreadyEnded),
        Claim::Held | Claim::Missing => return Ok(Cancel::Requested),
    };
    let mut ended = Vec::new();
    for child in writer.opening().live_children() {
        ended.push(cancel_child(storage, settings, key, child).await?);
    }
    cancel_jobs(storage, key, writer.opening()).await?;
    loop {
        let known: Signals = *writer.signals().borrow();
        let mut bodies = closing_bodies(writer.opening());
        if writer.opening().is_interrupted() {
            // What waited for people ends in an execution of its own.
            let (thread_id, run_id) = (row.project_id, row.id);
            bodies.insert(0, Body::RunStarted { thread_id, run_id, parent_run_id: row.parent_run_id });
        }
        bodies.splice(0..0, ended.clone());
        bodies.push(Body::RunFinished {
            thread_id: row.project_id,
            run_id: row.id,
            outcome: RunOutcome::Cancelled,
        });
        if let Finish::Done(_) = finish(storage, &writer, key.tenant, &row, known, bodies).await? {
            // Whoever was about to begin it may have taken the project for it.
            release_project(storage, key, row.project_id).await?;
            if row.parent_run_id.is_none() {
                wake_next(storage.store(), key.tenant, row.project_id).await?;
            }
            return Ok(Cancel::Done);
        }
    }
}
