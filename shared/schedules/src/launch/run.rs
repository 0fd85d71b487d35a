//! The runs of the deployment: started as `POST /api/runs` starts them, with the same holds, limits and problems.

use sequent_conversation::{
    Cancel, Continues, Destination, Error as RunError, OnConflict, Run, RunChoices, RunOptions, RunRequest,
    RunSetup, RunStarter, Runs, cancel,
};
use sequent_core::{
    ApiError, Code, Principal, ProjectId, RunId, ScheduleId, TenantId, Timestamp, UserId, Via,
};
use sequent_event::{CancelReason, RunSchedule};
use sequent_identity::{Authority, EndedAuthority};
use sequent_runlog::LogKey;
use sequent_tables::{
    Retry, Store,
    idempotency::{PayloadHash, Request},
    key,
};

use super::{Launch, Launched, Launcher};
use crate::{
    Error, LastRun, Occurrence, OverlapPolicy, ProjectPolicy, Schedule, ScheduleSpec, Schedules, StartRefusal,
};

/// Starts the runs of schedules. Cheap to clone.
#[derive(Debug, Clone)]
pub struct RunLauncher {
    starter: RunStarter,
}

impl RunLauncher {
    /// Starts runs with `starter`.
    #[must_use]
    pub fn new(starter: RunStarter) -> Self {
        Self { starter }
    }

    /// Checks that a run of `spec` could be started now, as far as the agent and its variables decide about it.
    ///
    /// # Errors
    /// As [`RunStarter::set_up`].
    pub async fn check(&self, caller: &Principal, spec: &ScheduleSpec) -> Result<(), Error> {
        self.set_up(caller, spec, None).await?;
        Ok(())
    }

