//! Creating a run: its log, its row, the user's message and the turn of its project, in one transaction.

mod rows;

use std::sync::Arc;

use sequent_billing::Reservation;
use sequent_core::{MessageId, ProjectId, RunId, TenantId, Timestamp, UserId};
use sequent_event::{Body, Configuration, RequestedLimits, UserContent};
use sequent_runlog::{
    AppendError, DynamoStorage, LogKey, Segment, Stopped, Storage as _, Unavailable, Writer,
};
use sequent_tables::{Cancelled, Label, Retry, Write};
use serde::Deserialize;
use tokio::sync::mpsc::Sender;

use crate::{
    Continues, Error, ForgetOldProjects, Project, ReplayedRun, RunOptions, RunStatus, RunStore,
    tree::Position,
};
use rows::{InitialState, NewRows};

const PROJECT: Label = Label::new("project");
const PARENT: Label = Label::new("parent");
const RESERVATION: Label = Label::new("reservation");
const CLAIM: Label = Label::new("claim");

/// A run to create.
#[derive(Debug, Clone)]
pub struct NewRun {
    /// The tenant that owns the run.
    pub tenant: TenantId,
    /// The user who starts the run.
    pub user: UserId,
    /// The id of the run. The caller chooses it, so that an idempotency record can name it.
    pub run: RunId,
    /// The project that the run answers in.
    pub project: ProjectId,
    /// Create the project with the run. Otherwise it must exist.
    pub new_project: bool,
    /// The user's message.
    pub content: UserContent,
    /// The name of the model. The default model if absent.
    pub model: Option<String>,
    /// The way in which the run works.
    pub options: RunOptions,
    /// The run that this one is a part of, and its owner.
    pub parent: Option<ParentRun>,
    /// Rows that are written with the run under conditions, such as its idempotency record or the client's name for a
    /// new project.
    pub claims: Vec<Write>,
    /// Other rows that are written with the run under conditions. The deletion of the project does not delete them.
    pub rows: Vec<Write>,
    /// The credits to hold for the run, where runs are charged for.
    pub reservation: Option<Box<Reservation>>,
    /// The place in the conversation. A child run, and the first run of a new project, have no other than the default.
    pub continues: Continues,
    /// The run that this one repeats, if any.
    pub replay: Option<Arc<ReplayedRun>>,
}

impl NewRun {
    /// A run with a new id and the message `content` in an existing project, with everything else at its default.
    #[must_use]
    pub fn new(tenant: TenantId, user: UserId, project: ProjectId, content: impl Into<UserContent>) -> Self {
        Self {
            tenant,
            user,
            run: RunId::new(),
            project,
            new_project: false,
            content: content.into(),
            model: None,
            options: RunOptions::default(),
            parent: None,
            claims: Vec::new(),
            rows: Vec::new(),
            reservation: None,
            continues: Continues::Head,
            replay: None,
        }
    }

    /// Returns the key of the run's log.
    #[must_use]
    pub fn key(&self) -> LogKey {
        LogKey { tenant: self.tenant, run: self.run }
    }

    fn parent_run(&self) -> Option<RunId> {
        self.parent.map(|parent| parent.run)
    }
}

/// The run that a new one is a part of. Only the owner of a run creates its children. Otherwise an owner that is slow could
/// create a child after another process has claimed the run, cancelled its children and ended it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "plain data")]
pub struct ParentRun {
    pub run: RunId,
    /// The epoch of the owner, the caller.
    pub epoch: u32,
}

/// The turn of a run that is created as pending.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TurnRequest {
    /// The run claims the project's turn, so that later runs find the project busy.
    Claim,
    /// The run waits until the earlier runs of the project have ended.
    Wait,
}

