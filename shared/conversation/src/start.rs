//! Starting a run for a request, the one use case behind every route that sends a message.
//!
//! A request is retried, meets a busy project, or finds that the account has changed since its credits were quoted.
//! [`RunStarter`] resolves all of it, in attempts: each begins with the request's idempotency record, reserves credits
//! and creates the run. What a busy project means is the request's choice: [`OnConflict`].

use std::{sync::Arc, time::Duration};

use sequent_billing::{Credits, PricedRequest};
use sequent_core::{MicroUsd, Principal, ProjectId, RunId, Timestamp, pace::scaled};
use sequent_event::{CancelReason, Seq};
use sequent_model::ModelName;
use sequent_runlog::{DynamoStorage, Follow, LogKey, Poll, Segment, Storage as _, Writer};
use sequent_tables::{
    Row, Write,
    idempotency::{self, Effect, Record},
};
use serde::{Deserialize, Serialize};
use tokio::{
    sync::mpsc::{self, UnboundedReceiver},
    time::{Instant, timeout_at},
};

use crate::{
    Cancel, Error, NewRun, Prompt, RunOptions, RunStore, Turn, cancel, create, create_claimed,
    end_if_abandoned,
    turn::{has_waiting, release_turn},
};

/// Time in which an interrupted run must end, if two leases are not longer.
const INTERRUPTION: Duration = Duration::from_secs(10);

/// The policy for a project that has a live run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum OnConflict {
    /// Refuse the request and name the live run.
    #[default]
    Reject,
    /// Run after the live run and those that wait already.
    Enqueue,
    /// Cancel the live run and keep what it has said, then run.
    Interrupt,
    /// Cancel the live run and delete its messages from the conversation, then run.
    Rollback,
}

/// A request to start a run.
#[derive(Debug, Clone)]
pub struct RunRequest {
    /// The verified caller. The run has its scopes.
    pub caller: Principal,
    /// The project that the run answers in.
    pub project: Destination,
    /// The user's message.
    pub prompt: Prompt,
    /// The model that answers. The default model if absent.
    pub model: Option<ModelName>,
    /// The way in which the run works. Its scopes are those of the caller.
    pub options: RunOptions,
    /// The policy for a project that has a live run.
    pub on_conflict: OnConflict,
    /// The run whose messages this one replaces in the conversation.
    pub replaces: Option<RunId>,
    /// The idempotency key of the request. A retry with the same key leads to the same run.
    pub idempotency: Option<idempotency::Request>,
}

/// The project that a run answers in.
#[derive(Debug, Clone)]
pub enum Destination {
    /// This project of the tenant.
    Project(ProjectId),
    /// A project that is created with the run.
    NewProject {
        /// The id of the new project.
        id: ProjectId,
        /// Rows that are inserted with it, such as the client's own name for the project. None of them may exist.
        rows: Vec<Row>,
    },
}

impl Destination {
    /// Returns `project`, or a new project without further rows if it is `None`.
    #[must_use]
    pub fn or_new(project: Option<ProjectId>) -> Self {
        match project {
            Some(project) => Self::Project(project),
            None => Self::NewProject { id: ProjectId::new(), rows: Vec::new() },
        }
    }

    const fn id(&self) -> ProjectId {
        match self {
            Self::Project(id) | Self::NewProject { id, .. } => *id,
        }
    }
}

/// A run that was started.
pub struct StartedRun {
    /// The id of the run.
    pub run: RunId,
    /// The project that the run answers in.
    pub project: ProjectId,
    /// An earlier request with the same idempotency key started the run.
    pub replayed: bool,
    /// The ownership of the run. `None` if another process executes it.
    pub owner: Option<Owner>,
}

/// The ownership of a run.
pub struct Owner {
    /// Appends to the log of the run.
    pub writer: Box<Writer<DynamoStorage>>,
    /// Receives every segment that the writer stores.
    pub stored: UnboundedReceiver<Arc<Segment>>,
}

/// Starts runs for requests. Cheap to clone.
#[derive(Debug, Clone)]
pub struct RunStarter {
    runs: RunStore,
    credits: Credits,
}

/// The process that executes a new run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Executor {
    Caller,
    Worker,
}

impl RunStarter {
    /// Starts runs in `runs` with credits of `credits`.
    #[must_use]
    pub fn new(runs: RunStore, credits: Credits) -> Self {
        Self { runs, credits }
    }

