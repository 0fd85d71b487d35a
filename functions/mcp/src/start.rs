//! Starting a run for another agent.

use http::HeaderValue;
use sequent_billing::Asked;
use sequent_conversation::{Error, Start, Submitted, Work, enqueue, release_project, submit};
use sequent_core::{ProjectId, RunId, Timestamp};
use sequent_event::Orchestration;
use sequent_http::{
    Problem, Scope,
    idempotency::{self, IdempotencyKey},
};
use sequent_model::ModelName;
use sequent_runlog::{LogKey, Storage};
use sequent_tables::idempotency::{Effect, PayloadHash, Record, Request, lookup};
use serde::Serialize;

use crate::{Mcp, endpoint::Call};

/// Most bytes of an input. It is one event, one row and part of a transaction.
const MAX_INPUT: usize = 64 * 1024;
const OPERATION: &str = "mcp.start";

/// What is to be done.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct New {
    pub(crate) input: String,
    pub(crate) project_id: Option<ProjectId>,
    pub(crate) model: Option<String>,
    pub(crate) orchestration: Orchestration,
    /// Whether it waits for the run that answers in the project, or is refused.
    pub(crate) waits: bool,
}

/// What was started, now or by an earlier call with the same key.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Started {
    run_id: RunId,
    project_id: ProjectId,
}

/// Stores the run; a worker executes it.
pub(crate) async fn start(call: &Call, new: New, key: Option<String>) -> Result<Started, Problem> {
    call.caller.require(Scope::Chat)?;
    check(&new)?;
    let key = key.map(|key| keyed(call, &key, &new)).transpose()?;
    let starting = Starting { call, key, new };
    loop {
        if let Some(started) = starting.replayed().await? {
            return Ok(started);
        }
        if let Some(started) = starting.attempt().await? {
            return Ok(started);
        }
    }
}

fn check(new: &New) -> Result<(), Problem> {
    if new.input.trim().is_empty() {
        return Err(Problem::invalid("The text must not be empty."));
    }
    if new.input.len() > MAX_INPUT {
        return Err(Problem::invalid(format!("The text must have at most {MAX_INPUT} bytes.")));
    }
    match new.model.as_deref().map(str::parse::<ModelName>) {
        Some(Err(error)) => Err(Problem::invalid(error.public_message().to_string())),
        _ => Ok(()),
    }
}

fn keyed(call: &Call, text: &str, new: &New) -> Result<Request, Problem> {
    let invalid = || Problem::invalid("The idempotency key must have 1 to 255 visible ASCII characters.");
    let key = HeaderValue::from_str(text).map_err(|_| invalid())?;
    let key = IdempotencyKey::parse(&key).map_err(|_| invalid())?;
    let payload = serde_json::to_vec(new).map_err(Problem::internal)?;
    Ok(key.request(call.caller.tenant, OPERATION, PayloadHash::of("POST", "/mcp", &payload)))
}

struct Starting<'a> {
    call: &'a Call,
    key: Option<Request>,
    new: New,
}

impl Starting<'_> {
    async fn replayed(&self) -> Result<Option<Started>, Problem> {
        let Some(key) = &self.key else { return Ok(None) };
        let store = self.call.mcp.storage.store();
        let outcome = lookup(store, key, Timestamp::now()).await?;
        Ok(idempotency::replay(outcome)?.and_then(|record| match record.effect() {
            Effect::Run { run, project } => Some(Started { run_id: *run, project_id: *project }),
            Effect::Pending { .. } | Effect::Response(_) => None,
        }))
    }

    /// One attempt; `None` asks for another, from the look at the key on.
    async fn attempt(&self) -> Result<Option<Started>, Problem> {
        let Mcp { storage, settings, .. } = &self.call.mcp;
        let start = self.to_start().await?;
        let started = Some(Started { run_id: start.run, project_id: start.project });
        let outcome = if self.new.waits && !start.new_project {
            // Behind whatever waits there already.
            enqueue(storage, *settings, &start).await.map(|()| Submitted::Accepted)
        } else {
            submit(storage, *settings, &start).await
        };
        match outcome {
            Ok(Submitted::Accepted) => Ok(started),
            Ok(Submitted::Busy(live)) => self.busy(start.project, live).await.map(|()| None),
            // Another call with the same key was first.
            Err(Error::ClaimTaken) if self.key.is_some() => Ok(None),
            Err(Error::NotHeld) => Ok(None),
            Err(error) => Err(problem(error)),
        }
    }

    /// The project has a live run, or one that a crash kept from letting go: then it is let go of.
    async fn busy(&self, project: ProjectId, live: RunId) -> Result<(), Problem> {
        let storage = &self.call.mcp.storage;
        let key = LogKey { tenant: self.call.caller.tenant, run: live };
        let tail = storage.tail(key).await.map_err(Problem::unavailable)?;
        if tail.is_none_or(|tail| tail.leaves_closed() && !tail.waits_for_people()) {
            return release_project(storage, key, project).await.map_err(problem);
        }
        let detail = format!(
            "{live} is answering in the project. Ask get_run until it has ended, or use send_message, which waits for it."
        );
        Err(Problem::conflict("run_in_progress", detail))
    }

    async fn to_start(&self) -> Result<Start, Problem> {
        let (caller, new) = (&self.call.caller, &self.new);
        let asked = Asked { model: new.model.as_deref(), content: &new.input, budget: None };
        let held = self.call.mcp.desk.hold(caller.tenant, asked).await??;
        let (run, project) = (RunId::new(), new.project_id.unwrap_or_else(ProjectId::new));
        let mut claims = Vec::new();
        if let Some(key) = &self.key {
            claims.push(Record::for_run(key, run, project, Timestamp::now())?);
        }
        Ok(Start {
            tenant: caller.tenant,
            user: caller.user,
            run,
            project,
            new_project: new.project_id.is_none(),
            content: new.input.clone(),
            model: new.model.clone(),
            work: Work {
                orchestration: new.orchestration,
                scopes: caller.scopes.limits(),
                ..Work::default()
            },
            parent: None,
            claims,
            held: held.map(Box::new),
            replaces: None,
        })
    }
}

/// What the caller is told when a run operation fails.
pub(crate) fn problem(error: Error) -> Problem {
    match error {
        Error::NotFound => Problem::not_found("There is no such run. Take the run_id that start_run gave."),
        Error::NoProject => {
            Problem::not_found("There is no such project. Leave project_id out to begin a new one.")
        }
        Error::ClaimTaken => Problem::conflict("conflict", "Another call was first. Try again."),
        Error::Data(error) => error.into(),
        error => Problem::unavailable(error),
    }
}
