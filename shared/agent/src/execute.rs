//! What an owner does with its run.

use std::sync::Arc;

use sequent_conversation::{Error, Run, Runs, closing_bodies, finish, queue, wake_next};
use sequent_core::{JobId, Timestamp};
use sequent_event::{Body, CancelReason, Entry, Orchestration, Outcome, Plan, State, StepStatus};
use sequent_runlog::{DynamoStorage, Finish, LogKey, Signals, Stopped, Writer};
use sequent_tool::Registry;
use tokio::time::Instant;

use crate::{
    Engine, Window,
    next::{Next, next},
};

/// Times a run may change hands before something about it must be fatal to every owner: crashes count, an orderly
/// hand-over brings the run forward.
const MAX_CRASHES: u32 = 50;

/// How an execution ended for its owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// The log is closed: the run has ended, or waits for people.
    Closed,
    /// Time was running out: the lease is given up, and the run is queued for another process.
    HandedOver,
    /// The run waits for its children or its jobs, and the lease is given up: whoever learns of their end continues.
    Waiting,
}

/// Executes the run until its log is closed or nothing but waiting is left, or hands it over before its `window` closes.
/// Whoever has to continue is told: the queue if this run goes on, or if the next one of its project can begin.
///
/// # Errors
/// When the writer was stopped, or the run's row or conversation cannot be read. The lease is then given up, so the
/// next process tries again.
pub async fn execute(
    engine: &Engine,
    key: LogKey,
    writer: Writer<DynamoStorage>,
    window: Option<Window>,
) -> Result<Ended, Error> {
    let state = writer.opening().clone();
    let runs = Runs::new(engine.store(), key.tenant);
    let tools = engine.tools_of(key.tenant, state.configuration.tools.as_deref());
    let (run, tools) = tokio::join!(runs.get(key.run), tools);
    let run = run?;
    let hand_over = window.map(|window| window.hand_over());
    let began = Instant::now();
    let (project, parent) = (run.project_id, run.parent_run_id);
    let (made, enqueued) = (false, Vec::new());
    let execution =
        Execution { engine, key, tools, run, writer, state, began, window, hand_over, made, enqueued };
    let ended = Box::pin(execution.run()).await?;
    match ended {
        Ended::HandedOver => queue(engine.store(), key).await?,
        Ended::Closed if parent.is_none() => wake_next(engine.store(), key.tenant, project).await?,
        Ended::Closed => {}
        Ended::Waiting => {}
    }
    Ok(ended)
}

pub(crate) struct Execution<'a> {
    pub(crate) engine: &'a Engine,
    pub(crate) key: LogKey,
    /// What the tenant's runs may call.
    pub(crate) tools: Arc<Registry>,
    pub(crate) run: Run,
    pub(crate) writer: Writer<DynamoStorage>,
    /// What the log says once everything appended is stored, as far as this owner has heard.
    pub(crate) state: State,
    pub(crate) began: Instant,
    pub(crate) window: Option<Window>,
    pub(crate) hand_over: Option<Instant>,
    /// The children written down by former owners exist.
    pub(crate) made: bool,
    /// The jobs that this owner has seen to exist.
    pub(crate) enqueued: Vec<JobId>,
}

