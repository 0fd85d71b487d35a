//! Evaluations: runs that have an agent answer the items of a dataset, and score the answers.

use sequent_core::{DatasetId, RunId};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Score, StepAgent, Totals};

/// The evaluation that a run carries out. Items of datasets and versions of agents never change, so the evaluation is the same
/// whenever its run is continued.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EvaluationSetup {
    #[expect(missing_docs, reason = "plain data")]
    pub dataset_id: DatasetId,
    /// The items are those with the numbers from 1 to this one.
    pub items: u32,
    /// The answers to each item.
    pub repetitions: u32,
    /// The agent that answers.
    pub agent: StepAgent,
    #[expect(missing_docs, reason = "plain data")]
    pub scorers: Vec<Scorer>,
}

/// A rule that scores the answers of an evaluation from 0 to 1.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Scorer {
    /// The answer is the expected one, apart from blanks around it. An expected value that is no text is compared as JSON.
    Exact,
    /// The answer contains the expected text, or all texts of an expected list.
    Contains,
    /// The answer is JSON that matches this schema.
    Schema {
        /// A JSON Schema, as for the answers of runs.
        #[cfg_attr(feature = "openapi", schema(value_type = Object))]
        schema: Value,
    },
    /// The answer is JSON with the expected value at this place.
    Pointer {
        /// A JSON pointer (RFC 6901). The expected value is at the same place if the item expects an object or a list.
        pointer: String,
    },
    /// An agent judges the answer.
    Judge {
        /// The agent, which answers with a score and its reason.
        agent: StepAgent,
        /// The measure by which the agent judges.
        criteria: String,
    },
}

/// One answer to an item, with its scores.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EvaluatedItem {
    /// The number of the item in its dataset.
    pub item: u32,
    /// The number of the answer to the item, from 1.
    pub repetition: u32,
    /// The child run that has answered.
    pub run_id: RunId,
    /// The code of the failure, if there is no answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The scores in the order of the scorers. Empty if there is no answer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scores: Vec<ScoredAnswer>,
    /// The usage of the answer and of its judges.
    pub usage: Totals,
    /// The time from the start of the child run to its end, if it was executed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<u64>,
}

/// The score of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct ScoredAnswer {
    /// From 0 to 1.
    pub score: Score,
    /// The reason, if the score is not 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl ScoredAnswer {
    /// A full score.
    #[must_use]
    pub fn full() -> Self {
        Self { score: Score::from_thousandths(1_000).unwrap_or_default(), reason: None }
    }

    /// No score, for this reason.
    #[must_use]
    pub fn none(reason: impl Into<String>) -> Self {
        Self { score: Score::default(), reason: Some(reason.into()) }
    }

    /// A full score or none.
    #[must_use]
    pub fn of(is_right: bool, reason: &str) -> Self {
        if is_right { Self::full() } else { Self::none(reason) }
    }
}

impl EvaluationSetup {
    /// The answers of a whole evaluation.
    #[must_use]
    pub const fn answers(&self) -> usize {
        self.items as usize * self.repetitions as usize
    }

    /// The child runs of a whole evaluation: one for each answer, and one for each judgement of it.
    #[must_use]
    pub fn child_runs(&self) -> usize {
        let judges = self.scorers.iter().filter(|scorer| matches!(scorer, Scorer::Judge { .. })).count();
        self.answers() * (1 + judges)
    }

    /// The items and the numbers of their answers, in order.
    pub fn all(&self) -> impl Iterator<Item = ItemPosition> + '_ {
        let of_item = |item| (1..=self.repetitions).map(move |repetition| ItemPosition { item, repetition });
        (1..=self.items).flat_map(of_item)
    }
}

/// The position of an answer in an evaluation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ItemPosition {
    /// The number of the item in its dataset.
    pub item: u32,
    /// The number of the answer to the item, from 1.
    pub repetition: u32,
}

impl EvaluatedItem {
    /// Returns the position of the answer.
    #[must_use]
    pub const fn position(&self) -> ItemPosition {
        ItemPosition { item: self.item, repetition: self.repetition }
    }
}
