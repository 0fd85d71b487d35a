//! Choosing the agent of a run.

use std::sync::Arc;

use sequent_core::{AgentId, TenantId};
use sequent_event::{RunAgent, StepAgent};
use serde_json::{Map, Value};

use crate::{AgentDefinition, AgentReference, Agents, Error, Surroundings, head::Head, variable};

/// The agent of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct ChosenAgent {
    /// The record of the agent for the log, from which all else follows. The values of all variables are in it: given ones,
    /// defaults and standard ones. One without a value is null.
    pub agent: RunAgent,
    /// The version of the agent.
    pub definition: Arc<AgentDefinition>,
    /// The instructions as the model reads them.
    pub instructions: String,
}

/// A version of an agent that a request names.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "plain data")]
pub struct NamedAgent {
    pub agent: StepAgent,
    pub definition: Arc<AgentDefinition>,
}

impl Agents {
    /// Finds the version of an agent that is asked for. Its instructions are not rendered.
    ///
    /// # Errors
    /// [`Error::AgentNotFound`], [`Error::LabelNotFound`], [`Error::VersionNotFound`], or when the table fails.
    pub async fn find(&self, tenant: TenantId, reference: &AgentReference) -> Result<NamedAgent, Error> {
        let head = self.head(tenant, &reference.agent).await?;
        let version = reference.version.select(&head)?;
        let id: AgentId = head.id.parse().map_err(|_| Error::AgentNotFound)?;
        let definition = self.version(tenant, id, version).await?;
        Ok(NamedAgent { agent: StepAgent { id, name: head.name.to_string(), version }, definition })
    }

    /// Chooses the agent that is asked for, or the default agent of the tenant. Returns `None` if none is asked for and the tenant
    /// has no default agent.
    ///
    /// # Errors
    /// [`Error::AgentNotFound`], [`Error::LabelNotFound`], [`Error::VersionNotFound`], [`Error::PromptNotFound`],
    /// [`Error::Variables`] if a value is missing, unknown or of the wrong type, [`Error::NotRendered`], or when the table fails.
    pub async fn choose(
        &self,
        tenant: TenantId,
        reference: Option<&AgentReference>,
        variables: &Map<String, Value>,
        surroundings: &Surroundings,
    ) -> Result<Option<ChosenAgent>, Error> {
        let Some((head, version)) = self.asked_for(tenant, reference).await? else { return Ok(None) };
        let id: AgentId = head.id.parse().map_err(|_| Error::AgentNotFound)?;
        let definition = self.version(tenant, id, version).await?;
        let prompts = self.prompts().resolve(tenant, &definition.prompts).await?;
        let variables = variable::complete(&definition.variables, variables, surroundings)?;
        let name = head.name.to_string();
        let turns = definition.history.turns;
        let max_notes = definition.memory.map(|memory| memory.max_notes);
        let agent = RunAgent { id, name, version, prompts, variables, turns, max_notes };
        let instructions = self.instructions(tenant, &agent).await?;
        Ok(Some(ChosenAgent { agent, definition, instructions }))
    }

    /// Finds the agent and the version that are asked for. A default agent that was deleted, or lost its label, is none.
    async fn asked_for(
        &self,
        tenant: TenantId,
        reference: Option<&AgentReference>,
    ) -> Result<Option<(Head, u32)>, Error> {
        let default = match reference {
            Some(_) => None,
            None => self.recent_default(tenant).await?,
        };
        let Some(chosen) = reference.or(default.as_ref()) else { return Ok(None) };
        match self.head(tenant, &chosen.agent).await {
            Ok(head) => match chosen.version.select(&head) {
                Ok(version) => Ok(Some((head, version))),
                // The label of the default was removed. Requests that ask for no agent go on without one.
                Err(Error::LabelNotFound(_)) if reference.is_none() => Ok(None),
                Err(error) => Err(error),
            },
            Err(Error::AgentNotFound) if reference.is_none() => Ok(None),
            Err(error) => Err(error),
        }
    }
}
