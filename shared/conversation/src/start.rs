//! Starting a run: its log, its row, the user's message and the project's claim, in one transaction.

mod rows;

use std::sync::Arc;

use crate::{ForgetOldProjects, Project};
use aws_sdk_dynamodb::types::AttributeValue as Value;
use sequent_billing::{Held, hold};
use sequent_core::{MessageId, ProjectId, RunId, TenantId, Timestamp, UserId};
use sequent_event::{Body, CancelReason, Configuration};
use sequent_runlog::{
    AppendError, Claim, DynamoStorage, LogKey, Segment, Settings, Storage, Unavailable, Writer, claim,
    create, create_claimed,
};
use sequent_tables::{Cancelled, Change, Item, Reason, Row, Transaction, key};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc::UnboundedSender;

use crate::{Error, Run, Status, Work, cancel, end::release, queue::unanswered};
use rows::{CLAIMS, FREE, HOLD, PLACE, Rows, Turn, text};
pub(crate) use rows::{asked_at, said_at};

/// What to do when the project already has a live run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum OnConflict {
    /// Refuse, naming the live run.
    #[default]
    Reject,
    /// Wait for its end, then run.
    Enqueue,
    /// Cancel it, keeping what it said, then run.
    Interrupt,
    /// Cancel it and drop its exchange from the conversation, then run.
    Rollback,
}

/// A run to start.
#[derive(Clone)]
pub struct Start {
    /// Whose.
    pub tenant: TenantId,
    /// Who asks.
    pub user: UserId,
    /// Its id: made by the caller, so that an idempotency record can name it.
    pub run: RunId,
    /// The conversation.
    pub project: ProjectId,
    /// Make the project rather than expect it.
    pub new_project: bool,
    /// What the user says.
    pub content: String,
    /// The model chosen, if one was.
    pub model: Option<String>,
    /// How to work.
    pub work: Work,
    /// The run that this one is a part of.
    pub parent: Option<RunId>,
    /// Rows that must not exist yet and are written with it: the request's idempotency record, a client's own name
    /// for a new project.
    pub claims: Vec<Row>,
    /// What is held for it, where runs are paid for.
    pub held: Option<Box<Held>>,
    /// The run whose exchange this one replaces in the conversation: its messages go.
    pub replaces: Option<RunId>,
}

/// What became of a start.
#[derive(Debug)]
pub enum Started {
    /// The caller owns the run.
    Owned(Box<Writer<DynamoStorage>>),
    /// The project's live run; nothing was stored.
    Busy(RunId),
}

/// What became of a submission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Submitted {
    /// The run is stored, and the next to answer in its project.
    Accepted,
    /// The project's live run; nothing was stored.
    Busy(RunId),
}

/// Starts the run and owns it.
///
/// # Errors
/// [`Error::NoProject`], [`Error::ClaimTaken`], or when the log cannot be written.
pub async fn start(
    storage: &DynamoStorage,
    settings: Settings,
    start: &Start,
    observer: Option<UnboundedSender<Arc<Segment>>>,
) -> Result<Started, Error> {
    let now = storage.now();
    let message_id = MessageId::new();
    let before = said(start, message_id);
    let after =
        vec![Body::RunStarted { thread_id: start.project, run_id: start.run, parent_run_id: start.parent }];
    let rows = Rows::new(storage, settings, start, message_id, now)?.companions(Turn::Now);
    let key = LogKey { tenant: start.tenant, run: start.run };
    match create_claimed(storage, key, settings, before, after, Some(rows), observer).await {
        Ok(writer) => {
            forget_old(storage, start, now).await;
            Ok(Started::Owned(Box::new(writer)))
        }
        Err(Unavailable(AppendError::RowsRefused(cancelled))) => refused(start, cancelled),
        Err(error) => Err(error.into()),
    }
}

/// Stores the run as pending and has it delivered: it executes when [`begin_pending`] finds its turn come. A child run
/// has no turn to wait for, and one that is stored already is left as it is: its parent makes it again after a crash.
///
/// # Errors
/// As [`start`].
pub async fn enqueue(storage: &DynamoStorage, settings: Settings, start: &Start) -> Result<(), Error> {
    match pend(storage, settings, start, Turn::Later).await? {
        Submitted::Accepted => Ok(()),
        Submitted::Busy(_) => Err(Error::NoProject),
    }
}