/// Creates a run, claims the project's turn for it, and makes the caller its owner. `observer` receives every segment
/// that the owner stores.
///
/// # Errors
/// [`Error::Busy`] if another run has the turn, [`Error::ProjectNotFound`], [`Error::ClaimTaken`],
/// [`Error::ReservationLost`], or when the table or the log fails. Nothing was stored then.
pub async fn create_claimed(
    runs: &RunStore,
    new: &NewRun,
    observer: Option<Sender<Arc<Segment>>>,
) -> Result<Box<Writer<DynamoStorage>>, Error> {
    let mut tries = Retry::CONTENDED.tries();
    loop {
        match Box::pin(try_create_claimed(runs, new, observer.clone())).await {
            Err(Error::HeadMoved) if tries.pause().await => {}
            created => return created,
        }
    }
}

async fn try_create_claimed(
    runs: &RunStore,
    new: &NewRun,
    observer: Option<Sender<Arc<Segment>>>,
) -> Result<Box<Writer<DynamoStorage>>, Error> {
    let now = runs.storage().now();
    let message = MessageId::new();
    let position = NewRows::position(runs, new).await?;
    let before = opening(new, &position, message);
    let after =
        vec![Body::RunStarted { thread_id: new.project, run_id: new.run, parent_run_id: new.parent_run() }];
    let rows = NewRows::of(runs, new, position, message, now, InitialState::Claimed)?.into_transaction_rows();
    let created = sequent_runlog::create_claimed(
        runs.storage(),
        new.key(),
        runs.settings(),
        before,
        after,
        Some(rows),
        observer,
    );
    match created.await {
        Ok(writer) => {
            forget_old_projects(runs, new, now).await;
            Ok(Box::new(writer))
        }
        Err(Unavailable(AppendError::RowsRefused(cancelled))) => {
            Err(refusal(cancelled, InitialState::Claimed))
        }
        Err(error) => Err(error.into()),
    }
}

/// Creates a pending run and has it delivered to a worker, which [claims](crate::claim) it when its turn has come.
///
/// A child run answers in no project, so it has no turn to wait for. A child that exists is left as it is: its parent
/// creates it again after a crash.
///
/// # Errors
/// As [`create_claimed`]. With [`TurnRequest::Wait`], or for a child, never [`Error::Busy`]. For a child of a run that the caller
/// does not own any more, [`Error::Stopped`] or [`Error::RunClosed`].
pub async fn create(runs: &RunStore, new: &NewRun, turn: TurnRequest) -> Result<(), Error> {
    let initial = match turn {
        TurnRequest::Claim => InitialState::Next,
        TurnRequest::Wait => InitialState::Waiting,
    };
    let mut tries = Retry::CONTENDED.tries();
    loop {
        match Box::pin(try_create(runs, new, initial)).await {
            Err(Error::HeadMoved) if tries.pause().await => {}
            created => return created,
        }
    }
}

async fn try_create(runs: &RunStore, new: &NewRun, initial: InitialState) -> Result<(), Error> {
    let now = runs.storage().now();
    let message = MessageId::new();
    let position = NewRows::position(runs, new).await?;
    let bodies = opening(new, &position, message);
    let rows = NewRows::of(runs, new, position, message, now, initial)?.into_transaction_rows();
    let created =
        sequent_runlog::create(runs.storage(), new.key(), runs.settings(), bodies, Some(rows)).await;
    match created {
        Ok(()) => {
            forget_old_projects(runs, new, now).await;
            Ok(())
        }
        Err(Unavailable(AppendError::Conflict(_))) if new.parent.is_some() => Ok(()),
        Err(Unavailable(AppendError::RowsRefused(cancelled))) => Err(refusal(cancelled, initial)),
        Err(error) => Err(error.into()),
    }
}

/// Finds the reason why a starting transaction was cancelled.
fn refusal(cancelled: Cancelled, initial: InitialState) -> Error {
    if cancelled.refused(RESERVATION) {
        return Error::ReservationLost;
    }
    if cancelled.refused(CLAIM) {
        return Error::ClaimTaken;
    }
    if cancelled.refused(PARENT) {
        return not_owned(cancelled.found(PARENT));
    }
    if !cancelled.refused(PROJECT) {
        return Unavailable(AppendError::RowsRefused(cancelled)).into();
    }
    match cancelled.found::<Project>(PROJECT) {
        Some(Project { deleting: false, live_run_id: Some(live), .. }) if initial.claims_turn() => {
            Error::Busy(live)
        }
        Some(Project { deleting: false, .. }) => Error::HeadMoved,
        _ => Error::ProjectNotFound,
    }
}

