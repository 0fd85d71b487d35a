//! The default agent of a tenant: the one of runs that ask for none.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

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

/// The default agents that this process has read within the last [`RECENT`]. Each start of a run asks for one, and most
/// tenants have none.
#[derive(Debug, Default)]
pub(crate) struct RecentDefaults(Mutex<HashMap<TenantId, RecentDefault>>);

/// The setting of a tenant, and the time at which it was read.
type RecentDefault = (Instant, Option<AgentReference>);

/// Time after which a change of the default agent has reached every process.
const RECENT: Duration = Duration::from_secs(10);
/// Tenants that are kept at most.
const MAX_TENANTS: usize = 1024;

impl RecentDefaults {
    fn get(&self, tenant: TenantId) -> Option<Option<AgentReference>> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.get(&tenant).filter(|(read, _)| read.elapsed() < RECENT).map(|(_, default)| default.clone())
    }

    fn keep(&self, tenant: TenantId, default: Option<AgentReference>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= MAX_TENANTS {
            kept.clear();
        }
        kept.insert(tenant, (Instant::now(), default));
    }
}

impl Agents {
    /// Returns the reference to the default agent as it was within the last 10 seconds.
    pub(crate) async fn recent_default(&self, tenant: TenantId) -> Result<Option<AgentReference>, Error> {
        if let Some(kept) = self.defaults.get(tenant) {
            return Ok(kept);
        }
        let default = self.default_reference(tenant).await?;
        self.defaults.keep(tenant, default.clone());
        Ok(default)
    }

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
    /// [`Error::DefaultNeedsVariable`], [`Error::AgentNotFound`], [`Error::LabelNotFound`], [`Error::VersionNotFound`], or when the table fails.
    pub async fn set_default(
        &self,
        tenant: TenantId,
        reference: AgentReference,
    ) -> Result<DefaultAgent, Error> {
        let default = self.resolved(tenant, reference).await?;
        let definition = self.version(tenant, default.agent_id, default.version).await?;
        if let Some((name, _)) = definition.variables.iter().find(|(_, variable)| variable.required) {
            return Err(Error::DefaultNeedsVariable(name.clone()));
        }
        let update = Update::of(&key::definition_settings(tenant)).set("default_agent", &default.agent);
        self.store().write(update).await?;
        self.defaults.keep(tenant, Some(default.agent.clone()));
        Ok(default)
    }

    /// Leaves the tenant without a default agent.
    ///
    /// # Errors
    /// Fails when the table fails.
    pub async fn clear_default(&self, tenant: TenantId) -> Result<(), Error> {
        let update = Update::of(&key::definition_settings(tenant)).remove("default_agent");
        self.store().write(update).await?;
        self.defaults.keep(tenant, None);
        Ok(())
    }

    async fn resolved(&self, tenant: TenantId, reference: AgentReference) -> Result<DefaultAgent, Error> {
        let head = self.head(tenant, &reference.agent).await?;
        let version = reference.version.select(&head)?;
        let agent_id: AgentId = head.id.parse().map_err(|_| Error::AgentNotFound)?;
        let agent = AgentReference { agent: AgentKey::Id(agent_id), version: reference.version };
        Ok(DefaultAgent { agent, name: head.name, version, agent_id })
    }
}