/// Stores the run as pending, has it delivered and takes the project for it, so that what comes later finds the
/// project busy; unless another run has it.
///
/// # Errors
/// As [`start`].
pub async fn submit(storage: &DynamoStorage, settings: Settings, start: &Start) -> Result<Submitted, Error> {
    pend(storage, settings, start, Turn::Next).await
}

async fn pend(
    storage: &DynamoStorage,
    settings: Settings,
    start: &Start,
    turn: Turn,
) -> Result<Submitted, Error> {
    let now = storage.now();
    let message_id = MessageId::new();
    let key = LogKey { tenant: start.tenant, run: start.run };
    let rows = Rows::new(storage, settings, start, message_id, now)?.companions(turn);
    match create(storage, key, settings, said(start, message_id), Some(rows)).await {
        Ok(()) => {
            forget_old(storage, start, now).await;
            Ok(Submitted::Accepted)
        }
        Err(Unavailable(AppendError::Conflict(_))) if start.parent.is_some() => Ok(Submitted::Accepted),
        Err(Unavailable(AppendError::RowsRefused(cancelled))) => match refused(start, cancelled)? {
            Started::Busy(live) => Ok(Submitted::Busy(live)),
            Started::Owned(_) => Err(Error::NoProject),
        },
        Err(error) => Err(error.into()),
    }
}

/// On the first run of a day, has conversations deleted that are older than the plan keeps them. One that fails is made up
/// for the next day.
async fn forget_old(storage: &DynamoStorage, start: &Start, now: Timestamp) {
    let Some(days) =
        start.held.as_ref().filter(|held| held.first_today).and_then(|held| held.plan.retention_days)
    else {
        return;
    };
    let job = ForgetOldProjects::job(start.tenant, days, now);
    if let Err(error) = sequent_jobs::enqueue(storage.store(), &job, now).await {
        tracing::warn!(%error, "old conversations are looked for tomorrow");
    }
}

/// What became of an attempt to begin a pending run.
#[derive(Debug)]
pub enum Begin {
    /// The caller owns the run.
    Owned(Box<Writer<DynamoStorage>>),
    /// Another run answers in the project, or another process began this one first.
    Wait,
    /// There is nothing to begin.
    Closed,
}

/// Begins a pending run if its project has no live run: first the project's claim, then the run's. A crash between
/// the two leaves the project claimed by a run that is still pending, which whoever follows it begins. A child run
/// answers in no project, so nothing stands in its way; one whose project is gone is ended.
///
/// # Errors
/// When the table or the log fails.
pub async fn begin_pending(
    storage: &DynamoStorage,
    settings: Settings,
    key: LogKey,
    run: &Run,
    observer: Option<UnboundedSender<Arc<Segment>>>,
) -> Result<Begin, Error> {
    let in_project = run.parent_run_id.is_none();
    if in_project && !take_turn(storage, settings, key, run).await? {
        return Ok(Begin::Wait);
    }
    match claim(storage, key, settings, true, observer).await? {
        Claim::Won(writer) => Ok(Begin::Owned(writer)),
        Claim::Held => Ok(Begin::Wait),
        Claim::Closed | Claim::Missing => {
            if in_project {
                release_project(storage, key, run.project_id).await?;
            }
            Ok(Begin::Closed)
        }
    }
}

/// Takes the project for the run. False when another run's turn it is.
async fn take_turn(
    storage: &DynamoStorage,
    settings: Settings,
    key: LogKey,
    run: &Run,
) -> Result<bool, Error> {
    let store = storage.store();
    let place = key::project(key.tenant, run.project_id);
    let Some(project) = store.get::<Project>(&place).await? else {
        // Deleted while the run waited: there is no conversation left to answer in, and nobody to ask again.
        let by_nobody = cancel(storage, settings, key.tenant, key.run, None, CancelReason::Requested);
        Box::pin(by_nobody).await?;
        return Ok(true);
    };
    // Whoever holds the project goes first, or both would wait for each other.
    if project.live_run_id != Some(run.id) && is_behind(storage, key, run).await? {
        return Ok(false);
    }
    let claim = Change {
        update: "SET live_run_id = :run".to_owned(),
        condition: Some(format!("{FREE} OR (attribute_exists(pk) AND live_run_id = :run)")),
        values: vec![(":run", text(run.id)), (":none", Value::Null(true))],
        ..Change::default()
    };
    match Transaction::new().update(store, &place, claim).run(store).await {
        Ok(()) => Ok(true),
        Err(Cancelled::Failed(error)) => Err(error.into()),
        Err(Cancelled::Reasons(_)) => Ok(false),
    }
}

