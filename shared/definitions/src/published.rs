//! The agents that a tenant has published: those with the label `production`.

use std::sync::Arc;

use sequent_core::{AgentId, TenantId};
use sequent_tables::key::{self, DefinitionKind};

use crate::{AgentDefinition, Agents, DefinitionName, Error, VersionLabel, head::Head};

/// Agents that are listed at most, in the order of their names. Each has a read of its own, once a process.
const MAX_LISTED: usize = 50;

/// An agent with the label `production`.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "plain data")]
pub struct PublishedAgent {
    pub id: AgentId,
    pub name: DefinitionName,
    /// The number of the version with the label.
    pub version: u32,
    /// The version with the label.
    pub definition: Arc<AgentDefinition>,
}

impl Agents {
    /// Lists the published agents of a tenant, in the order of their names: the first 50.
    ///
    /// # Errors
    /// Fails when the table fails.
    pub async fn published(&self, tenant: TenantId) -> Result<Vec<PublishedAgent>, Error> {
        let heads: Vec<Head> = self.store().every(key::definitions(tenant, DefinitionKind::Agent)).await?;
        let labelled = heads.iter().filter_map(|head| Some((head, head.labelled(VersionLabel::PRODUCTION)?)));
        let mut labelled: Vec<(&Head, u32)> = labelled.collect();
        labelled.sort_by_key(|(head, _)| head.name.as_str());
        let mut published = Vec::with_capacity(labelled.len().min(MAX_LISTED));
        for (head, version) in labelled.into_iter().take(MAX_LISTED) {
            let id = head.id.parse().map_err(|_| Error::AgentNotFound)?;
            let definition = self.version(tenant, id, version).await?;
            published.push(PublishedAgent { id, name: head.name.clone(), version, definition });
        }
        Ok(published)
    }
}
