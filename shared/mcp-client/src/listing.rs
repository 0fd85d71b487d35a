//! The cache of the tools of tenants' servers in this process.

use std::{
    collections::BTreeSet,
    sync::{Arc, PoisonError},
    time::{Duration, Instant},
};

use futures::future::join_all;
use sequent_core::TenantId;
use sequent_tables::{Error as DataError, Update, exists, key};
use sequent_tool::Tool;

use crate::{
    Error, Failure, Name, Servers, ToolListing,
    bearer::Bearer,
    definition::{Definitions, ToolDefinition},
    link::Link,
    pages::{List, Listed},
    reading,
    server::{Endpoint, Stored, purpose},
    servers::Inner,
    tool::{offer, tool},
};

/// Time for which a list is cached. A change of a tenant's servers reaches every process within this time.
const TTL: Duration = Duration::from_secs(60);
/// Time for which a list is cached if a server did not answer.
const INCOMPLETE_TTL: Duration = Duration::from_secs(10);
/// Tenants in the cache at most.
const MAX_TENANTS: usize = 256;
/// Tools of all servers at most: model providers accept 128 tools, and the built-in tools come first.
const MAX_TOOLS: usize = 100;

/// The cached servers of a tenant.
pub(crate) struct CachedServers {
    expires: Instant,
    servers: Vec<ConnectedServer>,
}

/// A server, its session, and the tools that it listed last.
struct ConnectedServer {
    stored: Stored,
    link: Arc<Link>,
    tools: Vec<Tool>,
}

impl Servers {
    /// Returns the tools that agents of the tenant may use. For a tenant without servers this costs one query
    /// a minute. If a server cannot be reached, or the table cannot be read, the tools that were listed to this process before
    /// are returned.
    ///
    /// # Errors
    /// If the table cannot be read at the moment and nothing was listed before: a run would otherwise be told that it has no such tools.
    pub async fn tools(&self, tenant: TenantId) -> Result<Vec<Tool>, DataError> {
        let before = self.inner().cached(tenant);
        if let Some(known) = before.as_ref().filter(|known| Instant::now() < known.expires) {
            return Ok(known.tools());
        }
        match self.inner().connect_all(tenant, before.as_deref()).await {
            Ok(known) => {
                let tools = known.tools();
                self.inner().cache(tenant, known);
                Ok(tools)
            }
            Err(error) => {
                tracing::warn!(%tenant, %error, "could not read the tenant's MCP servers; using the tools listed before");
                match before {
                    Some(known) => Ok(known.tools()),
                    // It stays so. The runs of the tenant go on without the tools.
                    None if matches!(error, DataError::Malformed(_)) => Ok(Vec::new()),
                    None => Err(error),
                }
            }
        }
    }
}

#[cfg(test)]
impl Servers {
    /// Has the next call list the tools of the tenant again, as it does after the time to live.
    pub(crate) fn expire(&self, tenant: TenantId) {
        let mut all = self.inner().cache.lock().unwrap_or_else(PoisonError::into_inner);
        let known = all.get_mut(&tenant).and_then(Arc::get_mut).expect("only the cache has the list");
        known.expires = Instant::now();
    }
}

