//! A run's summary: what the list shows without reading a log.

use sequent_core::{MicroUsd, ProjectId, RunId, Timestamp, UserId};
use sequent_event::{Phase, RunOutcome, State};
use serde::{Deserialize, Serialize};

use crate::{Question, Work};

/// A run as the endpoints show it and as the table stores it. Every field repeats the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Run {
    /// Its id.
    pub id: RunId,
    /// The conversation it answers in.
    pub project_id: ProjectId,
    /// Who started it.
    pub user_id: UserId,
    /// The run that started it, for a child run.
    #[serde(default)]
    pub parent_run_id: Option<RunId>,
    /// Where it stands.
    pub status: Status,
    /// The model the caller chose; absent means the configured default.
    #[serde(default)]
    pub model: Option<String>,
    /// How it was asked to work.
    #[serde(flatten)]
    pub work: Work,
    /// The questions it waits for.
    #[serde(default)]
    pub interrupts: Vec<Question>,
    /// Tokens of all its model calls, those of its children included.
    #[serde(default)]
    pub usage: Tokens,
    /// What its model calls cost.
    #[serde(default)]
    pub cost: Cost,
    /// Why it failed.
    #[serde(default)]
    pub error: Option<Failure>,
    /// Its end has the project named: it is the first of the project. A mark of the table's, not shown to anybody.
    #[serde(default, skip_serializing)]
    #[cfg_attr(feature = "openapi", schema(ignore))]
    pub opens_project: bool,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When its first execution began.
    #[serde(default)]
    pub started_at: Option<Timestamp>,
    /// When it ended for good; a run that waits for people has not.
    #[serde(default)]
    pub completed_at: Option<Timestamp>,
}

/// Where a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Waiting for its turn.
    Pending,
    /// Executing, or waiting for a new owner after a crash.
    Running,
    /// Waiting for a person's answer.
    Interrupted,
    /// Ended with a complete answer.
    Success,
    /// Ended by a failure.
    Error,
    /// Ended because somebody asked for it.
    Cancelled,
}

/// Tokens of all model calls of a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Tokens {
    /// Tokens read.
    pub input_tokens: u64,
    /// Tokens written.
    pub output_tokens: u64,
}

/// What a run's model calls cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Cost {
    /// Millionths of a US dollar.
    #[cfg_attr(feature = "openapi", schema(value_type = u64))]
    pub micro_usd: MicroUsd,
    /// A model was not in the price table, so the amount is a lower bound.
    pub incomplete: bool,
}

/// Why a run failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Failure {
    /// Stable, for programs.
    pub code: String,
    /// For people.
    pub message: String,
}

impl Status {
    /// The status a log says.
    #[must_use]
    pub fn of(phase: &Phase) -> Self {
        match phase {
            Phase::Pending => Self::Pending,
            Phase::Running => Self::Running,
            Phase::Finished(RunOutcome::Success) => Self::Success,
            Phase::Finished(RunOutcome::Interrupt { .. }) => Self::Interrupted,
            Phase::Finished(RunOutcome::Cancelled) => Self::Cancelled,
            Phase::Failed { .. } => Self::Error,
        }
    }

    /// Its name in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Interrupted => "interrupted",
            Self::Success => "success",
            Self::Error => "error",
            Self::Cancelled => "cancelled",
        }
    }
}

impl Run {
    /// The row with everything the log knows taken from it.
    #[must_use]
    pub fn projected(mut self, state: &State) -> Self {
        let totals = &state.totals;
        self.status = Status::of(&state.phase);
        self.work = Work::from(&state.configuration);
        self.interrupts = state.open_interrupts().map(Question::from).collect();
        self.usage = Tokens { input_tokens: totals.input_tokens, output_tokens: totals.output_tokens };
        self.cost = Cost { micro_usd: totals.cost_micro_usd, incomplete: totals.incomplete };
        self.error = match &state.phase {
            Phase::Failed { code, message } => Some(Failure { code: code.clone(), message: message.clone() }),
            _ => None,
        };
        self.started_at = state.started_at;
        self.completed_at = state.ended_at.filter(|_| !state.is_interrupted());
        self
    }

    /// Whether it will never execute again.
    #[must_use]
    pub const fn has_ended(&self) -> bool {
        matches!(self.status, Status::Success | Status::Error | Status::Cancelled)
    }
}
