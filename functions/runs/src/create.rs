//! `POST /api/runs`: a run that nobody needs to wait for.

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, StatusCode, header};
use sequent_billing::Asked;
use sequent_conversation::{
    Limits, OnConflict, Run, Runs, Start, Submitted, Work, cancel, enqueue, release_project, submit,
};
use sequent_core::{MicroUsd, ProjectId, RunId, Timestamp};
use sequent_documents::Kind;
use sequent_event::{CancelReason, Orchestration};
use sequent_http::{
    Caller, Json, Principal, Problem, Scope,
    idempotency::{self, IdempotencyKey, REPLAYED},
    openapi::Problems,
};
use sequent_model::ModelName;
use sequent_runlog::{LogKey, Storage};
use sequent_tables::idempotency::{Effect, PayloadHash, Record, Request, lookup};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{Executions, problem};

/// Most bytes of an input. It is one event, one row and part of a transaction.
const MAX_INPUT: usize = 64 * 1024;
/// Most tools a request names, and most characters of a name.
const MAX_TOOLS: usize = 64;
const MAX_NAME: usize = 64;
const OPERATION: &str = "runs.create";

/// A run to execute in the background.
#[derive(Debug, Clone, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewRun {
    /// The conversation; a new one is made without.
    #[serde(default)]
    project_id: Option<ProjectId>,
    /// What the run is to do: 1 byte to 64 KiB of text.
    #[schema(min_length = 1, max_length = 65536)]
    input: String,
    /// The model that works; the deployment's default without.
    #[serde(default)]
    model: Option<String>,
    /// What to do when a run already answers in the project.
    #[serde(default)]
    on_conflict: OnConflict,
    /// `direct`: model and tools alternate until the model answers. `plan`: the model plans first, and the steps are
    /// carried out one by one, those that are independent by child runs.
    #[serde(default)]
    #[schema(value_type = String, example = "direct")]
    orchestration: Orchestration,
    /// The document that the run is to deliver, beside its answer: `report`, `slides` or `website`. It becomes an artifact.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "report")]
    deliverable_type: Option<Kind>,
    /// The tools the model may call; all that the deployment offers without.
    #[serde(default)]
    #[schema(max_items = 64)]
    tools: Option<Vec<String>>,
    /// What the run may use up, its children included.
    #[serde(default)]
    budget: Limits,
}

/// Start a background run.
///
/// Answered as soon as the run is stored; it executes whether or not anybody follows it at `GET /api/runs/{id}/events`.
/// While another run answers in the project, `on_conflict` decides: `enqueue` waits for its end, `interrupt` and
/// `rollback` end it.
#[utoipa::path(
    post,
    path = "/api/runs",
    operation_id = "create_run",
    tag = "runs",
    request_body = NewRun,
    params(("Idempotency-Key" = Option<String>, Header, description = "A retry with the same key and payload gets the same run.")),
    responses(
        (status = 202, description = "The run, which executes as soon as it may.", body = Run,
         headers(("Location" = String, description = "Where to look at it."))),
        (status = 404, description = "The tenant has no such project."),
        Problems
    ),
)]
pub(crate) async fn create(
    State(executions): State<Executions>,
    Caller(caller): Caller,
    key: Option<IdempotencyKey>,
    Json(body): Json<NewRun>,
) -> Result<Response, Problem> {
    caller.require(Scope::Chat)?;
    if body.deliverable_type.is_some() {
        caller.require(Scope::ArtifactsWrite)?;
    }
    check(&body)?;
    // Hashed as understood, so that a retry with other white space is the same request.
    let payload = serde_json::to_vec(&body).map_err(Problem::internal)?;
    let key =
        key.map(|key| key.request(caller.tenant, OPERATION, PayloadHash::of("POST", "/api/runs", &payload)));
    let creating = Creating { executions: &executions, caller: &caller, key, body };
    let (run, replayed) = loop {
        if let Some(run) = creating.replayed().await? {
            break (run, true);
        }
        if let Some(run) = creating.attempt().await? {
            break (run, false);
        }
    };
    let row = Runs::new(executions.storage.store(), caller.tenant).get(run).await.map_err(problem)?;
    let location = HeaderValue::try_from(format!("/api/runs/{run}")).expect("ids are ASCII");
    let mut response = (StatusCode::ACCEPTED, [(header::LOCATION, location)], Json(row)).into_response();
    if replayed {
        response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    }
    Ok(response)
}

