//! Steps of a plan that child runs carry out.
//!
//! A child's id is in its parent's log before the child exists, so the next owner of the parent creates the
//! same child or finds it. Only the parent's owner writes into the parent's log: it reads the result of a
//! child from the child's log.

use futures::future::try_join_all;
use sequent_conversation::{
    Error, NewRun, ParentRun, Run, RunChoices, RunOptions, RunSetup, Runs, TurnRequest, cancel_child, create,
};
use sequent_core::{ApiError as _, RunId, Timestamp};
use sequent_definitions::{AgentKey, AgentReference, Error as AgentError, Selector, Surroundings};
use sequent_event::{
    Body, Budget, Child, ChildEnd, Event, Orchestration, Phase, RunOutcome, State, Step, StepAgent,
    StepStatus, Totals,
    size::{MAX_TEXT_BYTES, encoded_prefix},
};
use sequent_runlog::{LogKey, Segment, Stopped, read_all};
use sequent_tool::cut;
use serde_json::{Map, Value};
use tokio::time::Instant;

use crate::{
    Engine,
    execution::{Execution, Flow},
    role::is_temporary,
};

/// Bytes of the task that a child is told it is a part of.
const MAX_TASK: usize = 2_000;
/// Bytes of a child's answer that its parent reads. The log of the child has all of it.
const MAX_ANSWER: usize = 64 << 10;
/// Bytes of the message of a failed child.
const MAX_MESSAGE: usize = 2_000;

/// Carries out `steps` by child runs: starts the children that may start, records the results of those that have ended,
/// and waits.
pub(crate) async fn delegate(execution: &mut Execution<'_>, steps: &[Step]) -> Result<Flow, Error> {
    let since = Instant::now();
    loop {
        let rows = rows(execution).await?;
        record_results(execution, &rows).await?;
        if complete_steps(execution).await? {
            return Ok(Flow::Continue); // the plan has changed
        }
        start(execution, steps, &rows).await?;
        if let Some(flow) = execution.wait(since).await? {
            return Ok(flow);
        }
    }
}

/// Reads the rows of the children that have not ended as far as the log knows. A child that is in the log but was not
/// created has none.
pub(crate) async fn rows(execution: &Execution<'_>) -> Result<Vec<Run>, Error> {
    let live: Vec<RunId> = execution.state.live_children().map(|child| child.run).collect();
    Runs::new(execution.engine.store(), execution.key.tenant).get_many(&live).await
}

/// Writes new children into the log, then creates them and those that a former owner wrote but did not create.
async fn start(execution: &mut Execution<'_>, steps: &[Step], rows: &[Run]) -> Result<(), Error> {
    let new = startable(execution, steps);
    let has_new = !new.is_empty();
    for step in new {
        if !execution.state.open_steps.contains(&step.id) {
            execution.append(Body::StepStarted { step_name: step.id.clone() }).await?;
        }
        let started = Body::SubagentStarted {
            subagent_run_id: RunId::new(),
            name: step.id.clone(),
            description: Some(step.title.clone()),
        };
        execution.append(started).await?;
    }
    if has_new {
        execution.flush().await?;
    }
    let mut missing = Vec::new();
    for child in execution.state.live_children() {
        let exists = rows.iter().any(|row| row.id == child.run);
        let step = steps.iter().find(|step| step.id == child.name);
        if let Some(step) = step.filter(|_| !exists) {
            missing.push((child.run, step));
        }
    }
    for (run, step) in missing {
        match child_run(execution, run, step, steps.len()).await {
            Ok(new) => Box::pin(create(&execution.engine.runs(), &new, TurnRequest::Wait)).await?,
            Err(error) if is_temporary(&error) => return Err(error.into()),
            Err(error) => execution.append(without_agent(run, &error)).await?,
        }
    }
    Ok(())
}

/// The event that ends a child which was not created, because the agent of its step is not there any more.
pub(crate) fn without_agent(child: RunId, error: &AgentError) -> Body {
    not_created(child, "agent_unavailable", error.details().detail.into_owned())
}

/// The event that ends a child which was not created.
pub(crate) fn not_created(subagent_run_id: RunId, code: &str, message: String) -> Body {
    Body::SubagentError {
        subagent_run_id,
        message,
        code: code.to_owned(),
        usage: Totals::default(),
        usage_may_grow: false,
    }
}

/// The steps that have no child yet, as many as may run now.
fn startable<'s>(execution: &Execution<'_>, steps: &'s [Step]) -> Vec<&'s Step> {
    let state = &execution.state;
    let room = execution.engine.bounds.parallel_children.saturating_sub(state.live_children().count());
    let has_child = |step: &Step| state.children.iter().any(|child| child.name == step.id);
    steps.iter().filter(|step| !has_child(step)).take(room).collect()
}

/// The child run that carries out `step`. Each of `shares` children gets an equal share of the budget.
///
/// # Errors
/// If the agent of the step cannot be read, or is not there any more.
async fn child_run(
    execution: &Execution<'_>,
    run: RunId,
    step: &Step,
    shares: usize,
) -> Result<NewRun, AgentError> {
    let state = &execution.state;
    let budget = execution.engine.bounds.share(state, shares, Timestamp::now());
    let RunSetup { model, options, .. } = match step.agent.as_deref() {
        Some(agent) => setup_of(execution, agent, Map::new(), budget).await?,
        None => RunSetup { options: options_of(state, budget), ..RunSetup::default() },
    };
    let task = state.prompts.first().map(|prompt| prompt.content.text());
    let task = task.as_deref().and_then(|text| text.lines().next()).unwrap_or_default();
    let task = encoded_prefix(task, MAX_TASK);
    let content = format!("This is a part of a larger task: “{task}”.\n\n{}", step.instructions);
    let parent = &execution.run;
    Ok(NewRun {
        run,
        model: model.map(|model| model.to_string()).or_else(|| parent.model.clone()),
        options,
        parent: Some(ParentRun { run: parent.id, epoch: state.epoch }),
        ..NewRun::new(execution.key.tenant, parent.user_id, parent.project_id, content)
    })
}

