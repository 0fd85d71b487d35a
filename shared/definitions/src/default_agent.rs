//! The default agent of a tenant: the one of runs that ask for none.

use sequent_core::{AgentId, TenantId};
use sequent_tables::{Update, key};
use serde::{Deserialize, Serialize};

use crate::{AgentKey, AgentReference, Agents, DefinitionName, Error};

/// The default agent of a tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DefaultAgent {
    /// The agent by its id, with the label or the version if one was given.
    pub agent: AgentReference,
    /// The name of the agent.
    pub name: DefinitionName,
    /// The version that runs have now.
    pub version: u32,
    /// The id of the agent.
    pub agent_id: AgentId,
}

/// The part of the settings that names the default agent.
#[derive(Default, Deserialize)]
struct DefaultSetting {
    #[serde(default)]
    default_agent: Option<AgentReference>,
}

impl Agents {
    /// Returns the default agent, or `None` if the tenant has none. An agent that was deleted is none.
    ///
    /// # Errors
    /// [`Error::LabelNotFound`] if its label was removed, or when the table fails.
    pub async fn default_agent(&self, tenant: TenantId) -> Result<Option<DefaultAgent>, Error> {
        let Some(reference) = self.default_reference(tenant).await? else { return Ok(None) };
        match self.resolved(tenant, reference).await {
            Ok(default) => Ok(Some(default)),
            Err(Error::AgentNotFound) => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(crate) async fn default_reference(&self, tenant: TenantId) -> Result<Option<AgentReference>, Error> {
        let settings: Option<DefaultSetting> = self.store().get(&key::definition_settings(tenant)).await?;
        Ok(settings.unwrap_or_default().default_agent)
    }

    /// Makes an agent the default. It is kept by its id, so it may be renamed.
    ///
    /// # Errors
    /// [`Error::AgentNotFound`], [`Error::LabelNotFound`], [`Error::VersionNotFound`], or when the table fails.
    pub async fn set_default(
        &self,
        tenant: TenantId,
        reference: AgentReference,
    ) -> Result<DefaultAgent, Error> {
        let default = self.resolved(tenant, reference).await?;
        let update = Update::of(&key::definition_settings(tenant)).set("default_agent", &default.agent);
        self.store().write(update).await?;
        Ok(default)
    }

    /// Leaves the tenant without a default agent.
    ///
    /// # Errors
    /// Fails when the table fails.
    pub async fn clear_default(&self, tenant: TenantId) -> Result<(), Error> {
        let update = Update::of(&key::definition_settings(tenant)).remove("default_agent");
        Ok(self.store().write(update).await?)
    }

    async fn resolved(&self, tenant: TenantId, reference: AgentReference) -> Result<DefaultAgent, Error> {
        let head = self.head(tenant, &reference.agent).await?;
        let version = reference.version.select(&head)?;
        let agent_id: AgentId = head.id.parse().map_err(|_| Error::AgentNotFound)?;
        let agent = AgentReference { agent: AgentKey::Id(agent_id), version: reference.version };
        Ok(DefaultAgent { agent, name: head.name, version, agent_id })
    }
}
