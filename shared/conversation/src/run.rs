//! The row of a run: its summary, for lists and pages that do not read the log.

use sequent_core::{MicroUsd, ProjectId, RunId, TenantId, Timestamp, UserId};
use sequent_event::{Lineage, Phase, Replay, RunOutcome, Seq, State};
use sequent_runlog::Waiting;
use sequent_tables::{
    Error as TableError, Row,
    key::{self, NumberedAgent},
};
use serde::{Deserialize, Serialize};

use crate::{RunOptions, RunQuestion};

/// A run as the API shows it and as the table stores it. Every field repeats the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[expect(missing_docs, reason = "plain data")]
pub struct Run {
    pub id: RunId,
    pub project_id: ProjectId,
    /// The user who started the run.
    pub user_id: UserId,
    /// The run that started this one, for a child run.
    #[serde(default)]
    pub parent_run_id: Option<RunId>,
    /// The run that this one continues in the conversation. Null for the first run, and for a child run.
    #[serde(default)]
    pub after: Option<RunId>,
    /// The run that this one repeats. Absent if it is no replay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replay: Option<ReplaySource>,
    pub status: RunStatus,
    /// The model that the caller chose. The default model if null.
    #[serde(default)]
    pub model: Option<String>,
    #[serde(flatten)]
    pub options: RunOptions,
    /// The questions that wait for answers.
    #[serde(default)]
    pub interrupts: Vec<RunQuestion>,
    /// Tokens of all model calls, those of child runs included.
    #[serde(default)]
    pub usage: TokenUsage,
    /// Cost of all model calls, those of child runs included.
    #[serde(default)]
    pub cost: RunCost,
    /// The reason for the status `error`.
    #[serde(default)]
    pub error: Option<RunFailure>,
    /// The run is the first of its project, so its end has the project named. Not shown by the API.
    #[serde(default, skip_serializing)]
    #[cfg_attr(feature = "openapi", schema(ignore))]
    pub opens_project: bool,
    /// The place of the run in its conversation. Not shown by the API.
    #[serde(default, skip_serializing)]
    #[cfg_attr(feature = "openapi", schema(ignore))]
    pub lineage: Lineage,
    /// The run has no owner, because it waits for child runs or jobs. Not shown by the API.
    #[serde(default, skip_serializing)]
    #[cfg_attr(feature = "openapi", schema(ignore))]
    pub waiting: Option<Waiting>,
    /// The times that the run has waited for people. Not shown by the API.
    #[serde(default, skip_serializing)]
    #[cfg_attr(feature = "openapi", schema(ignore))]
    pub person_waits: PersonWaits,
    /// The time of the request for the run.
    pub created_at: Timestamp,
    /// The start of the first execution.
    #[serde(default)]
    pub started_at: Option<Timestamp>,
    /// The end of the run. Null while the run waits for people.
    #[serde(default)]
    pub completed_at: Option<Timestamp>,
}

/// The times that a run has waited for people.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PersonWaits {
    /// The executions that ended with a question.
    pub count: u32,
    /// Milliseconds until the answers, without those until an answer that is still awaited.
    pub ms: u64,
}

/// The origin of a replay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ReplaySource {
    /// The run that is repeated.
    pub run_id: RunId,
    /// The last event of its log that the replay has kept. Null if it began with the task.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<u64>))]
    pub seq: Option<Seq>,
}

impl From<Replay> for ReplaySource {
    fn from(replay: Replay) -> Self {
        Self { run_id: replay.run_id, seq: replay.seq }
    }
}

/// The status of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum RunStatus {
    /// The run waits for its turn or for a worker.
    Pending,
    /// The run is executed, or waits for a new owner after a crash.
    Running,
    /// The run waits for a person's answer.
    Interrupted,
    /// The run has ended with a complete answer.
    Success,
    /// The run has ended with a failure.
    Error,
    /// The run was cancelled.
    Cancelled,
}

/// Tokens of all model calls of a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[expect(missing_docs, reason = "plain data")]
pub struct TokenUsage {
    pub input_tokens: u64,
    pub output_tokens: u64,
}

/// Cost of the model calls of a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RunCost {
    /// Millionths of a US dollar.
    #[cfg_attr(feature = "openapi", schema(value_type = u64))]
    pub micro_usd: MicroUsd,
    /// A model is not in the price table, so the amount is a lower bound.
    pub incomplete: bool,
}

/// The reason why a run failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RunFailure {
    /// A stable name, for programs.
    pub code: String,
    /// An explanation, for people.
    pub message: String,
}

impl RunStatus {
    /// The statuses of runs that have not ended.
    pub(crate) const LIVE: [Self; 3] = [Self::Pending, Self::Running, Self::Interrupted];

    /// The statuses of runs that will never be executed again.
    pub(crate) const ENDED: [Self; 3] = [Self::Success, Self::Error, Self::Cancelled];

    /// Returns the status for the phase of a log.
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

    /// Returns `true` if a run with this status will never be executed again.
    #[must_use]
    pub const fn has_ended(self) -> bool {
        matches!(self, Self::Success | Self::Error | Self::Cancelled)
    }

    /// Returns the name in JSON.
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
    /// Returns the row with everything that the log knows taken from `state`.
    #[must_use]
    pub fn projected(mut self, state: &State) -> Self {
        let totals = &state.totals;
        self.status = RunStatus::of(&state.phase);
        self.options = RunOptions {
            client_tools: Vec::new(),
            evaluation: None,
            ..RunOptions::from(&state.configuration)
        };
        self.lineage = state.configuration.lineage;
        self.after = self.lineage.after;
        self.replay = state.configuration.replay.as_deref().map(|replay| (*replay).into());
        // The questions of a cancelled run need no answer.
        let open = state.open_interrupts().filter(|_| state.cancel.is_none());
        self.interrupts = open.map(RunQuestion::from).collect();
        self.usage = TokenUsage { input_tokens: totals.input_tokens, output_tokens: totals.output_tokens };
        self.cost = RunCost { micro_usd: totals.cost_micro_usd, incomplete: totals.incomplete };
        self.error = match &state.phase {
            Phase::Failed { code, message } => {
                Some(RunFailure { code: code.clone(), message: message.clone() })
            }
            _ => None,
        };
        self.person_waits = PersonWaits { count: state.interruptions, ms: state.waited_ms };
        self.started_at = state.started_at;
        self.completed_at = state.ended_at.filter(|_| !state.is_interrupted());
        self
    }

    /// Returns the row with its place among the runs of its user.
    pub(crate) fn row(&self, tenant: TenantId) -> Result<Row, TableError> {
        let mut row = Row::new(&key::run(tenant, self.id), self)?;
        if !self.lineage.is_first() {
            row = row.set("lineage", self.lineage);
        }
        if self.person_waits != PersonWaits::default() {
            row = row.set("person_waits", self.person_waits);
        }
        if self.opens_project {
            row = row.set("opens_project", true);
        }
        Ok(row.gsi1(key::run_of_user(tenant, self.user_id, self.id)))
    }

    /// Returns the version of the agent that the run was started with.
    #[must_use]
    pub fn numbered_agent(&self) -> Option<NumberedAgent> {
        self.options.agent.as_ref().map(|agent| NumberedAgent { agent: agent.id, version: agent.version })
    }

    /// Returns `true` if the run will never be executed again.
    #[must_use]
    pub const fn has_ended(&self) -> bool {
        self.status.has_ended()
    }
}
