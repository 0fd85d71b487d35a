//! Evaluations and their results as the API shows them.

use sequent_conversation::{RunCost, RunFailure, RunStatus, TokenUsage};
use sequent_core::{DatasetId, ProjectId, RunId, Timestamp, UserId};
use sequent_evaluations::{Evaluation, EvaluationRun, EvaluationSummary};
use sequent_event::{EvaluatedItem, ScoredAnswer, Scorer, StepAgent};
use serde::Serialize;
use utoipa::ToSchema;

/// An evaluation with the status of its run.
#[derive(Serialize, ToSchema)]
pub(crate) struct ShownEvaluation {
    /// The id of the evaluation, and of the run that carries it out.
    pub(crate) id: RunId,
    name: String,
    status: RunStatus,
    dataset_id: DatasetId,
    /// The items are those with the numbers from 1 to this one.
    items: u32,
    /// The answers to each item.
    repetitions: u32,
    /// The version of the agent that answers.
    agent: StepAgent,
    scorers: Vec<Scorer>,
    /// The results in numbers.
    summary: Option<EvaluationSummary>,
    /// The reason for the status `error`.
    error: Option<RunFailure>,
    /// The project of the run.
    project_id: ProjectId,
    /// The user who started the evaluation.
    user_id: UserId,
    created_at: Timestamp,
    /// The end of the run.
    completed_at: Option<Timestamp>,
}

impl From<EvaluationRun> for ShownEvaluation {
    fn from(EvaluationRun { evaluation, run }: EvaluationRun) -> Self {
        let Evaluation { id, name, setup, user_id, created_at, summary } = evaluation;
        Self {
            id,
            name,
            status: run.status,
            dataset_id: setup.dataset_id,
            items: setup.items,
            repetitions: setup.repetitions,
            agent: setup.agent,
            scorers: setup.scorers,
            summary,
            error: run.error,
            project_id: run.project_id,
            user_id,
            created_at,
            completed_at: run.completed_at,
        }
    }
}

/// An answer to an item, with its scores.
#[derive(Serialize, ToSchema)]
pub(crate) struct EvaluationResult {
    /// The number of the item in its dataset.
    pub(crate) item: u32,
    /// The number of the answer to the item, from 1.
    pub(crate) repetition: u32,
    /// The run that has answered.
    run_id: RunId,
    /// The code of the failure, if there is no answer.
    error: Option<String>,
    /// The scores in the order of the scorers. Empty if there is no answer.
    scores: Vec<ScoredAnswer>,
    /// The tokens of the answer and of its judges.
    usage: TokenUsage,
    /// The cost of the answer and of its judges.
    cost: RunCost,
    /// The time from the start of the run to its end, if it was executed.
    latency_ms: Option<u64>,
}

impl From<EvaluatedItem> for EvaluationResult {
    fn from(evaluated: EvaluatedItem) -> Self {
        let EvaluatedItem { item, repetition, run_id, error, scores, usage, latency_ms } = evaluated;
        Self {
            item,
            repetition,
            run_id,
            error,
            scores,
            usage: TokenUsage { input_tokens: usage.input_tokens, output_tokens: usage.output_tokens },
            cost: RunCost { micro_usd: usage.cost_micro_usd, incomplete: usage.incomplete },
            latency_ms,
        }
    }
}
