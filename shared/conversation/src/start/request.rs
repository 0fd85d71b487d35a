//! A request to start a run: its message, its project, and the policy for a project that is busy.

use std::sync::Arc;

use sequent_billing::PricedRequest;
use sequent_core::{MicroUsd, MissingScope, Principal, ProjectId, Scope};
use sequent_event::CancelReason;
use sequent_model::ModelName;
use sequent_tables::idempotency;
use serde::{Deserialize, Serialize};

use super::setup::RunSetup;
use crate::{Continues, Prompt, ReplayedRun, RunOptions};

/// The policy for a project that has a live run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum OnConflict {
    /// Refuse the request and name the live run.
    #[default]
    Reject,
    /// Run after the live run and those that wait already.
    Enqueue,
    /// Cancel the live run and keep what it has said, then run. An API key needs `runs:write`.
    Interrupt,
    /// Cancel the live run and delete its messages from the conversation, then run. An API key needs `runs:write`.
    Rollback,
}

impl OnConflict {
    /// Returns the reason for which the live run is ended, or `None` if it goes on.
    pub(super) const fn reason_to_end(self) -> Option<CancelReason> {
        match self {
            Self::Reject | Self::Enqueue => None,
            Self::Interrupt => Some(CancelReason::Interrupted),
            Self::Rollback => Some(CancelReason::RolledBack),
        }
    }
}

/// A request to start a run.
#[derive(Debug, Clone)]
pub struct RunRequest {
    /// The verified caller. The run has its scopes.
    pub caller: Principal,
    /// The project that the run answers in.
    pub project: Destination,
    /// The user's message, as it was accepted.
    pub prompt: Prompt,
    /// The way in which the run works.
    pub setup: RunSetup,
    /// The policy for a project that has a live run.
    pub on_conflict: OnConflict,
    /// The place in the conversation.
    pub continues: Continues,
    /// The run that is run again, if any.
    pub replay: Option<Arc<ReplayedRun>>,
    /// The idempotency key of the request. A retry with the same key leads to the same run.
    pub idempotency: Option<idempotency::Request>,
}

impl RunRequest {
    /// Checks that the caller may end a live run, if the request does so.
    pub(super) fn authorise(&self) -> Result<(), MissingScope> {
        let may_end = self.on_conflict.reason_to_end().is_some();
        if may_end { self.caller.require(Scope::RunsWrite) } else { Ok(()) }
    }

    /// Returns the parts of the request that its price depends on.
    pub(super) fn priced(&self) -> PricedRequest<'_> {
        let RunSetup { model, fallbacks, options, instructions } = &self.setup;
        PricedRequest {
            model: model.as_ref().map(ModelName::as_str),
            fallbacks,
            bytes: instructions.len() + bytes_of(options) + self.prompt.content().readable().len(),
            budget: options.budget.max_cost_micro_usd.map(MicroUsd),
        }
    }
}

/// The bytes of what the model reads with the message: the tools of the client, the schema of the answer, and the notes of the
/// agent.
fn bytes_of(options: &RunOptions) -> usize {
    let tools = serde_json::to_string(&options.client_tools).map_or(0, |text| text.len());
    let schema = options.output_schema.as_ref().map_or(0, |schema| schema.to_string().len());
    tools + schema + sequent_memory::instructions(&options.notes).map_or(0, |text| text.len())
}

/// The project that a run answers in.
#[derive(Debug, Clone)]
pub enum Destination {
    /// This project of the tenant.
    Project(ProjectId),
    /// A project that is created with the run.
    NewProject {
        /// The id of the new project.
        id: ProjectId,
        /// The client's own name for the project. If another request gives it to a project first, the run answers in
        /// that project.
        name: Option<String>,
    },
}

impl Destination {
    /// Returns `project`, or a new project without a name of the client's if it is `None`.
    #[must_use]
    pub fn or_new(project: Option<ProjectId>) -> Self {
        match project {
            Some(project) => Self::Project(project),
            None => Self::NewProject { id: ProjectId::new(), name: None },
        }
    }

    pub(super) const fn id(&self) -> ProjectId {
        match self {
            Self::Project(id) | Self::NewProject { id, .. } => *id,
        }
    }
}