/// The options of a child that works as its parent does. It has no tools of the client, and no calls that people have approved:
/// tools that need an approval are not offered to children.
fn options_of(state: &State, budget: Budget) -> RunOptions {
    let configuration = &state.configuration;
    RunOptions {
        orchestration: Orchestration::Direct,
        deliverable_type: None,
        client_tools: Vec::new(),
        output_schema: None,
        evaluation: None,
        budget: budget.into(),
        schedule: None,
        hook: None,
        ..RunOptions::from(configuration)
    }
}

/// The setup of a child that works as another agent: with its model, its instructions and its tools, as far as the parent may
/// use them.
pub(crate) async fn setup_of(
    execution: &Execution<'_>,
    agent: &StepAgent,
    variables: Map<String, Value>,
    budget: Budget,
) -> Result<RunSetup, AgentError> {
    let own = options_of(&execution.state, budget);
    let reference =
        AgentReference { agent: AgentKey::Id(agent.id), version: Selector::Version(agent.version) };
    let surroundings = Surroundings::on(Timestamp::now());
    let agents = &execution.engine.agents;
    let chosen = agents.choose(execution.key.tenant, Some(&reference), &variables, &surroundings).await?;
    let chosen = chosen.ok_or(AgentError::AgentNotFound)?;
    let choices = RunChoices {
        orchestration: Some(own.orchestration),
        tools: own.tools,
        budget: own.budget,
        ..RunChoices::default()
    };
    let setup = choices.with_agent(chosen);
    let options = RunOptions { deliverable_type: None, scopes: own.scopes, ..setup.options };
    Ok(RunSetup { options, ..setup })
}

/// Appends the results of children that have ended.
pub(crate) async fn record_results(execution: &mut Execution<'_>, rows: &[Run]) -> Result<(), Error> {
    let has_ended = |child: &&Child| rows.iter().any(|row| row.id == child.run && row.has_ended());
    let ended: Vec<Child> = execution.state.live_children().filter(has_ended).cloned().collect();
    for child in ended {
        let state = state_of(execution.engine, execution.key, child.run).await?;
        execution.append(result(&child, &state)).await?;
    }
    Ok(())
}

/// Ends the steps whose child has ended: now, or when an owner was lost between the two events. Returns `true` if there was
/// one.
async fn complete_steps(execution: &mut Execution<'_>) -> Result<bool, Error> {
    let state = &execution.state;
    let is_pending = |id: &str| {
        let mut steps = state.plan.iter().flat_map(|plan| &plan.steps);
        steps.any(|step| step.id == id && step.status == StepStatus::Pending)
    };
    let unfinished = |child: &&Child| state.open_steps.contains(&child.name) || is_pending(&child.name);
    let ended = state.children.iter().filter(unfinished).filter_map(|child| {
        let status = match child.ended.as_ref()? {
            ChildEnd::Result(_) => StepStatus::Done,
            ChildEnd::Failure { .. } => StepStatus::Failed,
        };
        Some((child.name.clone(), status))
    });
    let ended: Vec<(String, StepStatus)> = ended.collect();
    for (step, status) in &ended {
        execution.append_all(execution.step_ended(step, *status)).await?;
    }
    Ok(!ended.is_empty())
}

/// Cancels the children that have not ended and have no result in `bodies`. Returns their results.
pub(crate) async fn cancel_all(execution: &Execution<'_>, bodies: &[Body]) -> Result<Vec<Body>, Error> {
    let runs = execution.engine.runs();
    let is_reported = |child: &Child| {
        bodies.iter().any(
            |body| matches!(body, Body::SubagentError { subagent_run_id, .. } if *subagent_run_id == child.run),
        )
    };
    let unreported = execution.state.live_children().filter(|child| !is_reported(child));
    // All at once, because the caller of the cancel request waits.
    let cancels = unreported.map(|child| Box::pin(cancel_child(&runs, execution.key, child)));
    try_join_all(cancels).await
}

/// Reads the state of another run of the tenant.
pub(crate) async fn state_of(engine: &Engine, key: LogKey, child: RunId) -> Result<State, Error> {
    let segments = read_all(&engine.storage, LogKey { run: child, ..key }).await?;
    let events: Vec<Event> = segments.iter().flat_map(Segment::events).collect();
    State::of(&events).map_err(|error| Stopped::from(error).into())
}

/// The event that records a child's end in its parent's log.
fn result(child: &Child, state: &State) -> Body {
    let subagent_run_id = child.run;
    let usage = state.totals;
    let failed = |code: &str, message: &str| Body::SubagentError {
        subagent_run_id,
        message: encoded_prefix(message, MAX_MESSAGE).to_owned(),
        code: code.to_owned(),
        usage,
        usage_may_grow: false,
    };
    match &state.phase {
        Phase::Finished(RunOutcome::Success) => {
            let what = format!("the answer of {subagent_run_id}");
            let result = cut(state.answer_text(), MAX_ANSWER, MAX_TEXT_BYTES, &what);
            Body::SubagentFinished { subagent_run_id, result, usage }
        }
        Phase::Failed { code, message } => failed(code, message),
        _ => failed("cancelled", "The child run was cancelled."),
    }
}