impl Inner {
    fn cached(&self, tenant: TenantId) -> Option<Arc<CachedServers>> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner).get(&tenant).cloned()
    }

    fn cache(&self, tenant: TenantId, known: CachedServers) {
        let mut all = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= MAX_TENANTS {
            let now = Instant::now();
            all.retain(|_, known| now < known.expires);
        }
        if all.len() < MAX_TENANTS || all.contains_key(&tenant) {
            all.insert(tenant, Arc::new(known));
        }
    }

    async fn connect_all(
        &self,
        tenant: TenantId,
        before: Option<&CachedServers>,
    ) -> Result<CachedServers, DataError> {
        let mut rows = self.rows(tenant).await?;
        rows.retain(|stored| stored.server.enabled);
        rows.truncate(Servers::MAX as usize);
        let reached = join_all(rows.into_iter().map(|stored| self.connect(tenant, stored, before))).await;
        let is_complete = reached.iter().all(|(_, answered)| *answered);
        let ttl = if is_complete { TTL } else { INCOMPLETE_TTL };
        let servers = reached.into_iter().filter_map(|(reached, _)| reached).collect();
        Ok(CachedServers { expires: Instant::now() + ttl, servers })
    }

    /// Lists a server's tools. Returns `false` if the server did not answer. An unchanged server keeps its
    /// session.
    async fn connect(
        &self,
        tenant: TenantId,
        mut stored: Stored,
        before: Option<&CachedServers>,
    ) -> (Option<ConnectedServer>, bool) {
        let server = stored.server.name.clone();
        // Another user may have signed in since.
        let is_same = |reached: &&ConnectedServer| {
            reached.stored.sealed_endpoint == stored.sealed_endpoint
                && reached.stored.signed_in_at == stored.signed_in_at
        };
        let same = before.and_then(|known| known.servers.iter().find(is_same));
        let link = match same {
            Some(reached) => Arc::clone(&reached.link),
            None => match self.open(tenant, &stored).await {
                Ok(link) => Arc::new(link),
                Err(error) => {
                    tracing::warn!(%tenant, %server, %error, "could not connect to an MCP server; its tools are missing");
                    return (None, false);
                }
            },
        };
        let listed = definitions(&link, &server).await;
        let answered = listed.is_ok();
        let tools = match listed {
            Ok(listed) => {
                let Definitions { tools, malformed, incomplete } = &listed;
                if !malformed.is_empty() || incomplete.is_some() {
                    tracing::warn!(%tenant, %server, ?malformed, incomplete, "could not read all tools of an MCP server; using the others");
                }
                self.note_pending(tenant, &mut stored, tools).await;
                usable(&stored, tools, &link)
            }
            Err(error) => {
                tracing::warn!(%tenant, %server, %error, "an MCP server did not list its tools; using those listed before");
                same.map(|known| known.tools.clone()).unwrap_or_default()
            }
        };
        (Some(ConnectedServer { stored, link, tools }), answered)
    }

    pub(crate) async fn open(&self, tenant: TenantId, stored: &Stored) -> Result<Link, Error> {
        let Stored { server, sealed_endpoint, .. } = stored;
        let keys = self.vault.sealing_of(sealed_endpoint).await?;
        let purpose = purpose(tenant, &server.name, &server.host);
        let endpoint = Endpoint::open(&keys, sealed_endpoint, &purpose)?;
        let web = self.web()?;
        let bearer = Bearer::of(tenant, stored, &self.store, &self.vault, &self.guard, &web).await?;
        Ok(Link::new(self.guard.clone(), web.with_bearer(bearer), endpoint))
    }

    /// Notes in the server's row which tools wait for acceptance, so that its tenant learns of them.
    pub(crate) async fn note_pending(
        &self,
        tenant: TenantId,
        stored: &mut Stored,
        remote: &[ToolDefinition],
    ) {
        let pending = pending(stored, remote);
        if pending == stored.server.pending_tools {
            return;
        }
        let server = stored.server.name.clone();
        tracing::warn!(%tenant, %server, tools = ?pending, "an MCP server added or changed tools; agents cannot use them until they are accepted");
        let row = Update::of(&key::mcp_server(tenant, server.as_str())).set("pending_tools", &pending);
        if let Err(error) = self.store.write(row.when(exists())).await {
            tracing::warn!(%tenant, %server, %error, "could not note the changed tools of an MCP server; the next listing notes them");
        }
        stored.server.pending_tools = pending;
    }
}

impl CachedServers {
    fn tools(&self) -> Vec<Tool> {
        self.servers.iter().flat_map(|reached| &reached.tools).take(MAX_TOOLS).cloned().collect()
    }
}

/// Reads what a server has: its tools, and tools of ours for its resources and prompts.
pub(crate) async fn definitions(link: &Link, server: &Name) -> Result<Definitions, Failure> {
    let capabilities = link.capabilities().await?;
    let has_others = capabilities.resources || capabilities.prompts;
    let listed = match link.list(List::TOOLS).await {
        // A server without tools need not know the request.
        Err(Failure::Refused(_)) if has_others && !capabilities.tools => Listed::default(),
        listed => listed?,
    };
    let mut definitions = Definitions::of(listed);
    reading::tools(server, capabilities).for_each(|tool| definitions.add(tool));
    Ok(definitions)
}

/// The allowed tools that agents cannot use because their definitions were not accepted.
fn pending(stored: &Stored, remote: &[ToolDefinition]) -> BTreeSet<String> {
    let allowed = remote.iter().filter(|remote| stored.server.allows(&remote.name));
    allowed.filter(|remote| !stored.pins.accept(remote)).map(|remote| remote.name.clone()).collect()
}

/// The tools of a server that are allowed, accepted and usable.
fn usable(stored: &Stored, remote: &[ToolDefinition], link: &Arc<Link>) -> Vec<Tool> {
    let server = &stored.server;
    let accepted = remote.iter().filter(|remote| stored.pins.accept(remote));
    let usable = accepted.filter(|remote| server.allows(&remote.name)).filter_map(|remote| {
        let created = tool(server, remote, link);
        if let Err(error) = &created {
            tracing::warn!(server = %server.name, tool = remote.name, %error, "could not use a tool of an MCP server; leaving it out");
        }
        created.ok()
    });
    usable.collect()
}

/// Everything that a server has listed, with a mark on the tools that agents may use.
pub(crate) fn listing(stored: &Stored, definitions: Definitions, link: &Arc<Link>) -> ToolListing {
    let Definitions { tools, malformed, incomplete } = definitions;
    let tools = tools.iter().map(|remote| offer(stored, remote, link)).collect();
    ToolListing { tools, malformed_tools: malformed, incomplete }
}