/// The lease of a parent's row, which another owner has, or no owner if the run has ended.
#[derive(Deserialize)]
struct ParentLease {
    status: RunStatus,
    lease_epoch: Option<u32>,
}

/// The error of a caller that does not own the parent of its child.
fn not_owned(parent: Option<ParentLease>) -> Error {
    match parent {
        Some(ParentLease { lease_epoch: Some(epoch), .. }) => Stopped::Fenced(epoch).into(),
        Some(ParentLease { status, .. }) => Error::RunClosed(status),
        None => Error::RunNotFound,
    }
}

/// Enqueues the deletion of conversations that are older than the plan keeps them, with the first run of a day, unless the
/// job of the day before has done so. If that fails, the first run of the next day makes up for it.
async fn forget_old_projects(runs: &RunStore, new: &NewRun, now: Timestamp) {
    let first_today = new.reservation.as_ref().filter(|reservation| reservation.first_today);
    if first_today.and_then(|reservation| reservation.plan.retention_days).is_none() {
        return;
    }
    let job = ForgetOldProjects::job(new.tenant, now);
    if let Err(error) = sequent_jobs::enqueue(runs.tables(), &job, now).await {
        tracing::warn!(%error, "could not enqueue the deletion of old projects; the next day's first run does");
    }
}

/// The configuration of the run: as requested, within the limits of the plan and of the credits that are held.
fn configuration(new: &NewRun, position: &Position) -> Configuration {
    let replay = new.replay.as_ref().map(|replay| Box::new(replay.origin()));
    let mut configuration = Configuration {
        lineage: position.lineage,
        approved_tools: position.approved_tools.clone(),
        replay,
        ..Configuration::from(new.options.clone())
    };
    let Some(reservation) = new.reservation.as_deref() else { return configuration };
    configuration.models.clone_from(&reservation.plan.models);
    let requested = limits(&configuration);
    if let Some(allowed) = &reservation.plan.tools {
        let requested = configuration.tools.take();
        configuration.tools = Some(match requested {
            Some(requested) => requested.into_iter().filter(|tool| allowed.contains(tool)).collect(),
            None => allowed.clone(),
        });
    }
    // The run stops where the credits that are held for it end.
    if let Some(most) = reservation.max_cost() {
        let budget = &mut configuration.budget.max_cost_micro_usd;
        *budget = Some(budget.map_or(most.0, |own| own.min(most.0)));
    }
    configuration.hold = Some(Box::new(reservation.hold.clone()));
    configuration.requested = (requested != limits(&configuration)).then(|| Box::new(requested));
    configuration
}

/// The limits that the plan or the account may lower.
fn limits(configuration: &Configuration) -> RequestedLimits {
    RequestedLimits {
        tools: configuration.tools.clone(),
        max_cost_micro_usd: configuration.budget.max_cost_micro_usd,
    }
}

/// The first events of the log: the configuration if it is not the default, the user's message, and the copies of a run
/// that is repeated.
pub(crate) fn opening(new: &NewRun, position: &Position, message_id: MessageId) -> Vec<Body> {
    let configuration = configuration(new, position);
    let is_default = configuration == Configuration::default();
    let configured = (!is_default).then_some(Body::RunConfigured(Box::new(configuration)));
    let message = Body::UserMessage {
        message_id,
        content: new.content.clone(),
        by: Some(new.user),
        model: new.model.clone(),
    };
    let copies = new.replay.iter().flat_map(|replay| replay.copies()).cloned();
    configured.into_iter().chain([message]).chain(copies).collect()
}
