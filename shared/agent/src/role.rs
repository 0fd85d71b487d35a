//! The role of a run's model: the instructions of the agent that the run was started with, and the agent's choices that an
//! owner makes again for each request.
//!
//! Decision 22 (`infra/decisions/0022-a-run-records-its-agent.md`) explains what a run records instead.

use std::sync::Arc;

use sequent_core::{ApiError as _, TenantId};
use sequent_definitions::{AgentDefinition, Agents, Error, ToolPolicy};
use sequent_event::RunAgent;
use sequent_model::{Client, ModelName};
use sequent_tool::Registry;

/// The role that an agent gives to a model.
#[derive(Debug)]
pub(crate) struct AgentRole {
    /// The instructions as the model reads them.
    pub(crate) instructions: String,
    definition: Arc<AgentDefinition>,
}

impl AgentRole {
    /// Reads the agent of a run. The rows never change, so each owner reads the same.
    ///
    /// # Errors
    /// If the rows cannot be read at the moment, or are not there.
    pub(crate) async fn read(agents: &Agents, tenant: TenantId, agent: &RunAgent) -> Result<Self, Error> {
        let definition = agents.version(tenant, agent.id, agent.version).await?;
        let instructions = agents.instructions(tenant, agent).await?;
        Ok(Self { instructions, definition })
    }

    /// Returns `model` and those that are tried if it cannot answer, in order. An agent that names none has those of the
    /// deployment.
    pub(crate) fn candidates(&self, models: &Client, model: ModelName) -> Vec<ModelName> {
        if self.definition.fallbacks.is_empty() {
            return models.candidates(model);
        }
        let others = self.definition.fallbacks.iter().filter(|other| **other != model).cloned();
        let others: Vec<ModelName> = others.collect();
        std::iter::once(model).chain(others).collect()
    }

    /// Returns the tools as the agent may use them: a person decides about calls for which it must ask.
    pub(crate) fn tools(&self, tools: &Arc<Registry>) -> Arc<Registry> {
        let named = self.definition.tools.iter().flatten();
        let asked = named.filter(|tool| tool.policy == Some(ToolPolicy::Ask));
        let asked: Vec<&str> = asked.map(|tool| tool.name.as_str()).collect();
        if asked.is_empty() { Arc::clone(tools) } else { Arc::new(tools.with_approval(&asked)) }
    }
}

/// Returns `true` if the same read may succeed later.
pub(crate) fn is_temporary(error: &Error) -> bool {
    error.details().code.kind().is_server_fault() && !matches!(error, Error::Malformed(_))
}
