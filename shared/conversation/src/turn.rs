//! The turn of a project: the right to answer in it.
//!
//! `live_run_id` in the project's row names the run that has the turn. Claiming and releasing it are conditional writes,
//! which is what makes "one run at a time per conversation" hold under any concurrency. A run that cannot have the turn
//! is stored as pending. Pending runs have the turn in the order in which their messages were sent.

use std::collections::BTreeSet;

use sequent_core::{ProjectId, RunId, TenantId, Timestamp};
use sequent_runlog::LogKey;
use sequent_tables::{Condition, Label, Retry, Store, Transaction, Update, attribute, exists, key};

use crate::{Error, MessageRole, Project, Projects, Run, RunStatus, outbox};

/// Latest messages of a project that are searched for waiting runs. Beyond them the order is not kept.
const LOOK_BACK: u32 = 50;

const PROJECT: Label = Label::new("project");

/// The result of claiming a project's turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TurnClaim {
    /// The run has the turn.
    Claimed,
    /// Another run has the turn, or comes first.
    Taken,
    /// The project was deleted while the run waited.
    ProjectDeleted,
}

/// Requires that the project exists, is not being deleted, and that no run has its turn.
pub(crate) fn is_free() -> Condition {
    exists().and(attribute("deleting").is_absent()).and(attribute("live_run_id").is_none())
}

/// Claims the turn for `run`.
fn claim_update(key: LogKey, project: ProjectId) -> Update {
    Update::of(&key::project(key.tenant, project)).set("live_run_id", key.run)
}

/// Claims the turn for a new run, which also counts as news of the project.
pub(crate) fn claim_for_new(key: LogKey, project: ProjectId, now: Timestamp) -> Update {
    claim_update(key, project).set("updated_at", now).when(is_free())
}

/// Releases the turn if the run has it.
pub(crate) fn release_update(key: LogKey, project: ProjectId, at: Timestamp) -> Update {
    Update::of(&key::project(key.tenant, project))
        .set("live_run_id", None::<RunId>)
        .set("updated_at", at)
        .when(attribute("live_run_id").equals(key.run))
}

/// Claims the turn for a pending run.
pub(crate) async fn claim(store: &Store, tenant: TenantId, run: &Run) -> Result<TurnClaim, Error> {
    let Some(project) = store.get::<Project>(&key::project(tenant, run.project_id)).await? else {
        return Ok(TurnClaim::ProjectDeleted);
    };
    // A run that has the turn already goes first, or it and an earlier run would wait for each other.
    if project.live_run_id != Some(run.id) && earlier_waits(store, tenant, run).await? {
        return Ok(TurnClaim::Taken);
    }
    let is_ours = exists().and(attribute("live_run_id").equals(run.id));
    let claim = claim_update(LogKey { tenant, run: run.id }, run.project_id).when(is_free().or(is_ours));
    let claimed = store.commit(Transaction::new().write(claim).label(PROJECT), Retry::BRIEF).await;
    match claimed {
        Ok(()) => Ok(TurnClaim::Claimed),
        Err(cancelled) if cancelled.refused(PROJECT) => Ok(TurnClaim::Taken),
        Err(cancelled) => Err(cancelled.into()),
    }
}

/// Releases the project's turn if the run of `key`, which has ended or will not be executed, still has it.
///
/// # Errors
/// Fails if the table fails.
pub(crate) async fn release_turn(store: &Store, key: LogKey, project: ProjectId) -> Result<(), Error> {
    let release = release_update(key, project, Timestamp::now());
    match store.commit(Transaction::new().write(release).label(PROJECT), Retry::BRIEF).await {
        Ok(()) => Ok(()),
        // Another run has the turn, or none has.
        Err(cancelled) if cancelled.refused(PROJECT) => Ok(()),
        Err(cancelled) => Err(cancelled.into()),
    }
}

/// Has the first waiting run of the project delivered. Call it after a run has ended and released the turn. If a crash
/// comes between the two, the sweep delivers the waiting run.
///
/// # Errors
/// Fails if the table fails.
pub async fn wake_next(store: &Store, tenant: TenantId, project: ProjectId) -> Result<(), Error> {
    let unanswered = unanswered(store, tenant, project).await?;
    let waiting = unanswered.iter().filter(|run| run.status == RunStatus::Pending);
    match waiting.min_by_key(|run| run.id) {
        Some(run) => outbox::queue(store, LogKey { tenant, run: run.id }).await,
        None => Ok(()),
    }
}

/// Returns `true` if a run of the project is pending. The turn may be free meanwhile: between the end of one run and the
/// start of the next, no run has it.
///
/// # Errors
/// Fails if the table fails.
pub(crate) async fn has_waiting(store: &Store, tenant: TenantId, project: ProjectId) -> Result<bool, Error> {
    let unanswered = unanswered(store, tenant, project).await?;
    Ok(unanswered.iter().any(|run| run.status == RunStatus::Pending))
}

/// Returns `true` if an earlier message of the project waits for its answer: runs answer in the order of their messages.
async fn earlier_waits(store: &Store, tenant: TenantId, run: &Run) -> Result<bool, Error> {
    let unanswered = unanswered(store, tenant, run.project_id).await?;
    let mut earlier = unanswered.iter().filter(|other| other.id < run.id);
    Ok(earlier.any(|other| matches!(other.status, RunStatus::Pending | RunStatus::Running)))
}

/// Returns the runs that the latest messages of a project started and that have not answered yet.
async fn unanswered(store: &Store, tenant: TenantId, project: ProjectId) -> Result<Vec<Run>, Error> {
    let messages = Projects::new(store, tenant).latest_messages(project, LOOK_BACK).await?;
    let of_role = |role| messages.iter().filter(move |message| message.role == role);
    let answered: BTreeSet<RunId> = of_role(MessageRole::Assistant).map(|message| message.run_id).collect();
    // A run that was steered has several user messages. A set, because a key may be read once per request.
    let asked: BTreeSet<RunId> = of_role(MessageRole::User).map(|message| message.run_id).collect();
    let keys: Vec<_> = asked.difference(&answered).map(|run| key::run(tenant, *run)).collect();
    Ok(store.get_many(&keys).await?)
}