    /// Returns the logs and rows of the runs.
    #[must_use]
    pub fn runs(&self) -> &RunStore {
        &self.runs
    }

    /// Starts a run that the caller executes and follows. If the run has to wait for others, a worker executes it. A live
    /// run that has to make way is given 10 seconds or two leases to end.
    ///
    /// # Errors
    /// [`Error::Busy`] or [`Error::StillRunning`] if the project is busy, [`Error::ProjectNotFound`],
    /// [`Error::ClaimTaken`], [`Error::KeyTaken`], [`Error::Billing`], or when the table or the log fails.
    pub async fn start(&self, request: &RunRequest) -> Result<StartedRun, Error> {
        self.until_started(request, Executor::Caller).await
    }

    /// Starts a run that a worker executes. The caller does not wait for a live run that has to make way.
    ///
    /// # Errors
    /// As [`start`](Self::start), but never [`Error::StillRunning`].
    pub async fn submit(&self, request: &RunRequest) -> Result<StartedRun, Error> {
        self.until_started(request, Executor::Worker).await
    }

    async fn until_started(&self, request: &RunRequest, executor: Executor) -> Result<StartedRun, Error> {
        let mut claim_taken = false;
        loop {
            if let Some(replayed) = self.replay(request).await? {
                return Ok(replayed);
            }
            // It was not a request with the same key that took the claim, so no further attempt can succeed.
            if claim_taken {
                return Err(Error::ClaimTaken);
            }
            match Box::pin(self.attempt(request, executor)).await {
                Ok(Some(started)) => return Ok(started),
                Ok(None) | Err(Error::ReservationLost) => {}
                Err(Error::ClaimTaken) => claim_taken = true,
                Err(error) => return Err(error),
            }
        }
    }

    /// Returns the run that an earlier request with the same key started.
    async fn replay(&self, request: &RunRequest) -> Result<Option<StartedRun>, Error> {
        let Some(keyed) = &request.idempotency else { return Ok(None) };
        let outcome = idempotency::lookup(self.runs.tables(), keyed, Timestamp::now()).await?;
        let record = outcome.replay()?;
        Ok(record.and_then(|record| match record.effect() {
            Effect::Run { run, project } => {
                Some(StartedRun { run: *run, project: *project, replayed: true, owner: None })
            }
            Effect::Pending { .. } | Effect::Response(_) => None,
        }))
    }

    /// Makes one attempt. Returns `None` if another one is worthwhile.
    async fn attempt(&self, request: &RunRequest, executor: Executor) -> Result<Option<StartedRun>, Error> {
        let new = self.reserve(request).await?;
        let created = if self.has_to_wait(request, &new, executor).await? {
            create(&self.runs, &new, Turn::Wait).await.map(|()| None)
        } else {
            self.create(&new, executor).await
        };
        match created {
            Ok(owner) => Ok(Some(started(&new, owner))),
            Err(Error::Busy(live)) => self.resolve(request, &new, live, executor).await,
            Err(error) => Err(error),
        }
    }

    async fn create(&self, new: &NewRun, executor: Executor) -> Result<Option<Owner>, Error> {
        match executor {
            Executor::Caller => {
                let (observer, stored) = mpsc::unbounded_channel();
                let writer = Box::pin(create_claimed(&self.runs, new, Some(observer))).await?;
                Ok(Some(Owner { writer, stored }))
            }
            Executor::Worker => create(&self.runs, new, Turn::Claim).await.map(|()| None),
        }
    }

    /// Returns `true` if the run must not claim the turn even if it is free: between the end of one run and the start of
    /// the next, the turn is free while earlier runs wait for it. A worker finds that out when it claims the run.
    async fn has_to_wait(
        &self,
        request: &RunRequest,
        new: &NewRun,
        executor: Executor,
    ) -> Result<bool, Error> {
        if new.new_project || request.on_conflict != OnConflict::Enqueue {
            return Ok(false);
        }
        match executor {
            Executor::Worker => Ok(true),
            Executor::Caller => has_waiting(self.runs.tables(), new.tenant, new.project).await,
        }
    }