fn check(new: &NewRun) -> Result<(), Problem> {
    let invalid = |at: &str, why: String| Err(Problem::invalid("The run cannot be started so.").at(at, why));
    if new.input.trim().is_empty() {
        return invalid("/input", "must not be empty".to_owned());
    }
    if new.input.len() > MAX_INPUT {
        return invalid("/input", format!("must have at most {MAX_INPUT} bytes"));
    }
    if let Some(Err(error)) = new.model.as_deref().map(str::parse::<ModelName>) {
        return invalid("/model", error.public_message().to_string());
    }
    let is_name =
        |text: &str| (1..=MAX_NAME).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
    let name = format!("must have 1 to {MAX_NAME} visible ASCII characters");
    let tools = new.tools.as_deref().unwrap_or_default();
    if tools.len() > MAX_TOOLS {
        return invalid("/tools", format!("must have at most {MAX_TOOLS} items"));
    }
    match tools.iter().position(|tool| !is_name(tool)) {
        Some(at) => invalid(&format!("/tools/{at}"), name),
        None => Ok(()),
    }
}

struct Creating<'a> {
    executions: &'a Executions,
    caller: &'a Principal,
    key: Option<Request>,
    body: NewRun,
}

impl Creating<'_> {
    async fn replayed(&self) -> Result<Option<RunId>, Problem> {
        let Some(key) = &self.key else { return Ok(None) };
        let store = self.executions.storage.store();
        let outcome = lookup(store, key, Timestamp::now()).await?;
        Ok(idempotency::replay(outcome)?.and_then(|record| match record.effect() {
            Effect::Run { run, .. } => Some(*run),
            Effect::Pending { .. } | Effect::Response(_) => None,
        }))
    }

    /// One attempt; `None` asks for another, from the look at the key on.
    async fn attempt(&self) -> Result<Option<RunId>, Problem> {
        let Executions { storage, settings, .. } = self.executions;
        let new = self.start().await?;
        if !new.new_project && self.body.on_conflict == OnConflict::Enqueue {
            // Behind whatever waits there already: a project that is free this instant may not be the caller's turn.
            return match enqueue(storage, *settings, &new).await {
                Ok(()) => Ok(Some(new.run)),
                Err(error) => self.lost(error),
            };
        }
        match submit(storage, *settings, &new).await {
            Ok(Submitted::Accepted) => Ok(Some(new.run)),
            Ok(Submitted::Busy(live)) => self.resolve(&new, live).await,
            Err(error) => self.lost(error),
        }
    }

    /// Another request with the same key may have been first.
    fn lost(&self, error: sequent_conversation::Error) -> Result<Option<RunId>, Problem> {
        match error {
            sequent_conversation::Error::ClaimTaken if self.key.is_some() => Ok(None),
            sequent_conversation::Error::NotHeld => Ok(None),
            error => Err(problem(error)),
        }
    }

    /// The project has a live run.
    async fn resolve(&self, new: &Start, live: RunId) -> Result<Option<RunId>, Problem> {
        let Executions { storage, settings, .. } = self.executions;
        let key = LogKey { tenant: self.caller.tenant, run: live };
        let tail = storage.tail(key).await.map_err(Problem::unavailable)?;
        if tail.is_none_or(|tail| tail.leaves_closed() && !tail.waits_for_people()) {
            // It ended in this moment, or a crash kept it from letting go.
            release_project(storage, key, new.project).await.map_err(problem)?;
            return Ok(None);
        }
        let reason = match self.body.on_conflict {
            OnConflict::Reject => {
                let detail =
                    "The project has a live run. Follow it, cancel it, or choose another on_conflict.";
                return Err(Problem::conflict("run_in_progress", detail).with("run_id", live.to_string()));
            }
            OnConflict::Enqueue => None,
            OnConflict::Interrupt => Some(CancelReason::Interrupted),
            OnConflict::Rollback => Some(CancelReason::RolledBack),
        };
        if let Some(reason) = reason {
            let ending = cancel(storage, *settings, key.tenant, live, Some(self.caller.user), reason);
            Box::pin(ending).await.map_err(problem)?;
        }
        // The live run ends in its own time, and whoever ends it wakes the next.
        match enqueue(storage, *settings, new).await {
            Ok(()) => Ok(Some(new.run)),
            Err(error) => self.lost(error),
        }
    }

    async fn start(&self) -> Result<Start, Problem> {
        let new = &self.body;
        let budget = new.budget.max_cost_micro_usd.map(MicroUsd);
        let asked = Asked { model: new.model.as_deref(), content: &new.input, budget };
        let held = self.executions.desk.hold(self.caller.tenant, asked).await??;
        let (run, project) = (RunId::new(), new.project_id.unwrap_or_else(ProjectId::new));
        let mut claims = Vec::new();
        if let Some(key) = &self.key {
            claims.push(Record::for_run(key, run, project, Timestamp::now())?);
        }
        Ok(Start {
            tenant: self.caller.tenant,
            user: self.caller.user,
            run,
            project,
            new_project: new.project_id.is_none(),
            content: new.input.clone(),
            model: new.model.clone(),
            work: Work {
                orchestration: new.orchestration,
                deliverable_type: new.deliverable_type.map(|kind| kind.to_string()),
                tools: new.tools.clone(),
                budget: new.budget,
                scopes: self.caller.scopes.limits(),
            },
            parent: None,
            claims,
            held: held.map(Box::new),
            replaces: None,
        })
    }
}
