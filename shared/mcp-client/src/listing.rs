//! The tools of a tenant's servers, as this process knows them.

use std::{
    collections::BTreeSet,
    sync::{Arc, PoisonError},
    time::{Duration, Instant},
};

use futures::future::join_all;
use rmcp::model::Tool as Remote;
use sequent_core::TenantId;
use sequent_tool::Tool;

use crate::{
    Error, Offer, Server, Servers,
    link::Link,
    server::{Stored, purpose},
    servers::Inner,
    tool::{description, tool, tool_name},
};

/// How long a list is trusted: the longest until a change of a tenant's servers reaches a process.
const FRESH: Duration = Duration::from_secs(60);
/// How long when a server did not answer.
const FRESH_WITHOUT_ALL: Duration = Duration::from_secs(10);
/// Tenants a process remembers.
const REMEMBERED: usize = 256;
/// Model providers take 128 tools, and the built-in ones come first.
const MAX_TOOLS: usize = 100;

/// What a process knows of a tenant's servers.
pub(crate) struct Known {
    until: Instant,
    servers: Vec<Reached>,
}

/// A server and its session, with the tools it listed last.
struct Reached {
    stored: Stored,
    link: Arc<Link>,
    tools: Vec<Tool>,
}

impl Servers {
    /// The tools that agents of the tenant may use. For a tenant without servers it costs one query a minute. A server
    /// that cannot be reached costs its tools, unless it listed them to this process before.
    pub async fn tools(&self, tenant: TenantId) -> Vec<Tool> {
        let before = self.inner().recall(tenant);
        if let Some(known) = before.as_ref().filter(|known| Instant::now() < known.until) {
            return known.tools();
        }
        match self.inner().learn(tenant, before.as_deref()).await {
            Ok(known) => {
                let tools = known.tools();
                self.inner().remember(tenant, known);
                tools
            }
            Err(error) => {
                tracing::warn!(%tenant, %error, "the MCP servers of a tenant could not be read");
                before.map(|known| known.tools()).unwrap_or_default()
            }
        }
    }
}

impl Inner {
    fn recall(&self, tenant: TenantId) -> Option<Arc<Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).get(&tenant).cloned()
    }

    fn remember(&self, tenant: TenantId, known: Known) {
        let mut all = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= REMEMBERED {
            let now = Instant::now();
            all.retain(|_, known| now < known.until);
        }
        if all.len() < REMEMBERED || all.contains_key(&tenant) {
            all.insert(tenant, Arc::new(known));
        }
    }

    async fn learn(&self, tenant: TenantId, before: Option<&Known>) -> Result<Known, Error> {
        let mut rows = self.rows(tenant).await?;
        rows.retain(|stored| stored.server.enabled);
        rows.truncate(Servers::MAX as usize);
        let reached = join_all(rows.into_iter().map(|stored| self.reach(tenant, stored, before))).await;
        let all = reached.iter().all(|(_, answered)| *answered);
        let fresh = if all { FRESH } else { FRESH_WITHOUT_ALL };
        let servers = reached.into_iter().filter_map(|(reached, _)| reached).collect();
        Ok(Known { until: Instant::now() + fresh, servers })
    }

    /// The server as it is now, and whether it answered. An unchanged one keeps its session.
    async fn reach(
        &self,
        tenant: TenantId,
        stored: Stored,
        before: Option<&Known>,
    ) -> (Option<Reached>, bool) {
        let server = stored.server.name.clone();
        let same = before.and_then(|known| known.servers.iter().find(|reached| reached.stored == stored));
        let link = match same {
            Some(reached) => Arc::clone(&reached.link),
            None => match self.open(tenant, &stored).await {
                Ok(link) => Arc::new(link),
                Err(error) => {
                    tracing::warn!(%tenant, %server, %error, "an MCP server cannot be used");
                    return (None, false);
                }
            },
        };
        let (tools, answered) = match link.list().await {
            Ok(remote) => (usable(&stored.server, &remote, &link), true),
            Err(error) => {
                tracing::warn!(%tenant, %server, %error, "an MCP server did not list its tools");
                (same.map(|reached| reached.tools.clone()).unwrap_or_default(), false)
            }
        };
        (Some(Reached { stored, link, tools }), answered)
    }

    async fn open(&self, tenant: TenantId, stored: &Stored) -> Result<Link, Error> {
        let Stored { server, sealed_token } = stored;
        let token = match sealed_token {
            Some(sealed) => {
                let secret = self.vault.get().await?;
                Some(secret.sealing().open(sealed, &purpose(tenant, &server.name, &server.url))?)
            }
            None => None,
        };
        Ok(self.link(server.url.clone(), token)?)
    }
}

impl Known {
    fn tools(&self) -> Vec<Tool> {
        self.servers.iter().flat_map(|reached| &reached.tools).take(MAX_TOOLS).cloned().collect()
    }
}

/// The allowed tools of a server that can be used.
fn usable(server: &Server, remote: &[Remote], link: &Arc<Link>) -> Vec<Tool> {
    let mut names = BTreeSet::new();
    let mut tools = Vec::new();
    for remote in remote.iter().filter(|remote| allows(server, &remote.name)) {
        match tool(&server.name, remote, link) {
            Ok(tool) if names.insert(tool.spec.name.clone()) => tools.push(tool),
            Ok(tool) => {
                tracing::warn!(server = %server.name, tool = tool.spec.name, "an MCP server lists a tool twice");
            }
            Err(error) => {
                tracing::warn!(server = %server.name, tool = &*remote.name, %error, "an MCP server's tool is left out");
            }
        }
    }
    tools
}

/// All tools of a server, and which of them agents may use.
pub(crate) fn offers(server: &Server, remote: &[Remote], link: &Arc<Link>) -> Vec<Offer> {
    let usable = usable(server, remote, link);
    let offer = |remote: &Remote| {
        let tool = tool_name(&server.name, &remote.name);
        let usable = usable.iter().any(|usable| usable.spec.name == tool);
        Offer { name: remote.name.to_string(), tool, description: description(remote), usable }
    };
    remote.iter().map(offer).collect()
}

fn allows(server: &Server, tool: &str) -> bool {
    server.allowed_tools.as_ref().is_none_or(|allowed| allowed.iter().any(|name| name == tool))
}