    /// Applies the conflict policy to the live run of the project. Returns `None` if the turn is free now.
    async fn resolve(
        &self,
        request: &RunRequest,
        new: &NewRun,
        live: RunId,
        executor: Executor,
    ) -> Result<Option<StartedRun>, Error> {
        let key = LogKey { tenant: request.caller.tenant, run: live };
        if self.has_ended(key).await? {
            // It ended just now, or a crash came before it released the turn.
            release_turn(self.runs.tables(), key, new.project).await?;
            return Ok(None);
        }
        match request.on_conflict {
            OnConflict::Reject => return Err(Error::Busy(live)),
            OnConflict::Enqueue => {}
            OnConflict::Interrupt | OnConflict::Rollback => {
                let has_ended = self.stop(request, key).await?;
                if executor == Executor::Caller {
                    let has_ended = has_ended || self.wait_for_end(key).await?;
                    return if has_ended { Ok(None) } else { Err(Error::StillRunning(live)) };
                }
            }
        }
        // The live run ends in its own time, and its end wakes the next.
        create(&self.runs, new, Turn::Wait).await?;
        Ok(Some(started(new, None)))
    }

    async fn has_ended(&self, key: LogKey) -> Result<bool, Error> {
        let tail = self.runs.storage().tail(key).await?;
        Ok(tail.is_none_or(|tail| tail.leaves_closed() && !tail.waits_for_people()))
    }

    /// Cancels the live run. Returns `true` if it has ended.
    async fn stop(&self, request: &RunRequest, key: LogKey) -> Result<bool, Error> {
        let reason = match request.on_conflict {
            OnConflict::Rollback => CancelReason::RolledBack,
            OnConflict::Reject | OnConflict::Enqueue | OnConflict::Interrupt => CancelReason::Interrupted,
        };
        let cancelled = Box::pin(cancel(&self.runs, key, Some(request.caller.user), reason)).await?;
        Ok(cancelled != Cancel::Requested)
    }

    /// Waits for the end of a run that was asked to stop. If its owner turns out to be dead, ends it here. Returns `false`
    /// if the run did not end in time.
    async fn wait_for_end(&self, key: LogKey) -> Result<bool, Error> {
        let give_up = Instant::now() + scaled(INTERRUPTION).max(self.runs.settings().lease * 2);
        match timeout_at(give_up, Box::pin(self.end_of(key))).await {
            Ok(ended) => ended.map(|()| true),
            Err(_) => Ok(false),
        }
    }

    async fn end_of(&self, key: LogKey) -> Result<(), Error> {
        let settings = self.runs.settings();
        let mut follow = Follow::new(self.runs.storage().clone(), key, Seq::START);
        let mut next_check = Instant::now() + settings.lease;
        loop {
            match follow.poll().await? {
                Poll::Closed => return Ok(()),
                Poll::Event(_) => {}
                Poll::Idle(_) if Instant::now() >= next_check => {
                    next_check = Instant::now() + settings.idle_check;
                    if end_if_abandoned(&self.runs, key).await? != Cancel::Requested {
                        return Ok(());
                    }
                }
                Poll::Idle(_) => {}
            }
        }
    }

    /// Reserves credits and prepares the run. Nothing is stored yet: the reservation is part of the transaction that
    /// creates the run.
    async fn reserve(&self, request: &RunRequest) -> Result<NewRun, Error> {
        let model = request.model.as_ref().map(ModelName::as_str);
        let budget = request.options.budget.max_cost_micro_usd.map(MicroUsd);
        let priced = PricedRequest { model, content: request.prompt.as_str(), budget };
        let reservation = self.credits.reserve(request.caller.tenant, priced).await?;
        let run = RunId::new();
        let project = request.project.id();
        let now = Timestamp::now();
        let mut claims = Vec::new();
        if let Some(keyed) = &request.idempotency {
            claims.push(Record::for_run(keyed, run, project, now)?);
        }
        let mut new_project = false;
        if let Destination::NewProject { rows, .. } = &request.project {
            new_project = true;
            claims.extend(rows.iter().cloned().map(Write::insert));
        }
        Ok(NewRun {
            run,
            new_project,
            model: model.map(str::to_owned),
            options: RunOptions { scopes: request.caller.scopes.restriction(), ..request.options.clone() },
            claims,
            reservation: reservation.map(Box::new),
            replaces: request.replaces,
            ..NewRun::new(request.caller.tenant, request.caller.user, project, request.prompt.as_str())
        })
    }
}

fn started(new: &NewRun, owner: Option<Owner>) -> StartedRun {
    StartedRun { run: new.run, project: new.project, replayed: false, owner }
}

#[cfg(test)]
mod tests;
