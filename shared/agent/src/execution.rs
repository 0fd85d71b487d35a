//! The working state of an owner: the run, the writer of its log, and the state that the log leads to.
//!
//! The steps of a run (`ask_model`, `tools`, `children`, `jobs`) append to the log through [`Execution`] and
//! return a [`Flow`]. The loop in `execute` closes the log and releases the lease.

use std::{sync::Arc, time::Duration};

use futures::future::join;
use sequent_attachments::Files;
use sequent_conversation::{Error, Run, closing_bodies};
use sequent_core::{TenantId, Timestamp, pace::scaled};
use sequent_definitions::ToolRules;
use sequent_event::{
    Body, CancelReason, ClientTool, Configuration, Entry, RunOutcome, State, StepStatus, size::encoded_prefix,
};
use sequent_model::ModelName;
use sequent_runlog::{DynamoStorage, LogKey, Signals, Stopped, Writer};
use sequent_tool::{Registry, client_tool};
use tokio::time::{Instant, sleep, sleep_until};

use crate::{
    Engine, Window,
    conversation::Conversation,
    delegates::{self, Delegate},
    earlier::Earlier,
    next::Purpose,
    offer::Offering,
    prompt::{self, Basis, Prepared},
    role::{AgentRole, is_temporary},
};

/// Bytes of the message of a failed run at most.
const MAX_MESSAGE: usize = 2_000;
/// Interval at which a waiting owner polls.
const POLL_INTERVAL: Duration = Duration::from_millis(200);

/// The next action of the loop after a step.
pub(crate) enum Flow {
    /// Decide again what the log calls for.
    Continue,
    /// Append these events, the last of which is terminal, and close the log.
    End(Vec<Body>),
    /// Release the lease and queue the run for another process.
    HandOver,
    /// Release the lease. The end of a child run or a job continues the run.
    Wait,
}

/// A reason from outside to interrupt a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StopSignal {
    Cancelled(CancelReason),
    /// The writer lost the run to another owner, or cannot write.
    WriterStopped,
}

/// The events that other processes have appended to the log for the owner. The owner itself appends none of them, so if
/// there are others, they are new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Inbox {
    signals: Signals,
    ended_jobs: usize,
}

pub(crate) struct Execution<'a> {
    pub(crate) engine: &'a Engine,
    pub(crate) key: LogKey,
    /// The tools that the run may call. Before [`Execution::load_tools`], those of the deployment.
    pub(crate) tools: Arc<Registry>,
    has_all_tools: bool,
    /// The role of the model, once it was read. `None` if the run has no agent.
    pub(crate) role: Option<AgentRole>,
    /// The agents that can carry out steps of the plan, once they were read.
    delegates: Option<Vec<Delegate>>,
    /// The earlier turns of the project, once they were read.
    pub(crate) earlier: Option<Arc<Earlier>>,
    /// The files that people attached, as far as they were read. `None` if the deployment has no artifacts.
    pub(crate) files: Option<Files>,
    pub(crate) run: Run,
    pub(crate) writer: Writer<DynamoStorage>,
    /// The state of the log once everything appended is stored, as far as this owner has read it.
    pub(crate) state: State,
    pub(crate) started: Instant,
    window: Option<Window>,
    pub(crate) hand_over: Option<Instant>,
}

impl<'a> Execution<'a> {
    pub(crate) fn new(
        engine: &'a Engine,
        key: LogKey,
        run: Run,
        writer: Writer<DynamoStorage>,
        window: Option<Window>,
    ) -> Self {
        let state = writer.opening().clone();
        let hand_over = window.map(|window| window.hand_over());
        let tools = Arc::clone(&engine.tools);
        Self {
            engine,
            key,
            tools,
            has_all_tools: false,
            role: None,
            delegates: None,
            earlier: None,
            files: files(engine, key),
            run,
            writer,
            state,
            started: Instant::now(),
            window,
            hand_over,
        }
    }

    /// Adds the tools of the client, of the tenant, and of its MCP servers. Only a step that needs them waits for the servers.
    pub(crate) async fn load_tools(&mut self) -> Result<(), Error> {
        if !self.has_all_tools {
            let configuration = &self.state.configuration;
            self.tools =
                tools_of_run(self.engine, self.key.tenant, configuration, self.role.as_ref()).await?;
            self.has_all_tools = true;
        }
        Ok(())
    }

