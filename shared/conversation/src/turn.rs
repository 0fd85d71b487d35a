//! The turn of a project: the right to answer in it.
//!
//! `live_run_id` in the project's row names the run that has the turn. A run that cannot have the turn is stored as
//! pending, with a row of its own among the waiting runs of the project. The waiting runs have the turn in the order
//! of their depth, so each comes after those that it continues. Runs of one depth have it in the order of their messages.
//!
//! Invariants:
//!
//! * A pending run of a project has the turn or a waiting row. The transaction that claims the turn deletes the row, and
//!   so does the one that ends a run that never had the turn.
//! * A run loses the turn only when it has ended for good: in its terminal transaction, or in one that checks in
//!   its row that it has ended: the claim of the next run, or a repair. A run that waits for a person keeps it.
//! * A turn that an ended run still has does not block others: each claim looks at the run that has the turn. A run
//!   without a row counts as ended: no process can execute it.

use sequent_core::{ProjectId, RunId, TenantId, Timestamp};
use sequent_event::Lineage;
use sequent_runlog::LogKey;
use sequent_tables::{
    Condition, Error as TableError, Label, Page, PageRequest, Retry, Row, Store, Transaction, Update, Write,
    absent, attribute,
    attributes::{DELETING, LIVE_RUN_ID},
    exists, key,
};
use serde::{Deserialize, Serialize};

use crate::{Error, Project, Run, RunStatus, outbox};

const PROJECT: Label = Label::new("project");
const RUN: Label = Label::new("run");
const HOLDER: Label = Label::new("holder");

/// The result of claiming a project's turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TurnClaim {
    /// The run has the turn.
    Claimed,
    /// Another run has the turn or comes first, or the run is not pending any more.
    Taken,
    /// The project was deleted while the run waited, or is being deleted.
    ProjectDeleted,
}

/// The place of a run among the runs of its project.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TurnState {
    /// The run has the turn.
    Held,
    /// The run waits for the turn.
    Waiting,
}

/// An entry of a list of a project's runs.
#[derive(Debug, Serialize, Deserialize)]
struct ListedRun {
    run_id: RunId,
}

/// Requires that the project is not being deleted.
pub(crate) fn is_kept() -> Condition {
    attribute(DELETING).is_absent()
}

/// Claims the turn for `key`'s run, from `holder` if that is not `None`.
fn claim_update(key: LogKey, project: ProjectId, holder: Option<RunId>) -> Update {
    let live = attribute(LIVE_RUN_ID);
    let is_unchanged = match holder {
        Some(holder) => live.equals(holder),
        None => live.is_none(),
    };
    let update = Update::of(&key::project(key.tenant, project)).set(LIVE_RUN_ID, key.run);
    update.when(exists()).when(is_kept()).when(is_unchanged)
}

/// Claims the free turn for a new run, which also counts as news of the project.
pub(crate) fn claim_for_new(key: LogKey, project: ProjectId, now: Timestamp) -> Update {
    claim_update(key, project, None).set("updated_at", now)
}

/// Leaves the turn to others for a new run, which also counts as news of the project: the message must keep the project
/// from being deleted as old.
pub(crate) fn wait_for(key: LogKey, project: ProjectId, now: Timestamp) -> Update {
    let update = Update::of(&key::project(key.tenant, project)).set("updated_at", now);
    update.when(exists()).when(is_kept())
}

/// Returns the place of a run that has not ended. A run that is not pending keeps its place until it ends.
pub(crate) async fn place(store: &Store, key: LogKey, run: &Run) -> Result<TurnState, Error> {
    if run.parent_run_id.is_some() {
        return Ok(TurnState::Waiting); // a child has no turn, and no waiting row to delete
    }
    let project: Option<Project> = store.get(&key::project(key.tenant, run.project_id)).await?;
    let has_turn = project.is_some_and(|project| project.live_run_id == Some(run.id));
    Ok(if has_turn { TurnState::Held } else { TurnState::Waiting })
}

/// Releases the turn if the run has it. Only a transaction that ends the run, or checks that it has ended, may contain
/// this write.
pub(crate) fn release_update(key: LogKey, project: ProjectId, at: Timestamp) -> Update {
    Update::of(&key::project(key.tenant, project))
        .set(LIVE_RUN_ID, None::<RunId>)
        .set("updated_at", at)
        .when(attribute(LIVE_RUN_ID).equals(key.run))
}

/// The row of a new run that waits for the turn.
pub(crate) fn waiting_row(key: LogKey, project: ProjectId, lineage: Lineage) -> Result<Row, TableError> {
    let place = key::waiting_run(key.tenant, project, lineage.depth, key.run);
    Row::new(&place, &ListedRun { run_id: key.run })
}

/// The row that keeps a run of the project which is rolled back, and loses its messages.
pub(crate) fn replaced_row(key: LogKey, project: ProjectId) -> Result<Row, TableError> {
    Row::new(&key::replaced_run(key.tenant, project, key.run), &ListedRun { run_id: key.run })
}

/// Removes the run from the waiting runs of the project, if it is one.
pub(crate) fn stop_waiting(tenant: TenantId, run: &Run) -> Write {
    Write::delete(&key::waiting_run(tenant, run.project_id, run.lineage.depth, run.id))
}

