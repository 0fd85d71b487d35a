//! Evaluations: child runs answer the items of a dataset, and other child runs judge the answers.
//!
//! The name of a child says which item it answers or judges. It is in the log of its parent before the child exists, so each
//! item is answered once, whichever process owns the parent. An item is complete when its scores are in the log.

use std::fmt;

use sequent_artifacts::{Description, Origin, derived_id};
use sequent_conversation::{Error, NewRun, ParentRun, Run, RunOptions, Runs, TurnRequest, create};
use sequent_core::{RunId, Timestamp};
use sequent_definitions::Error as AgentError;
use sequent_evaluations::{
    Datasets, EvaluationSummary, Evaluations, JudgeRequest, judged, judgement_schema, score,
};
use sequent_event::{
    Body, Child, ChildEnd, EvaluatedItem, EvaluationSetup, ItemPosition, RunOutcome, ScoredAnswer, Scorer,
    StepAgent, Totals, size::encoded_prefix,
};
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use crate::{
    children::{not_created, record_results, rows, setup_of, without_agent},
    delegates::may_ask,
    execution::{Execution, Flow},
    role::is_temporary,
};

/// Bytes of the reason of a score at most.
const MAX_REASON: usize = 500;

/// The work of a child run of an evaluation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct ChildTask {
    at: ItemPosition,
    /// The number of the scorer whose judge the child is. `None` if it answers the item.
    judge: Option<usize>,
}

impl fmt::Display for ChildTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.at.item, self.at.repetition)?;
        self.judge.map_or(Ok(()), |scorer| write!(f, ".judge{scorer}"))
    }
}

/// Has child runs answer and judge the items, records the scores, and ends the run when all are there.
pub(crate) async fn evaluate(execution: &mut Execution<'_>, setup: &EvaluationSetup) -> Result<Flow, Error> {
    let since = Instant::now();
    loop {
        let live = rows(execution).await?;
        record_results(execution, &live).await?;
        complete_items(execution, setup).await?;
        if execution.state.evaluated.len() >= setup.answers() {
            return Box::pin(conclude(execution, setup)).await;
        }
        start(execution, setup, &live).await?;
        if let Some(flow) = execution.wait(since).await? {
            return Ok(flow);
        }
    }
}

fn child_of<'a>(execution: &'a Execution<'_>, task: ChildTask) -> Option<&'a Child> {
    let name = task.to_string();
    execution.state.children.iter().find(|child| child.name == name)
}

/// Returns `true` if the scores of the item are in the log.
fn is_evaluated(execution: &Execution<'_>, at: ItemPosition) -> bool {
    execution.state.evaluated.iter().any(|evaluated| evaluated.position() == at)
}

/// The tasks of an item whose answer is there as far as it is needed for them: the answer first, and then its judges.
fn tasks_of<'a>(
    execution: &'a Execution<'_>,
    setup: &'a EvaluationSetup,
    at: ItemPosition,
) -> impl Iterator<Item = ChildTask> + 'a {
    let answer = ChildTask { at, judge: None };
    let ended = child_of(execution, answer).and_then(|child| child.ended.as_ref());
    let has_answer = matches!(ended, Some(ChildEnd::Result(_)));
    let is_judge = |scorer: &Scorer| matches!(scorer, Scorer::Judge { .. });
    let judges = setup.scorers.iter().enumerate().filter(move |(_, scorer)| has_answer && is_judge(scorer));
    [answer].into_iter().chain(judges.map(move |(number, _)| ChildTask { at, judge: Some(number) }))
}

/// Writes new children into the log, as many as may run now, then creates them and those that a former owner wrote but did not
/// create.
async fn start(execution: &mut Execution<'_>, setup: &EvaluationSetup, live: &[Run]) -> Result<(), Error> {
    let room = execution.engine.bounds.parallel_children;
    let room = room.saturating_sub(execution.state.live_children().count());
    let open = setup.all().filter(|at| !is_evaluated(execution, *at));
    let new = open.flat_map(|at| tasks_of(execution, setup, at));
    let new: Vec<ChildTask> = new.filter(|task| child_of(execution, *task).is_none()).take(room).collect();
    for task in &new {
        let name = task.to_string();
        let started = Body::SubagentStarted { subagent_run_id: RunId::new(), name, description: None };
        execution.append(started).await?;
    }
    if !new.is_empty() {
        execution.flush().await?;
    }
    for (run, task) in missing(execution, setup, live) {
        match child_run(execution, setup, run, task).await {
            Ok(new) => Box::pin(create(&execution.engine.runs(), &new, TurnRequest::Wait)).await?,
            Err(ChildError::Agent(error)) if is_temporary(&error) => return Err(error.into()),
            Err(ChildError::Agent(error)) => execution.append(without_agent(run, &error)).await?,
            Err(ChildError::NoItem) => {
                let message = "The item was deleted with its dataset.".to_owned();
                execution.append(not_created(run, "dataset_deleted", message)).await?;
            }
            Err(ChildError::Model) => {
                let message = "The plan of the account does not allow a model of the agent.".to_owned();
                execution.append(not_created(run, "model_not_allowed", message)).await?;
            }
            Err(ChildError::Failed(error)) => return Err(error),
        }
    }
    Ok(())
}