/// Whether an earlier message of the project still waits for its answer: who came first is answered first.
async fn is_behind(storage: &DynamoStorage, key: LogKey, run: &Run) -> Result<bool, Error> {
    let unanswered = unanswered(storage.store(), key.tenant, run.project_id).await?;
    let mut earlier = unanswered.iter().filter(|other| other.id < run.id);
    Ok(earlier.any(|other| matches!(other.status, Status::Pending | Status::Running)))
}

/// Lets go of the project if `key`'s run, which has ended or will not begin, still holds it.
///
/// # Errors
/// When the table fails.
pub async fn release_project(storage: &DynamoStorage, key: LogKey, project: ProjectId) -> Result<(), Error> {
    let store = storage.store();
    let change = release(key.run, storage.now());
    match Transaction::new().update(store, &key::project(key.tenant, project), change).run(store).await {
        Ok(()) | Err(Cancelled::Reasons(_)) => Ok(()), // another run's, or free: as good
        Err(Cancelled::Failed(error)) => Err(error.into()),
    }
}

/// How the run is to work: as it was asked, within what its plan allows and what is held for it.
fn configuration(start: &Start) -> Configuration {
    let mut configuration = Configuration::from(start.work.clone());
    if let Some(Held { hold, plan, .. }) = start.held.as_deref() {
        if let Some(allowed) = &plan.tools {
            let asked = configuration.tools.take();
            let asked = asked.map(|asked| asked.into_iter().filter(|tool| allowed.contains(tool)).collect());
            configuration.tools = Some(asked.unwrap_or_else(|| allowed.clone()));
        }
        // It stops where what was held for it ends.
        let most = hold::most(hold).0;
        let budget = &mut configuration.budget.max_cost_micro_usd;
        *budget = Some(budget.map_or(most, |own| own.min(most)));
        configuration.hold = Some(Box::new(hold.clone()));
    }
    configuration
}

/// How the run begins: with what is said to it, and how it is to work where that is not the default.
fn said(start: &Start, message_id: MessageId) -> Vec<Body> {
    let configuration = configuration(start);
    let configured =
        (configuration != Configuration::default()).then_some(Body::RunConfigured(configuration));
    let message = Body::UserMessage {
        message_id,
        content: start.content.clone(),
        by: Some(start.user),
        model: start.model.clone(),
    };
    configured.into_iter().chain([message]).collect()
}

fn refused(start: &Start, cancelled: Cancelled) -> Result<Started, Error> {
    if start.held.is_some() && cancelled.condition_failed(HOLD) {
        return Err(Error::NotHeld);
    }
    let claims = CLAIMS + usize::from(start.held.is_some());
    if let Cancelled::Reasons(reasons) = &cancelled
        && (claims..reasons.len()).any(|index| cancelled.condition_failed(index))
    {
        return Err(Error::ClaimTaken);
    }
    let Cancelled::Reasons(mut reasons) = cancelled else {
        return Err(Unavailable(AppendError::RowsRefused(cancelled)).into());
    };
    let found: Option<Item> = match reasons.get_mut(PLACE) {
        Some(Reason::Condition(item)) => item.take().map(|item| *item),
        _ => return Err(Unavailable(AppendError::RowsRefused(Cancelled::Reasons(reasons))).into()),
    };
    let project: Option<Project> = found.and_then(|item| serde_dynamo::from_item(item).ok());
    match project.and_then(|project| project.live_run_id) {
        Some(live) => Ok(Started::Busy(live)),
        None => Err(Error::NoProject),
    }
}