    /// Reads the agent that the run was started with. Returns a flow if it is not there: then no owner can go on.
    pub(crate) async fn load_role(&mut self) -> Result<Option<Flow>, Error> {
        let Some(agent) = self.state.configuration.agent.as_deref().filter(|_| self.role.is_none()) else {
            return Ok(None);
        };
        match AgentRole::read(&self.engine.agents, self.key.tenant, agent).await {
            Ok(role) => self.role = Some(role),
            Err(error) if is_temporary(&error) => return Err(error.into()),
            Err(error) => {
                let name = &agent.name;
                tracing::error!(run = %self.key.run, agent = name, %error, "could not read the agent of a run; ending the run");
                let message = format!("The agent `{name}` cannot be read any more.");
                let mut bodies = closing_bodies(&self.state);
                bodies.push(run_error("agent_unavailable", &message));
                return Ok(Some(Flow::End(bodies)));
            }
        }
        Ok(None)
    }

    /// Reads the agents that can carry out steps of the plan.
    pub(crate) async fn load_delegates(&mut self) -> Result<(), Error> {
        if self.delegates.is_none() {
            self.delegates = Some(delegates::of_run(self.engine, self.key.tenant, &self.state).await?);
        }
        Ok(())
    }

    /// The agents that can carry out steps of the plan. None before [`Execution::load_delegates`].
    pub(crate) fn delegates(&self) -> &[Delegate] {
        self.delegates.as_deref().unwrap_or_default()
    }

    /// The tools and agents that the models of the run can be offered.
    pub(crate) fn offering(&self) -> Offering<'_> {
        Offering { state: &self.state, tools: &self.tools, agents: self.delegates() }
    }

    /// Prepares the request for this purpose.
    pub(crate) fn prepare(
        &self,
        purpose: Purpose,
        model: &ModelName,
        conversation: &Conversation,
    ) -> Prepared {
        let basis = Basis {
            offering: self.offering(),
            role: self.role.as_ref().map(|role| role.instructions.as_str()),
            abilities: &self.engine.models.abilities().known(),
        };
        prompt::prepare(&basis, purpose, model, conversation)
    }

    /// Returns `model` and those that are tried if it cannot answer, in order.
    pub(crate) fn candidates(&self, model: ModelName) -> Vec<ModelName> {
        match &self.role {
            Some(role) => role.candidates(&self.engine.models, model),
            None => self.engine.models.candidates(model),
        }
    }

    pub(crate) async fn append(&mut self, body: Body) -> Result<(), Error> {
        append(&self.writer, &mut self.state, body).await
    }

    pub(crate) async fn append_all(&mut self, bodies: impl IntoIterator<Item = Body>) -> Result<(), Error> {
        for body in bodies {
            self.append(body).await?;
        }
        Ok(())
    }

    /// Waits until everything appended is stored, and reads the state that the log has then.
    pub(crate) async fn flush(&mut self) -> Result<(), Error> {
        self.state = self.writer.flush().await?;
        Ok(())
    }

    /// Reads the events of others (a cancel, a message, an answer) if there are new ones.
    pub(crate) async fn refresh(&mut self) -> Result<(), Error> {
        let signals = *self.writer.signals().borrow();
        if signals.stopped || signals != self.known() {
            self.flush().await?;
        }
        Ok(())
    }

    /// The signals that this owner has acted on.
    pub(crate) fn known(&self) -> Signals {
        Signals { cancel: self.state.cancel, prompts: self.state.prompts.len(), stopped: false }
    }

    /// The events of others in the state as this owner has read it.
    pub(crate) fn inbox(&self) -> Inbox {
        let ended_jobs = self.state.jobs.iter().filter(|job| job.ended.is_some()).count();
        Inbox { signals: self.known(), ended_jobs }
    }

    /// Reads the log. Returns `true` if others have appended to it since the inbox was as in `seen`.
    pub(crate) async fn has_news_since(&mut self, seen: Inbox) -> Result<bool, Error> {
        self.flush().await?;
        Ok(self.inbox() != seen)
    }

    pub(crate) async fn stop_signal(&self) -> StopSignal {
        stop_signal(&self.writer).await
    }

    /// Waits a moment for a child run or a job. Returns a flow if the step must end now: because of a signal,
    /// or because it began to wait too long ago. A signal comes first: a run that waits without an owner does not see it.
    pub(crate) async fn wait(&self, since: Instant) -> Result<Option<Flow>, Error> {
        tokio::select! {
            biased;
            signal = self.stop_signal() => match signal {
                StopSignal::Cancelled(_) => Ok(Some(Flow::Continue)),
                StopSignal::WriterStopped => Err(stop_error(&self.writer).await),
            },
            () = at(self.hand_over) => Ok(Some(Flow::Wait)),
            () = sleep_until(since + self.engine.bounds.patience) => Ok(Some(Flow::Wait)),
            () = sleep(scaled(POLL_INTERVAL)) => Ok(None),
        }
    }

    /// Returns `true` if too little time is left to start a step.
    pub(crate) fn is_late(&self) -> bool {
        self.window.is_some_and(|window| window.is_late())
    }

    /// The events that end the plan's step `id`.
    pub(crate) fn step_ended(&self, id: &str, status: StepStatus) -> Vec<Body> {
        let is_open = self.state.open_steps.iter().any(|name| name == id);
        let finished = is_open.then(|| Body::StepFinished { step_name: id.to_owned() });
        // A revision of the plan may have dropped the step.
        let is_planned = self.state.plan.iter().flat_map(|plan| &plan.steps).any(|step| step.id == id);
        let updated = is_planned.then(|| Body::PlanStepUpdated { step_id: id.to_owned(), status });
        finished.into_iter().chain(updated).collect()
    }

    pub(crate) fn run_finished(&self, outcome: RunOutcome) -> Body {
        Body::RunFinished { thread_id: self.run.project_id, run_id: self.run.id, outcome }
    }
}