impl Execution<'_> {
    async fn run(mut self) -> Result<Ended, Error> {
        self.open().await?;
        loop {
            self.hear().await?;
            let ended = match self.stops() {
                Some(bodies) => self.end(bodies).await?,
                None => match next(&self.state) {
                    _ if self.is_late() => Some(Ended::HandedOver),
                    Next::Tools => Box::pin(self.carry_out()).await?,
                    Next::Ask(purpose) => Box::pin(self.respond(purpose)).await?,
                    Next::Begin(step_name) => self.note([Body::StepStarted { step_name }]).await?,
                    Next::Complete(step) => {
                        let bodies = self.completed(&step, StepStatus::Done);
                        self.note(bodies).await?
                    }
                    Next::Delegate(steps) => Box::pin(self.delegate(&steps)).await?,
                    Next::FollowUp(tasks) => Box::pin(self.follow_up(&tasks)).await?,
                    Next::Announce { website: artifact_id, document: document_id } => {
                        self.note([Body::WebsiteGenerationDone { artifact_id, document_id }]).await?
                    }
                    Next::Fail { code, message } => {
                        let end = self.error(code, &message);
                        self.end(vec![end]).await?
                    }
                    Next::Finish => {
                        let end = self.finished(Outcome::Success);
                        self.end(vec![end]).await?
                    }
                },
            };
            match ended {
                Some(Ended::Closed) => return Ok(Ended::Closed),
                Some(ended) => return self.let_go(ended).await,
                None => {}
            }
        }
    }

    /// Brings the log to where work can begin, whatever the former owner left.
    async fn open(&mut self) -> Result<(), Error> {
        for message_id in self.state.unfinished() {
            self.append(Body::MessageAbandoned { message_id }).await?;
        }
        if self.state.phase != sequent_event::Phase::Running {
            let (thread_id, run_id) = (self.run.project_id, self.run.id);
            let parent_run_id = self.run.parent_run_id;
            self.append(Body::RunStarted { thread_id, run_id, parent_run_id }).await?;
        }
        Ok(())
    }

    /// Takes in what others have said through the log since the last look.
    async fn hear(&mut self) -> Result<(), Error> {
        let signals = *self.writer.signals().borrow();
        if signals.stopped || signals != self.known() {
            self.state = self.writer.flush().await?;
        }
        Ok(())
    }

    /// Why the run has to end now, if it has to.
    fn stops(&self) -> Option<Vec<Body>> {
        let mut bodies = closing_bodies(&self.state);
        if self.state.cancel.is_some() {
            bodies.push(self.finished(Outcome::Cancelled));
        } else if self.is_cursed() {
            bodies.push(self.error("too_many_crashes", "Every process that executed this run was lost."));
        } else if matches!(next(&self.state), Next::Ask(_) | Next::Delegate(_))
            && let Some((code, message)) = self.engine.bounds.exhausted(&self.state, Timestamp::now())
        {
            bodies.push(self.error(code, &message));
        } else {
            return None;
        }
        Some(bodies)
    }

    /// Whether the run has changed hands far more often than it has come forward.
    fn is_cursed(&self) -> bool {
        let progress = u32::try_from(self.state.turns.len()).unwrap_or(u32::MAX);
        self.state.epoch > MAX_CRASHES.saturating_add(progress.saturating_mul(2))
    }

    /// Ends the execution with `bodies`, the last of which is terminal. If news came first, all but that one is
    /// appended, and the run goes on with the news.
    pub(crate) async fn end(&mut self, mut bodies: Vec<Body>) -> Result<Option<Ended>, Error> {
        let waits =
            matches!(bodies.last(), Some(Body::RunFinished { outcome: Outcome::Interrupt { .. }, .. }));
        if !waits {
            // However a run ends, nobody is left to take in what its children come to.
            self.cancel_children(&mut bodies).await?;
            self.cancel_jobs().await?;
        }
        let (storage, tenant) = (&self.engine.storage, self.key.tenant);
        let ended = finish(storage, &self.writer, tenant, &self.run, self.known(), bodies.clone());
        if let Finish::Done(_) = Box::pin(ended).await? {
            return Ok(Some(Ended::Closed));
        }
        bodies.pop();
        for body in bodies {
            // A question is part of the end it belongs to.
            if !matches!(body, Body::ClarificationNeeded { .. }) {
                self.append(body).await?;
            }
        }
        self.state = self.writer.flush().await?;
        Ok(None)
    }

    /// Stores what is buffered and gives the lease up.
    async fn let_go(self, ended: Ended) -> Result<Ended, Error> {
        let Self { engine, key, writer, state, .. } = self;
        writer.release().await?;
        if ended == Ended::Waiting
            && (crate::children::one_has_ended(engine, key, &state).await?
                || crate::jobs::one_has_ended(engine, key, &state).await?)
        {
            // It ended while the lease was still held, so whoever was told of it found the run taken.
            return Ok(Ended::HandedOver);
        }
        Ok(ended)
    }

    pub(crate) async fn append(&mut self, body: Body) -> Result<(), Error> {
        append(&self.writer, &mut self.state, body).await
    }

    /// Appends several, and goes on.
    pub(crate) async fn note(
        &mut self,
        bodies: impl IntoIterator<Item = Body>,
    ) -> Result<Option<Ended>, Error> {
        for body in bodies {
            self.append(body).await?;
        }
        Ok(None)
    }

    /// What a step's end looks like in the log.
    pub(crate) fn completed(&self, id: &str, status: StepStatus) -> Vec<Body> {
        let mut plan = self.state.plan.clone().unwrap_or_default();
        plan.steps.iter_mut().filter(|step| step.id == id).for_each(|step| step.status = status);
        let open = self.state.open_steps.iter().any(|name| name == id);
        let finished = open.then(|| Body::StepFinished { step_name: id.to_owned() });
        finished.into_iter().chain([Body::PlanUpdated { plan }]).collect()
    }

    /// The news this owner has acted on.
    fn known(&self) -> Signals {
        Signals { cancel: self.state.cancel, prompts: self.state.prompts.len(), stopped: false }
    }

    /// Waits for what ends an execution from outside.
    pub(crate) async fn news(&self) -> News {
        news(&self.writer).await
    }

    fn is_late(&self) -> bool {
        self.window.is_some_and(|window| window.is_late())
    }

    pub(crate) fn finished(&self, outcome: Outcome) -> Body {
        Body::RunFinished { thread_id: self.run.project_id, run_id: self.run.id, outcome }
    }

    pub(crate) fn error(&self, code: &str, message: &str) -> Body {
        Body::RunError { message: message.to_owned(), code: code.to_owned() }
    }

    /// The plan, if the run works by one.
    pub(crate) fn plan(&self) -> Option<&Plan> {
        let plans =
            self.state.configuration.orchestration == Orchestration::Plan && self.state.parent.is_none();
        self.state.plan.as_ref().filter(|_| plans)
    }
}

/// What ends an execution from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum News {
    Cancelled(CancelReason),
    Stopped,
}

impl News {
    /// The writer knows why it stopped; any call tells.
    pub(crate) async fn stopped(writer: &Writer<DynamoStorage>) -> Error {
        writer.flush().await.err().unwrap_or(Stopped::Ended).into()
    }
}

pub(crate) async fn news(writer: &Writer<DynamoStorage>) -> News {
    let mut signals = writer.signals();
    let news = signals.wait_for(|signals| signals.stopped || signals.cancel.is_some()).await;
    match news.map(|signals| (signals.stopped, signals.cancel)) {
        Ok((false, Some(reason))) => News::Cancelled(reason),
        Ok(_) | Err(_) => News::Stopped,
    }
}

/// Hands an event to the log, and takes it in as if it were stored: whatever is decided on it is stored after it.
pub(crate) async fn append(
    writer: &Writer<DynamoStorage>,
    state: &mut State,
    body: Body,
) -> Result<(), Error> {
    let event = Entry::new(Timestamp::now(), body.clone()).at_seq(state.next());
    state.apply(&event).map_err(Stopped::from)?;
    Ok(writer.append(body).await?)
}

pub(crate) async fn at(instant: Option<Instant>) {
    match instant {
        Some(instant) => tokio::time::sleep_until(instant).await,
        None => std::future::pending().await,
    }
}