    /// Starts a run of a schedule now, because `caller` asks for it.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Contended`], or as [`RunStarter::submit`].
    pub async fn run_now(
        &self,
        caller: &Principal,
        id: ScheduleId,
        idempotency: Option<Request>,
        now: Timestamp,
    ) -> Result<(Run, bool), Error> {
        let schedules = Schedules::new(self.store().clone());
        let occurrence = Occurrence::on_time(now);
        let mut tries = Retry::BRIEF.tries();
        loop {
            let schedule = schedules.get(caller.tenant, id).await?;
            let launch = Launch {
                tenant: caller.tenant,
                schedule: &schedule,
                occurrence: &occurrence,
                is_by_hand: true,
                now,
            };
            match self.submit(launch, caller, idempotency.as_ref()).await {
                Ok((run, replayed)) => {
                    let run = Runs::new(self.store(), caller.tenant).get(run.run_id).await?;
                    return Ok((run, replayed));
                }
                Err(RunError::ClaimTaken) if tries.pause().await => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    async fn submit(
        &self,
        launch: Launch<'_>,
        caller: &Principal,
        key: Option<&Request>,
    ) -> Result<(LastRun, bool), RunError> {
        let Launch { schedule, occurrence, .. } = launch;
        let setup = self.set_up(caller, &schedule.spec, key).await?;
        let origin = RunSchedule { id: schedule.id, due_at: occurrence.due, missed: occurrence.missed };
        let options = RunOptions { schedule: Some(origin), ..setup.options };
        let setup = RunSetup { options, ..setup };
        let continued = schedule.last_run.filter(|_| schedule.spec.project == ProjectPolicy::Same);
        let project = continued.map(|last| last.project_id);
        match Box::pin(self.submit_in(project, launch, caller, &setup, key)).await {
            // The conversation was deleted.
            Err(RunError::ProjectNotFound) if project.is_some() => {
                Box::pin(self.submit_in(None, launch, caller, &setup, key)).await
            }
            submitted => submitted,
        }
    }

    /// Starts a run in a project, or in a new one.
    async fn submit_in(
        &self,
        project: Option<ProjectId>,
        launch: Launch<'_>,
        caller: &Principal,
        setup: &RunSetup,
        key: Option<&Request>,
    ) -> Result<(LastRun, bool), RunError> {
        let project_id = project.unwrap_or_else(ProjectId::new);
        let spec = &launch.schedule.spec;
        let request = RunRequest {
            caller: caller.clone(),
            project: match project {
                Some(project) => Destination::Project(project),
                None => Destination::NewProject { id: project_id, name: None },
            },
            prompt: spec.input.prompt().clone(),
            setup: setup.clone(),
            on_conflict: on_conflict(spec.overlap),
            continues: Continues::Head,
            replay: None,
            idempotency: key.cloned(),
        };
        let starter = self.starter.with_rows(Some(launch.rows(project_id)));
        let started = Box::pin(starter.submit(&request)).await?;
        Ok((LastRun { run_id: started.run, project_id: started.project }, started.replayed))
    }

    /// Completes the choices of the schedule with those of its agent.
    async fn set_up(
        &self,
        caller: &Principal,
        spec: &ScheduleSpec,
        key: Option<&Request>,
    ) -> Result<RunSetup, RunError> {
        let choices = RunChoices {
            agent: spec.agent.clone(),
            variables: spec.variables.clone(),
            ..RunChoices::default()
        };
        self.starter.set_up(caller, choices, key).await
    }

    fn store(&self) -> &Store {
        self.starter.runs().tables()
    }
}

impl Launcher for RunLauncher {
    async fn ended_authority(
        &self,
        tenant: TenantId,
        schedule: &Schedule,
    ) -> Result<Option<EndedAuthority>, Error> {
        let authority = Authority { tenant, user: schedule.user_id, api_key: schedule.api_key };
        Ok(authority.ended(self.store(), Timestamp::now()).await?)
    }

    async fn is_live(&self, tenant: TenantId, run: RunId) -> Result<bool, Error> {
        match Runs::new(self.store(), tenant).get(run).await {
            Ok(run) => Ok(!run.has_ended()),
            Err(RunError::RunNotFound) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    async fn stop(&self, tenant: TenantId, run: RunId, by: UserId) -> Result<(), Error> {
        let key = LogKey { tenant, run };
        let cancelled = Box::pin(cancel(self.starter.runs(), key, Some(by), CancelReason::Interrupted)).await;
        match cancelled {
            Ok(Cancel::Requested | Cancel::Done | Cancel::AlreadyEnded) | Err(RunError::RunNotFound) => {
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn launch(&self, launch: Launch<'_>) -> Result<Launched, Error> {
        let Launch { tenant, schedule, occurrence, .. } = launch;
        let caller = Principal {
            tenant,
            user: schedule.user_id,
            session: None,
            api_key: None,
            scopes: schedule.scopes(),
            via: Via::Bearer,
        };
        let key = idempotency_key(tenant, schedule, occurrence);
        match Box::pin(self.submit(launch, &caller, Some(&key))).await {
            Ok((run, false)) => Ok(Launched::New(run)),
            Ok((run, true)) => Ok(Launched::Before(run)),
            Err(RunError::ClaimTaken) => Ok(Launched::Changed),
            Err(error @ RunError::Busy(_)) => Ok(Launched::Busy(refusal(&error))),
            Err(error) if is_transient(&error) => Err(error.into()),
            Err(error) => Ok(Launched::Refused(refusal(&error))),
        }
    }
}

/// The key of the run of a due time: the schedule and the due time. A second start leads to the same run.
fn idempotency_key(tenant: TenantId, schedule: &Schedule, occurrence: &Occurrence) -> Request {
    let name = format!("{} {}", schedule.id, occurrence.due.millis());
    let payload = PayloadHash::of("POST", "/api/schedules", name.as_bytes());
    Request { record: key::idempotency(tenant, "schedules.due", &name), payload }
}

const fn on_conflict(overlap: OverlapPolicy) -> OnConflict {
    match overlap {
        OverlapPolicy::Skip => OnConflict::Reject,
        OverlapPolicy::Queue => OnConflict::Enqueue,
        OverlapPolicy::Cancel => OnConflict::Interrupt,
    }
}

/// Returns `true` if the same start may succeed a moment later.
fn is_transient(error: &RunError) -> bool {
    let code = error.details().code;
    let is_passing = matches!(error, RunError::StillRunning(_) | RunError::KeyTaken(_));
    is_passing || code == Code::Conflict || code.kind().is_server_fault()
}

fn refusal(error: &RunError) -> StartRefusal {
    let details = error.details();
    StartRefusal { code: details.code.to_string(), detail: details.detail.into_owned() }
}