/// The files of the run's tenant.
fn files(engine: &Engine, key: LogKey) -> Option<Files> {
    let artifacts = engine.artifacts.clone()?;
    Some(Files::new(artifacts, key.tenant, engine.extractor.clone()))
}

/// Reads the tools that a run may call: those of the deployment and the tenant, as its agent and the rules of the tenant allow them,
/// and those of its client.
pub(crate) async fn tools_of_run(
    engine: &Engine,
    tenant: TenantId,
    configuration: &Configuration,
    role: Option<&AgentRole>,
) -> Result<Arc<Registry>, Error> {
    let tools = Box::pin(engine.tools_of(tenant, configuration.tools.as_deref()));
    let (tools, rules) = join(tools, Box::pin(ToolRules::read(engine.store(), tenant))).await;
    let tools = tools?;
    let tools = role.map_or_else(|| Arc::clone(&tools), |role| role.tools(&tools));
    Ok(with_client_tools(restricted(tools, &rules?), &configuration.client_tools))
}

/// Applies the rules of the tenant.
fn restricted(mut tools: Arc<Registry>, rules: &ToolRules) -> Arc<Registry> {
    for rule in &rules.items {
        Arc::make_mut(&mut tools).restrict(rule);
    }
    tools
}

/// Adds the tools of the client. Their names were those of no other tool when the run was started.
fn with_client_tools(mut tools: Arc<Registry>, declared: &[ClientTool]) -> Arc<Registry> {
    for declared in declared {
        if let Err(error) = Arc::make_mut(&mut tools).replace(client_tool::tool(declared)) {
            tracing::warn!(%error, "could not use a tool of the client; the run goes on without it");
        }
    }
    tools
}

/// The event that ends a run with an error. A long message is cut: the event must always fit.
pub(crate) fn run_error(code: &str, message: &str) -> Body {
    let message = encoded_prefix(message, MAX_MESSAGE).to_owned();
    Body::RunError { message, code: code.to_owned() }
}

/// Appends an event to the log and applies it to `state` before it is stored. This is safe: what is decided
/// on that state is stored after the event.
pub(crate) async fn append(
    writer: &Writer<DynamoStorage>,
    state: &mut State,
    body: Body,
) -> Result<(), Error> {
    let event = Entry::new(Timestamp::now(), body.clone()).at_seq(state.next());
    state.apply(&event).map_err(Stopped::from)?;
    Ok(writer.append(body).await?)
}

/// Waits for a reason to interrupt the step.
pub(crate) async fn stop_signal(writer: &Writer<DynamoStorage>) -> StopSignal {
    let mut signals = writer.signals();
    let stop = signals.wait_for(|signals| signals.stopped || signals.cancel.is_some()).await;
    match stop.map(|signals| (signals.stopped, signals.cancel)) {
        Ok((false, Some(reason))) => StopSignal::Cancelled(reason),
        Ok(_) | Err(_) => StopSignal::WriterStopped,
    }
}

/// The reason why a writer stopped. Every call on a stopped writer returns it.
pub(crate) async fn stop_error(writer: &Writer<DynamoStorage>) -> Error {
    writer.flush().await.err().unwrap_or(Stopped::Ended).into()
}

/// Sleeps until `instant`, or forever without one.
pub(crate) async fn at(instant: Option<Instant>) {
    match instant {
        Some(instant) => sleep_until(instant).await,
        None => std::future::pending().await,
    }
}
