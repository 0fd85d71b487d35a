//! Starting a run for a request, the one use case behind every route that sends a message.
//!
//! A request is retried, meets a busy project, or finds that the account has changed since its credits were quoted.
//! [`RunStarter`] resolves all of it, in attempts: each begins with the request's idempotency record, finds the project,
//! reserves credits and creates the run. The request decides what happens in a busy project: [`OnConflict`].

mod live_run;
mod request;
mod setup;

use std::{sync::Arc, time::Duration};

use sequent_billing::{Credits, Error as BillingError};
use sequent_core::{MessageId, ProjectId, RunId, Timestamp, pace::scaled};
use sequent_definitions::Agents;
use sequent_event::Body;
use sequent_runlog::{DynamoStorage, LogKey, OBSERVED_SEGMENTS, Segment, Writer};
use sequent_tables::{
    Retry,
    idempotency::{self, Effect, Record},
};
use tokio::{
    sync::mpsc::{self, Receiver},
    time::{Instant, sleep},
};

pub use request::{Destination, OnConflict, RunRequest};
pub use setup::{RunChoices, RunSetup};

use crate::{
    Continues, Error, NewRun, Projects, RunOptions, RunRows, RunStore, TurnRequest,
    create::{create, create_claimed, opening},
    named_project,
    project_name::name_claim,
    tree::Position,
    turn::{self, first_waiting},
};
use live_run::LiveRun;

/// Pause before another attempt to reserve the credits of a run that has ended.
const RESERVE_PAUSE: Duration = Duration::from_millis(250);
/// Attempts to start a run. Each of them fails only because another request was first.
const ATTEMPTS: Retry = Retry::BRIEF;

/// A run that was started.
pub struct StartedRun {
    /// The id of the run.
    pub run: RunId,
    /// The project that the run answers in.
    pub project: ProjectId,
    /// An earlier request with the same idempotency key started the run.
    pub replayed: bool,
    /// The ownership of the run. `None` if another process executes it.
    pub owner: Option<OwnedRun>,
}

/// The ownership of a run.
pub struct OwnedRun {
    /// Appends to the log of the run.
    pub writer: Box<Writer<DynamoStorage>>,
    /// Receives every segment that the writer stores.
    pub stored: Receiver<Arc<Segment>>,
}