/// The children that are in the log and were not created.
fn missing(execution: &Execution<'_>, setup: &EvaluationSetup, live: &[Run]) -> Vec<(RunId, ChildTask)> {
    let tasks: Vec<ChildTask> = setup
        .all()
        .filter(|at| !is_evaluated(execution, *at))
        .flat_map(|at| tasks_of(execution, setup, at))
        .collect();
    let task_of = |child: &Child| tasks.iter().copied().find(|task| task.to_string() == child.name);
    let is_created = |child: &Child| live.iter().any(|row| row.id == child.run);
    let children = execution.state.live_children().filter(|child| !is_created(child));
    children.filter_map(|child| Some((child.run, task_of(child)?))).collect()
}

/// The reason why a child run cannot be created.
enum ChildError {
    Agent(AgentError),
    /// The dataset was deleted.
    NoItem,
    /// The plan of the account does not allow a model of the agent.
    Model,
    Failed(Error),
}

impl From<AgentError> for ChildError {
    fn from(error: AgentError) -> Self {
        Self::Agent(error)
    }
}

/// The child run that carries out the task. Each child that is still to end gets an equal share of the budget.
async fn child_run(
    execution: &Execution<'_>,
    setup: &EvaluationSetup,
    run: RunId,
    task: ChildTask,
) -> Result<NewRun, ChildError> {
    let datasets = Datasets::new(execution.engine.store(), execution.key.tenant);
    let item = datasets.item(setup.dataset_id, task.at.item).await;
    let item = item.map_err(|error| ChildError::Failed(error.into()))?.ok_or(ChildError::NoItem)?.content;
    let ended = execution.state.children.iter().filter(|child| child.ended.is_some()).count();
    let shares = setup.child_runs().saturating_sub(ended).max(1);
    let budget = execution.engine.bounds.share(&execution.state, shares, Timestamp::now());
    let scorer = task.judge.and_then(|number| setup.scorers.get(number));
    let (agent, variables, content): (&StepAgent, Map<String, Value>, String) = match scorer {
        Some(Scorer::Judge { agent, criteria }) => {
            let answer = answer_of(execution, task.at).unwrap_or_default();
            let request = JudgeRequest { criteria, item: &item, answer };
            (agent, Map::new(), request.text())
        }
        _ => (&setup.agent, item.variables.clone(), item.input.0.clone()),
    };
    let setup = setup_of(execution, agent, variables, budget).await?;
    let models = setup.model.iter().chain(&setup.fallbacks);
    if !may_ask(execution.engine, &execution.state.configuration, models) {
        return Err(ChildError::Model);
    }
    let output_schema = match scorer {
        Some(_) => Some(judgement_schema()),
        None => setup.options.output_schema.clone(),
    };
    let parent = &execution.run;
    Ok(NewRun {
        run,
        model: setup.model.map(|model| model.to_string()).or_else(|| parent.model.clone()),
        options: RunOptions { output_schema, ..setup.options },
        parent: Some(ParentRun { run: parent.id, epoch: execution.state.epoch }),
        ..NewRun::new(execution.key.tenant, parent.user_id, parent.project_id, content)
    })
}

fn answer_of<'a>(execution: &'a Execution<'_>, at: ItemPosition) -> Option<&'a str> {
    match child_of(execution, ChildTask { at, judge: None })?.ended.as_ref()? {
        ChildEnd::Result(answer) => Some(answer),
        ChildEnd::Failure { .. } => None,
    }
}

/// Records the scores of the items whose answer and judgements are there.
async fn complete_items(execution: &mut Execution<'_>, setup: &EvaluationSetup) -> Result<(), Error> {
    let open: Vec<ItemPosition> = setup.all().filter(|at| !is_evaluated(execution, *at)).collect();
    for at in open {
        if let Some(evaluated) = evaluated(execution, setup, at).await? {
            execution.append(Body::ItemEvaluated(Box::new(evaluated))).await?;
        }
    }
    Ok(())
}

