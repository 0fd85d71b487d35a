//! Starting the runs of hooks, as `POST /api/runs` starts them, with the same holds, limits and problems.

use sequent_conversation::{
    Continues, Destination, Error as RunError, Prompt, RunChoices, RunOptions, RunRequest, RunRows, RunSetup,
    RunStarter, StartedRun,
};
use sequent_core::{Principal, ProjectId, Timestamp};
use sequent_event::{DataPart, RunHook, UserContent, UserPart};
use sequent_tables::{
    Condition, Error as DataError, Retry, Update, Write, attribute,
    idempotency::{PayloadHash, Request},
    key,
};
use serde_json::json;

use crate::{CalledHook, Error, HookBody, HookProject, HookSpec, Hooks};

/// Starts the runs of hooks. Cheap to clone.
#[derive(Debug, Clone)]
pub struct HookLauncher {
    hooks: Hooks,
    starter: RunStarter,
}

impl HookLauncher {
    /// Starts runs of `hooks` with `starter`.
    #[must_use]
    pub fn new(hooks: Hooks, starter: RunStarter) -> Self {
        Self { hooks, starter }
    }

    /// Returns the hooks that it starts runs of.
    #[must_use]
    pub fn hooks(&self) -> &Hooks {
        &self.hooks
    }

    /// Checks that a run of `spec` could be started now, as far as the agent and its variables decide about it.
    ///
    /// # Errors
    /// As [`RunStarter::set_up`].
    pub async fn check(&self, caller: &Principal, spec: &HookSpec) -> Result<(), Error> {
        self.set_up(caller, spec, None).await?;
        Ok(())
    }

    /// Starts a run for a request to the hook. Requests with the same `key` and body lead to the same run.
    ///
    /// # Errors
    /// [`Error::TooLong`], [`Error::UnknownToken`] if the hook has changed, [`Error::Contended`], or as
    /// [`RunStarter::submit`].
    pub async fn launch(
        &self,
        called: &CalledHook,
        body: HookBody,
        key: Option<&str>,
        now: Timestamp,
    ) -> Result<StartedRun, Error> {
        let mut called = called.clone();
        let key = key.map(|key| idempotency_key(&called, key, &body));
        let mut tries = Retry::BRIEF.tries();
        loop {
            match Box::pin(self.submit(&called, &body, key.as_ref(), now)).await {
                Err(Error::Run(RunError::ClaimTaken)) if tries.pause().await => {
                    called = self.hooks.called_again(&called).await?;
                }
                Err(Error::Run(RunError::ClaimTaken)) => return Err(Error::Contended),
                submitted => return submitted,
            }
        }
    }

    async fn submit(
        &self,
        called: &CalledHook,
        body: &HookBody,
        key: Option<&Request>,
        now: Timestamp,
    ) -> Result<StartedRun, Error> {
        let hook = &called.hook;
        let caller = called.caller();
        let setup = self.set_up(&caller, &hook.spec, key).await?;
        let options = RunOptions { hook: Some(RunHook { id: hook.id }), ..setup.options };
        let request = RunRequest {
            caller,
            project: Destination::or_new(None),
            prompt: message(&hook.spec, body)?,
            setup: RunSetup { options, ..setup },
            on_conflict: hook.spec.on_conflict,
            continues: Continues::Head,
            replay: None,
            idempotency: key.cloned(),
        };
        let project = hook.project_id.filter(|_| hook.spec.project == HookProject::Same);
        match Box::pin(self.submit_in(project, called, &request, now)).await {
            // The conversation was deleted.
            Err(RunError::ProjectNotFound) if project.is_some() => {
                Ok(Box::pin(self.submit_in(None, called, &request, now)).await?)
            }
            submitted => Ok(submitted?),
        }
    }

    /// Starts a run in a project, or in a new one.
    async fn submit_in(
        &self,
        project: Option<ProjectId>,
        called: &CalledHook,
        request: &RunRequest,
        now: Timestamp,
    ) -> Result<StartedRun, RunError> {
        let project_id = project.unwrap_or_else(ProjectId::new);
        let destination = match project {
            Some(project) => Destination::Project(project),
            None => Destination::NewProject { id: project_id, name: None },
        };
        let rows = rows(called.clone(), project_id, now);
        let request = RunRequest { project: destination, ..request.clone() };
        Box::pin(self.starter.with_rows(Some(rows)).submit(&request)).await
    }

    /// Completes the choices of the hook with those of its agent.
    async fn set_up(
        &self,
        caller: &Principal,
        spec: &HookSpec,
        key: Option<&Request>,
    ) -> Result<RunSetup, RunError> {
        let choices = RunChoices {
            agent: spec.agent.clone(),
            variables: spec.variables.clone(),
            ..RunChoices::default()
        };
        self.starter.set_up(caller, choices, key).await
    }
}

/// The message of a run: the task, and the body of the request as data.
fn message(spec: &HookSpec, body: &HookBody) -> Result<Prompt, Error> {
    let task = UserPart::Text { text: spec.input.as_str().to_owned() };
    let name = DataPart::REQUEST_BODY.to_owned();
    let body = body.0.clone().map(|data| UserPart::Data(DataPart { name, data }));
    let parts: Vec<UserPart> = std::iter::once(task).chain(body).collect();
    // A task is not blank, and two parts are not too many.
    Prompt::try_from(UserContent::Parts(parts)).map_err(|_| Error::TooLong)
}

/// The write of the hook for the transaction that creates a run of it. It requires that the hook has the token and is enabled,
/// and for runs that continue each other, that no other run has made their project meanwhile.
fn rows(called: CalledHook, project_id: ProjectId, now: Timestamp) -> RunRows {
    RunRows::new(move |run_id| {
        let hook = &called.hook;
        let update = Update::of(&key::hook(called.tenant, hook.id))
            .add("calls", 1)
            .set("runs", hook.runs_with(run_id, now))
            .when(attribute("digest").equals(&hook.digest))
            .when(attribute(["spec", "enabled"]).equals(true));
        let update = match hook.spec.project {
            HookProject::New => update,
            HookProject::Same => update.set("project_id", project_id).when(has_project(hook.project_id)),
        };
        Ok::<_, DataError>(vec![Write::from(update)])
    })
}

fn has_project(project: Option<ProjectId>) -> Condition {
    match project {
        Some(project) => attribute("project_id").equals(project),
        None => attribute("project_id").is_none(),
    }
}

/// The key of a call: the hook and the key of the sender. Keys of different hooks are independent.
fn idempotency_key(called: &CalledHook, key: &str, body: &HookBody) -> Request {
    let name = format!("{} {key}", called.hook.id);
    let payload = PayloadHash::of("POST", "/api/hooks", json!(body.0).to_string().as_bytes());
    Request { record: key::idempotency(called.tenant, "hooks.call", &name), payload }
}