/// Starts runs for requests. Cheap to clone.
#[derive(Debug, Clone)]
pub struct RunStarter {
    runs: RunStore,
    credits: Credits,
    agents: Agents,
    /// Rows that are stored with the run.
    rows: Option<RunRows>,
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
        let agents = Agents::new(runs.tables().clone());
        Self { runs: runs.with_pricing(credits.pricing()), credits, agents, rows: None }
    }

    /// Reads agents from `agents`, whose cache the caller shares.
    #[must_use]
    pub fn with_agents(self, agents: Agents) -> Self {
        Self { agents, ..self }
    }

    /// Returns the agents of tenants.
    #[must_use]
    pub fn agents(&self) -> &Agents {
        &self.agents
    }

    /// Returns the events that the log of the run would begin with if it were the first one of its conversation. Stores
    /// nothing. What is refused here would be refused as a run.
    ///
    /// # Errors
    /// [`Error::Billing`], or when the table fails.
    pub async fn opening(&self, request: &RunRequest) -> Result<Vec<Body>, Error> {
        let new = self.reserve(request).await?;
        Ok(opening(&new, &Position::default(), MessageId::new()))
    }

    /// Stores these rows with the run that is started next, for a message that brings them.
    #[must_use]
    pub fn with_rows(&self, rows: Option<RunRows>) -> Self {
        Self { rows, ..self.clone() }
    }

    /// Returns the logs and rows of the runs.
    #[must_use]
    pub fn runs(&self) -> &RunStore {
        &self.runs
    }

    /// Returns the credits and the limits of tenants.
    #[must_use]
    pub fn credits(&self) -> &Credits {
        &self.credits
    }

    /// Starts a run that the caller executes and follows. If the run has to wait for others, a worker executes it. A live
    /// run that has to make way is given 10 seconds or two leases to end and release its credits.
    ///
    /// # Errors
    /// [`Error::Scope`] if the caller may not end a live run, [`Error::Busy`] or [`Error::StillRunning`] if the project is
    /// busy, [`Error::ProjectNotFound`],
    /// [`Error::ClaimTaken`], [`Error::KeyTaken`], [`Error::Billing`], or when the table or the log fails.
    pub async fn start(&self, request: &RunRequest) -> Result<StartedRun, Error> {
        self.until_started(request, Executor::Caller).await
    }

    /// Starts a run that a worker executes. The caller does not wait for a live run that has to make way, unless the
    /// account has no room for the new run as long as the live run holds credits.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn submit(&self, request: &RunRequest) -> Result<StartedRun, Error> {
        self.until_started(request, Executor::Worker).await
    }

    async fn until_started(&self, request: &RunRequest, executor: Executor) -> Result<StartedRun, Error> {
        request.authorise()?;
        let mut request = request.clone();
        let mut pauses = ATTEMPTS.pauses();
        loop {
            if let Some(replayed) = self.replayed(request.idempotency.as_ref()).await? {
                return Ok(replayed);
            }
            self.fix_place(&mut request).await?;
            let lost = match Box::pin(self.attempt(&request, executor)).await {
                Ok(Some(started)) => return Ok(started),
                Ok(None) => Error::ClaimTaken,
                Err(error @ (Error::ClaimTaken | Error::ReservationLost)) => error,
                Err(error) => return Err(error),
            };
            sleep(pauses.next().ok_or(lost)?).await;
            self.find_name(&mut request).await?;
        }
    }

    /// Returns the run that an earlier request with the same key started. Returns `None` if there was none.
    ///
    /// # Errors
    /// [`Error::KeyTaken`] if the key was used for another request, or when the table fails.
    pub async fn replayed(&self, key: Option<&idempotency::Request>) -> Result<Option<StartedRun>, Error> {
        let Some(keyed) = key else { return Ok(None) };
        let outcome = idempotency::lookup(self.runs.tables(), keyed, Timestamp::now()).await?;
        let record = outcome.replay()?;
        Ok(record.and_then(|record| match record.effect() {
            Effect::Run { run, project } => {
                Some(StartedRun { run: *run, project: *project, replayed: true, owner: None })
            }
            Effect::Pending { .. } | Effect::Response(_) => None,
        }))
    }

    /// Fixes the place of the new run, before a live run is rolled back. Refuses to continue the run that is rolled back.
    async fn fix_place(&self, request: &mut RunRequest) -> Result<(), Error> {
        let Destination::Project(project) = request.project else { return Ok(()) };
        let tenant = request.caller.tenant;
        request.continues = request.continues.fixed(self.runs.tables(), tenant, project).await?;
        if let Continues::Run(run) = request.continues
            && request.on_conflict == OnConflict::Rollback
        {
            let project = Projects::new(self.runs.tables(), tenant).get(project).await?;
            if project.live_run_id == Some(run) {
                return Err(Error::ContinuesRolledBack(run));
            }
        }
        Ok(())
    }

    /// Directs the request to the project that has the name of its new project by now.
    async fn find_name(&self, request: &mut RunRequest) -> Result<(), Error> {
        let Destination::NewProject { name: Some(name), .. } = &request.project else { return Ok(()) };
        if let Some(project) = named_project(self.runs.tables(), request.caller.tenant, name).await? {
            request.project = Destination::Project(project);
        }
        Ok(())
    }

    /// Makes one attempt. Returns `None` if another one is worthwhile.
    async fn attempt(&self, request: &RunRequest, executor: Executor) -> Result<Option<StartedRun>, Error> {
        let new = self.reserve_with_room(request).await?;
        let created = if self.has_to_wait(request, &new, executor).await? {
            create(&self.runs, &new, TurnRequest::Wait).await.map(|()| None)
        } else {
            self.create(&new, executor).await
        };
        match created {
            Ok(owner) => Ok(Some(started(&new, owner))),
            Err(Error::Busy(live)) => self.resolve(request, &new, live, executor).await,
            Err(error) => Err(error),
        }
    }

    async fn create(&self, new: &NewRun, executor: Executor) -> Result<Option<OwnedRun>, Error> {
        match executor {
            Executor::Caller => {
                let (observer, stored) = mpsc::channel(OBSERVED_SEGMENTS);
                let writer = Box::pin(create_claimed(&self.runs, new, Some(observer))).await?;
                Ok(Some(OwnedRun { writer, stored }))
            }
            Executor::Worker => create(&self.runs, new, TurnRequest::Claim).await.map(|()| None),
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
            Executor::Caller => {
                Ok(first_waiting(self.runs.tables(), new.tenant, new.project).await?.is_some())
            }
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
        if turn::has_ended(self.runs.tables(), key).await? {
            turn::release_of_ended(self.runs.tables(), key, new.project).await?;
            return Ok(None);
        }
        if request.on_conflict == OnConflict::Reject {
            return Err(Error::Busy(live));
        }
        if let Some(live) = LiveRun::to_end(&self.runs, request, key, new.project) {
            if executor == Executor::Caller {
                return live.end().await.map(|()| None);
            }
            live.stop().await?;
        }
        // The live run ends in its own time, and its end wakes the next.
        let without_live = request.on_conflict == OnConflict::Rollback && new.continues == Continues::Head;
        let continues = if without_live { Continues::HeadWithout(live) } else { new.continues };
        let new = NewRun { continues, ..new.clone() };
        create(&self.runs, &new, TurnRequest::Wait).await?;
        Ok(Some(started(&new, None)))
    }

    /// Reserves credits for the run. If the account has no room for it, and the live run of the project has to make way,
    /// ends that run first: its hold and its slot are free then. The live run goes on if the account would not allow the new
    /// run without it either.
    async fn reserve_with_room(&self, request: &RunRequest) -> Result<NewRun, Error> {
        let reserved = self.reserve(request).await;
        if !is_denied(&reserved) {
            return reserved;
        }
        let Some(live) = LiveRun::in_the_way(&self.runs, request).await? else { return reserved };
        let LogKey { tenant, run } = live.key();
        if !self.credits.have_room_without(run, tenant, request.priced()).await? {
            return reserved;
        }
        let give_up = live.end_of_patience();
        Box::pin(live.end()).await?;
        self.reserve_after(request, live.key(), give_up).await
    }

    /// Reserves credits for the run after `ended` has ended. A run whose children or jobs were still using models keeps its
    /// hold until they have written down what they used.
    async fn reserve_after(
        &self,
        request: &RunRequest,
        ended: LogKey,
        give_up: Instant,
    ) -> Result<NewRun, Error> {
        loop {
            // Read first: if the hold is released between the two reads, the denial is not the answer yet.
            let is_held = self.credits.are_held_for(ended.tenant, ended.run).await?;
            let reserved = self.reserve(request).await;
            if !is_held || !is_denied(&reserved) {
                return reserved;
            }
            if Instant::now() >= give_up {
                return Err(Error::StillRunning(ended.run));
            }
            sleep(scaled(RESERVE_PAUSE)).await;
        }
    }

    /// Reserves credits and prepares the run. Nothing is stored yet: the reservation is part of the transaction that
    /// creates the run.
    async fn reserve(&self, request: &RunRequest) -> Result<NewRun, Error> {
        let tenant = request.caller.tenant;
        let reservation = self.credits.reserve(tenant, request.priced()).await?;
        let run = RunId::new();
        let project = request.project.id();
        let mut claims = Vec::new();
        if let Some(keyed) = &request.idempotency {
            claims.push(Record::for_run(keyed, run, project, Timestamp::now())?);
        }
        if let Destination::NewProject { name: Some(name), .. } = &request.project {
            claims.push(name_claim(tenant, name, project)?);
        }
        Ok(NewRun {
            run,
            new_project: matches!(request.project, Destination::NewProject { .. }),
            model: request.setup.model.as_ref().map(ToString::to_string),
            options: RunOptions {
                scopes: request.caller.scopes.restriction(),
                ..request.setup.options.clone()
            },
            claims,
            rows: self.rows.as_ref().map(|rows| rows.of(run)).transpose()?.unwrap_or_default(),
            reservation: reservation.map(Box::new),
            continues: request.continues,
            replay: request.replay.clone(),
            ..NewRun::new(tenant, request.caller.user, project, request.prompt.content().clone())
        })
    }
}

/// Returns `true` if the account or its plan does not allow the run.
fn is_denied(reserved: &Result<NewRun, Error>) -> bool {
    matches!(reserved, Err(Error::Billing(BillingError::Denied(_))))
}

fn started(new: &NewRun, owner: Option<OwnedRun>) -> StartedRun {
    StartedRun { run: new.run, project: new.project, replayed: false, owner }
}

#[cfg(test)]
mod tests;
