//! Starting a run on behalf of a request, whatever stands in its way.

use std::{sync::Arc, time::Duration};

use sequent_agent::{Engine, Source};
use sequent_billing::{Asked, Desk};
use sequent_conversation::{
    Cancel, OnConflict, Runs, Start, Started, Work, cancel, enqueue, has_waiting, release_project, start,
};
use sequent_core::{ProjectId, RunId, Timestamp};
use sequent_event::{CancelReason, Seq};
use sequent_http::{Principal, Problem, idempotency};
use sequent_model::ModelName;
use sequent_runlog::{Follow, LogKey, Poll, Segment};
use sequent_tables::{
    Row,
    idempotency::{Effect, Record, Request, lookup},
};
use tokio::{
    sync::mpsc::{self, UnboundedSender},
    time::{Instant, timeout_at},
};

use crate::{Chat, stream::Watched};

/// Most bytes of a message. The message is one event, one row and part of a transaction.
const MAX_CONTENT: usize = 64 * 1024;
/// How long an interrupted run may take to end.
const INTERRUPTION: Duration = Duration::from_secs(10);

/// Where the answer is wanted.
#[derive(Debug, Clone)]
pub(crate) enum Place {
    /// In this project.
    Project(ProjectId),
    /// In a new project; the rows name it for the client.
    New(Vec<Row>),
}

/// What a request asks for.
pub(crate) struct Ask {
    pub(crate) place: Place,
    pub(crate) content: String,
    pub(crate) model: Option<String>,
    pub(crate) on_conflict: OnConflict,
    pub(crate) replaces: Option<RunId>,
    /// The id of a new project.
    pub(crate) new_project: ProjectId,
    pub(crate) key: Option<Request>,
}

/// The run that answers.
pub(crate) struct Begun {
    pub(crate) run: RunId,
    pub(crate) project: ProjectId,
    pub(crate) source: Source,
    /// The run stems from an earlier request with the same key.
    pub(crate) replayed: bool,
}

impl Begun {
    /// The whole stream of the run.
    pub(crate) fn watched(self, principal: &Principal) -> Watched {
        Watched {
            key: LogKey { tenant: principal.tenant, run: self.run },
            project: self.project,
            after: Seq::START,
            source: self.source,
            replayed: self.replayed,
        }
    }
}

/// Starts the run, or attaches to the one the same request started before.
pub(crate) async fn begin(chat: &Chat, principal: &Principal, ask: Ask) -> Result<Begun, Problem> {
    check(&ask)?;
    let starting = Starting { engine: &chat.engine, desk: &chat.desk, principal, ask };
    loop {
        if let Some(begun) = starting.replayed().await? {
            return Ok(begun);
        }
        if let Some(begun) = starting.attempt().await? {
            return Ok(begun);
        }
    }
}

fn check(ask: &Ask) -> Result<(), Problem> {
    if ask.content.trim().is_empty() {
        return Err(Problem::invalid("The message is empty.").at("/message/content", "must not be empty"));
    }
    if ask.content.len() > MAX_CONTENT {
        let detail = format!("must have at most {MAX_CONTENT} bytes");
        return Err(Problem::invalid("The message is too long.").at("/message/content", detail));
    }
    if let Some(Err(error)) = ask.model.as_deref().map(str::parse::<ModelName>) {
        return Err(Problem::invalid("The model is not a model's name.").at("/model", error.public_message()));
    }
    Ok(())
}

struct Starting<'a> {
    engine: &'a Engine,
    desk: &'a Desk,
    principal: &'a Principal,
    ask: Ask,
}

