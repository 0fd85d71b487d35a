//! Choosing the agent of a run.

use std::sync::Arc;

use sequent_core::{AgentId, TenantId};
use serde_json::{Map, Value};

use crate::{
    AgentDefinition, AgentReference, Agents, DefinitionName, Error, Surroundings, head::Head, variable,
};

/// The agent of a run. Its definition and its instructions follow from the other fields, which a run records.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "plain data")]
pub struct ChosenAgent {
    pub id: AgentId,
    pub version: u32,
    /// The name of the agent now.
    pub name: DefinitionName,
    pub definition: Arc<AgentDefinition>,
    /// The versions of the prompts that the definition names.
    pub prompts: Vec<(DefinitionName, u32)>,
    /// The values of all variables: given ones, defaults and standard ones. One without a value is null.
    pub variables: Map<String, Value>,
}

impl Agents {
    /// Chooses the agent that is asked for, or the default agent of the tenant. Returns `None` if none is asked for and the tenant
    /// has no default agent. Its instructions have been rendered once, so they can be rendered again.
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
        let Some((head, version)) = self.asked_for(tenant, reference).await? else {
            return if variables.is_empty() { Ok(None) } else { Err(Error::AgentNotFound) };
        };
        let id: AgentId = head.id.parse().map_err(|_| Error::AgentNotFound)?;
        let definition = self.version(tenant, id, version).await?;
        let prompts = self.prompts().resolve(tenant, &definition.prompts).await?;
        let variables = variable::complete(&definition.variables, variables, surroundings)?;
        self.instructions(tenant, id, version, &prompts, &variables).await?;
        Ok(Some(ChosenAgent { id, version, name: head.name, definition, prompts, variables }))
    }

    /// Finds the agent and the version that are asked for. A default agent that was deleted is none.
    async fn asked_for(
        &self,
        tenant: TenantId,
        reference: Option<&AgentReference>,
    ) -> Result<Option<(Head, u32)>, Error> {
        let default = match reference {
            Some(_) => None,
            None => self.default_reference(tenant).await?,
        };
        let Some(chosen) = reference.or(default.as_ref()) else { return Ok(None) };
        match self.head(tenant, &chosen.agent).await {
            Ok(head) => {
                let version = chosen.version.select(&head)?;
                Ok(Some((head, version)))
            }
            Err(Error::AgentNotFound) if reference.is_none() => Ok(None),
            Err(error) => Err(error),
        }
    }
}