/// Scores the answer to an item. Returns `None` if the answer or a judgement is not there yet.
async fn evaluated(
    execution: &Execution<'_>,
    setup: &EvaluationSetup,
    at: ItemPosition,
) -> Result<Option<EvaluatedItem>, Error> {
    let tasks: Vec<ChildTask> = tasks_of(execution, setup, at).collect();
    let children: Option<Vec<&Child>> = tasks.iter().map(|task| child_of(execution, *task)).collect();
    let Some(children) = children.filter(|all| all.iter().all(|child| child.ended.is_some())) else {
        return Ok(None);
    };
    let ids: Vec<RunId> = children.iter().map(|child| child.run).collect();
    let runs = Runs::new(execution.engine.store(), execution.key.tenant).get_many(&ids).await?;
    let mut usage = Totals::default();
    for run in &runs {
        usage.add(&totals(run));
    }
    let run_id = ids[0];
    let answered = runs.iter().find(|run| run.id == run_id);
    let latency_ms =
        answered.and_then(|run| u64::try_from(run.completed_at?.since(run.started_at?).as_millis()).ok());
    let (error, scores) = match children[0].ended.as_ref() {
        Some(ChildEnd::Result(answer)) => (None, scores(execution, setup, at, answer).await?),
        Some(ChildEnd::Failure { code, .. }) => (Some(code.clone()), Vec::new()),
        None => return Ok(None),
    };
    let ItemPosition { item, repetition } = at;
    Ok(Some(EvaluatedItem { item, repetition, run_id, error, scores, usage, latency_ms }))
}

fn totals(run: &Run) -> Totals {
    Totals {
        input_tokens: run.usage.input_tokens,
        output_tokens: run.usage.output_tokens,
        cost_micro_usd: run.cost.micro_usd,
        incomplete: run.cost.incomplete,
    }
}

async fn scores(
    execution: &Execution<'_>,
    setup: &EvaluationSetup,
    at: ItemPosition,
    answer: &str,
) -> Result<Vec<ScoredAnswer>, Error> {
    let datasets = Datasets::new(execution.engine.store(), execution.key.tenant);
    let item = datasets.item(setup.dataset_id, at.item).await?;
    let expected = item.and_then(|item| item.content.expected);
    let scores = setup.scorers.iter().enumerate().map(|(number, scorer)| {
        let scored = score(scorer, answer, expected.as_ref()).unwrap_or_else(|| {
            let judge = child_of(execution, ChildTask { at, judge: Some(number) });
            match judge.and_then(|child| child.ended.as_ref()) {
                Some(ChildEnd::Result(text)) => judged(text),
                Some(ChildEnd::Failure { code, .. }) => {
                    ScoredAnswer::none(format!("the judge failed: {code}"))
                }
                None => ScoredAnswer::none("the judge has not answered"),
            }
        });
        let reason = scored.reason.map(|reason| encoded_prefix(&reason, MAX_REASON).to_owned());
        ScoredAnswer { reason, ..scored }
    });
    Ok(scores.collect())
}

/// Saves the summary in the list of evaluations and the results as an artifact, and ends the run.
async fn conclude(execution: &mut Execution<'_>, setup: &EvaluationSetup) -> Result<Flow, Error> {
    let mut bodies = Vec::new();
    let summary = EvaluationSummary::of(setup, &execution.state.evaluated);
    let evaluations = Evaluations::new(execution.engine.store(), execution.key.tenant);
    evaluations.conclude(execution.key.run, &summary).await?;
    if let Some(artifacts) = execution.engine.artifacts.clone() {
        let results = json!({"setup": setup, "summary": summary, "items": &execution.state.evaluated});
        let run = execution.key.run;
        let description = Description {
            title: "Results of the evaluation".to_owned(),
            entity_type: "evaluation".to_owned(),
            tags: Vec::new(),
            media_type: "application/json".to_owned(),
        };
        let origin = Origin { run: Some(run), ..Origin::default() };
        let id = derived_id(run, "evaluation");
        let saved = artifacts.save(execution.key.tenant, id, description, origin, results.to_string().into());
        match Box::pin(saved).await {
            Ok(artifact) => bodies.push(Body::ArtifactCreated(artifact.event())),
            Err(error) => {
                tracing::error!(%run, %error, "could not save the results of an evaluation; they are in its log");
            }
        }
    }
    bodies.push(execution.run_finished(RunOutcome::Success));
    Ok(Flow::End(bodies))
}