/// Claims the turn for a pending run. While another run has the turn, this costs two reads of one row.
pub(crate) async fn claim(store: &Store, tenant: TenantId, run: &Run) -> Result<TurnClaim, Error> {
    let mut pauses = Retry::BRIEF.pauses();
    loop {
        if let Some(decided) = try_claim(store, tenant, run).await? {
            return Ok(decided);
        }
        // The sweep delivers the run again.
        let Some(pause) = pauses.next() else { return Ok(TurnClaim::Taken) };
        tokio::time::sleep(pause).await;
    }
}

/// Claims the turn as the project is now. Returns `None` if the turn changed hands meanwhile.
async fn try_claim(store: &Store, tenant: TenantId, run: &Run) -> Result<Option<TurnClaim>, Error> {
    let project: Option<Project> = store.get(&key::project(tenant, run.project_id)).await?;
    let Some(project) = project.filter(|project| !project.deleting) else {
        return Ok(Some(TurnClaim::ProjectDeleted));
    };
    let holder = project.live_run_id;
    if holder == Some(run.id) {
        return Ok(Some(TurnClaim::Claimed));
    }
    if let Some(holder) = holder
        && !has_ended(store, LogKey { tenant, run: holder }).await?
    {
        return Ok(Some(TurnClaim::Taken));
    }
    let first = first_waiting(store, tenant, project.id).await?;
    // A pending run without the turn is among the waiting runs itself.
    if first.is_some_and(|first| first != run.id) {
        return Ok(Some(TurnClaim::Taken));
    }
    take(store, tenant, run, holder).await
}

/// Moves the turn to a pending run. `holder` is the ended run that has it, if there is one. Returns `None` if the turn
/// changed hands meanwhile.
async fn take(
    store: &Store,
    tenant: TenantId,
    run: &Run,
    holder: Option<RunId>,
) -> Result<Option<TurnClaim>, Error> {
    let key = LogKey { tenant, run: run.id };
    let is_pending = attribute("status").equals(RunStatus::Pending);
    let mut transaction = Transaction::new()
        .write(claim_update(key, run.project_id, holder))
        .label(PROJECT)
        .write(stop_waiting(tenant, run))
        .write(Write::require(&key::run(key.tenant, key.run)).when(is_pending))
        .label(RUN);
    if let Some(holder) = holder {
        transaction = transaction.write(require_ended(LogKey { run: holder, ..key })).label(HOLDER);
    }
    match store.commit(transaction, Retry::BRIEF).await {
        Ok(()) => Ok(Some(TurnClaim::Claimed)),
        // Another process has begun the run or ended it.
        Err(cancelled) if cancelled.refused(RUN) => Ok(Some(TurnClaim::Taken)),
        Err(cancelled) if cancelled.any_refused() => Ok(None),
        Err(cancelled) => Err(cancelled.into()),
    }
}

/// Requires that the run will never be executed again.
fn require_ended(key: LogKey) -> Write {
    let has_ended = attribute("status").is_one_of(RunStatus::ENDED);
    Write::require_that(&key::run(key.tenant, key.run), absent().or(has_ended))
}

/// Returns `true` if the run, which has the turn, will never be executed again. Its row is written with the end of its log.
///
/// A row that is missing was deleted or lost, and does not appear later: the transaction that gives a run the turn writes
/// its row or requires it. A strongly consistent read after one of the project sees all or nothing of that transaction.
pub(crate) async fn has_ended(store: &Store, key: LogKey) -> Result<bool, Error> {
    let run: Option<Run> = store.get(&key::run(key.tenant, key.run)).await?;
    Ok(run.is_none_or(|run| run.has_ended()))
}

/// Releases the turn that an ended run still has. Does nothing if the run has not ended or does not have the turn.
///
/// # Errors
/// Fails if the table fails.
pub(crate) async fn release_of_ended(store: &Store, key: LogKey, project: ProjectId) -> Result<(), Error> {
    let release = release_update(key, project, Timestamp::now());
    let transaction = Transaction::new().write(release).write(require_ended(key));
    match store.commit(transaction, Retry::BRIEF).await {
        Ok(()) => Ok(()),
        Err(cancelled) if cancelled.any_refused() => Ok(()),
        Err(cancelled) => Err(cancelled.into()),
    }
}

/// Has the first waiting run of the project delivered. Call it after a run has ended and released the turn. If a crash
/// comes between the two, the sweep delivers the waiting run.
///
/// # Errors
/// Fails if the table fails.
pub async fn wake_next(store: &Store, tenant: TenantId, project: ProjectId) -> Result<(), Error> {
    match first_waiting(store, tenant, project).await? {
        Some(run) => outbox::queue(store, LogKey { tenant, run }).await,
        None => Ok(()),
    }
}

/// Returns the run that has the turn next, or `None` if no run waits. The turn may be free meanwhile: between the end of
/// one run and the start of the next, no run has it.
///
/// # Errors
/// Fails if the table fails.
pub(crate) async fn first_waiting(
    store: &Store,
    tenant: TenantId,
    project: ProjectId,
) -> Result<Option<RunId>, Error> {
    let request = PageRequest::new(key::waiting_runs(tenant, project)).oldest_first().limit(Some(1));
    let page: Page<ListedRun> = store.page(&request).await?;
    Ok(page.items.first().map(|waiting| waiting.run_id))
}