impl Starting<'_> {
    async fn replayed(&self) -> Result<Option<Begun>, Problem> {
        let Some(key) = &self.ask.key else { return Ok(None) };
        let outcome = lookup(self.engine.store(), key, Timestamp::now()).await?;
        Ok(idempotency::replay(outcome)?.and_then(|record| match record.effect() {
            Effect::Run { run, project } => {
                Some(Begun { run: *run, project: *project, source: Source::Elsewhere, replayed: true })
            }
            Effect::Pending { .. } | Effect::Response(_) => None,
        }))
    }

    /// One attempt; `None` asks for another, from the look at the key on.
    async fn attempt(&self) -> Result<Option<Begun>, Problem> {
        let new = self.new_start().await?;
        if self.ask.on_conflict == OnConflict::Enqueue && self.is_behind(&new).await? {
            return self.queued(&new).await;
        }
        let (observer, stored) = mpsc::unbounded_channel::<Arc<Segment>>();
        match self.start(&new, observer).await? {
            Some(Started::Owned(writer)) => Ok(Some(Begun {
                run: new.run,
                project: new.project,
                source: Source::Owned(writer, stored),
                replayed: false,
            })),
            Some(Started::Busy(live)) => self.resolve(&new, live).await,
            None => Ok(None),
        }
    }

    async fn start(
        &self,
        new: &Start,
        observer: UnboundedSender<Arc<Segment>>,
    ) -> Result<Option<Started>, Problem> {
        let Engine { storage, settings, .. } = self.engine;
        match Box::pin(start(storage, *settings, new, Some(observer))).await {
            Ok(started) => Ok(Some(started)),
            Err(sequent_conversation::Error::ClaimTaken) if self.ask.key.is_some() => Ok(None),
            Err(sequent_conversation::Error::NotHeld) => Ok(None),
            Err(error) => Err(problem(error)),
        }
    }

    async fn new_start(&self) -> Result<Start, Problem> {
        let asked = Asked { model: self.ask.model.as_deref(), content: &self.ask.content, budget: None };
        let held = self.desk.hold(self.principal.tenant, asked).await??;
        let run = RunId::new();
        let (project, new_project, names) = match &self.ask.place {
            Place::Project(project) => (*project, false, Vec::new()),
            Place::New(names) => (self.ask.new_project, true, names.clone()),
        };
        let mut claims = Vec::new();
        if let Some(key) = &self.ask.key {
            claims.push(Record::for_run(key, run, project, Timestamp::now())?);
        }
        claims.extend(names);
        Ok(Start {
            tenant: self.principal.tenant,
            user: self.principal.user,
            run,
            project,
            new_project,
            content: self.ask.content.clone(),
            model: self.ask.model.clone(),
            work: Work { scopes: self.principal.scopes.limits(), ..Work::default() },
            parent: None,
            claims,
            held: held.map(Box::new),
            replaces: self.ask.replaces,
        })
    }

    /// Whether others wait there already: a project that is free this instant may not be the caller's turn.
    async fn is_behind(&self, new: &Start) -> Result<bool, Problem> {
        if new.new_project {
            return Ok(false);
        }
        has_waiting(self.engine.store(), new.tenant, new.project).await.map_err(problem)
    }

    /// Stored, to be answered when its turn has come.
    async fn queued(&self, new: &Start) -> Result<Option<Begun>, Problem> {
        let Engine { storage, settings, .. } = self.engine;
        match enqueue(storage, *settings, new).await {
            Ok(()) => Ok(Some(Begun {
                run: new.run,
                project: new.project,
                source: Source::Elsewhere,
                replayed: false,
            })),
            Err(sequent_conversation::Error::ClaimTaken | sequent_conversation::Error::NotHeld) => Ok(None),
            Err(error) => Err(problem(error)),
        }
    }

    /// The project has a live run.
    async fn resolve(&self, new: &Start, live: RunId) -> Result<Option<Begun>, Problem> {
        let key = LogKey { tenant: self.principal.tenant, run: live };
        let Engine { storage, settings, .. } = self.engine;
        let tail = sequent_runlog::Storage::tail(storage, key).await.map_err(Problem::unavailable)?;
        if tail.is_none_or(|tail| tail.leaves_closed() && !tail.waits_for_people()) {
            // It ended in this moment, or a crash kept it from letting go.
            release_project(storage, key, new.project).await.map_err(problem)?;
            return Ok(None);
        }
        let reason = match self.ask.on_conflict {
            OnConflict::Reject => {
                let detail =
                    "The project has a live run. Follow it, cancel it, or choose another on_conflict.";
                return Err(Problem::conflict("run_in_progress", detail).with("run_id", live.to_string()));
            }
            OnConflict::Enqueue => return self.queued(new).await,
            OnConflict::Interrupt => CancelReason::Interrupted,
            OnConflict::Rollback => CancelReason::RolledBack,
        };
        let by = Some(self.principal.user);
        let outcome = cancel(storage, *settings, key.tenant, live, by, reason).await.map_err(problem)?;
        if outcome == Cancel::Requested && !self.ended(key).await? {
            let detail = "The live run did not stop in time. Try again.";
            let problem = Problem::conflict("run_in_progress", detail).with("run_id", live.to_string());
            return Err(problem.retry_after(Duration::from_secs(2)));
        }
        Ok(None)
    }

    /// Waits for the end of a run that was asked to stop; ends it here once its owner proves dead.
    async fn ended(&self, key: LogKey) -> Result<bool, Problem> {
        let Engine { storage, settings, .. } = self.engine;
        let give_up = Instant::now() + INTERRUPTION.max(settings.lease * 2);
        let mut follow = Follow::new(storage.clone(), key, Seq::START);
        let wait = async {
            let mut look = Instant::now() + settings.lease;
            loop {
                match follow.poll().await.map_err(Problem::unavailable)? {
                    Poll::Closed => return Ok(()),
                    Poll::Event(_) => {}
                    Poll::Idle(_) if Instant::now() >= look => {
                        look = Instant::now() + settings.idle_check;
                        let ended = sequent_conversation::end_if_abandoned(storage, *settings, key)
                            .await
                            .map_err(problem)?;
                        if ended != Cancel::Requested {
                            return Ok(());
                        }
                    }
                    Poll::Idle(_) => {}
                }
            }
        };
        match timeout_at(give_up, Box::pin(wait)).await {
            Ok(Ok(())) => Ok(true),
            Ok(Err(problem)) => Err(problem),
            Err(_) => Ok(false),
        }
    }
}

/// What a caller is told when a run operation fails.
pub(crate) fn problem(error: sequent_conversation::Error) -> Problem {
    use sequent_conversation::Error;
    match error {
        Error::NotFound => Problem::not_found("There is no such run."),
        Error::NoProject => Problem::not_found("There is no such project."),
        Error::Cursor(_) => Problem::bad_request("invalid_cursor", "The cursor is not one of this list."),
        Error::ClaimTaken => Problem::conflict("conflict", "Another request was first. Try again."),
        error => Problem::unavailable(error),
    }
}

/// The run, if it is the caller's tenant's.
pub(crate) async fn find(
    engine: &Engine,
    principal: &Principal,
    run: RunId,
) -> Result<sequent_conversation::Run, Problem> {
    Runs::new(engine.store(), principal.tenant).get(run).await.map_err(problem)
}
