//! The servers of each tenant: set up, list, get, remove.

use std::{
    collections::HashMap,
    fmt,
    net::IpAddr,
    sync::{Arc, Mutex, OnceLock},
};

use sequent_aws::secret;
use sequent_core::{SecretString, TenantId, Timestamp, UserId};
use sequent_identity::{Vault, secret::SealError};
use sequent_tables::{Error as DataError, PageRequest, Row, Store, key};
use sequent_tool::{
    Guard,
    guard::{Admitted, Refusal},
};

use crate::{
    Failure, Name, NewServer, Offer, Server,
    link::Link,
    listing::{self, CachedServers},
    server::{Stored, purpose},
    web::Web,
};

/// The MCP servers of all tenants, with a cache of their tools. Cheap to clone.
#[derive(Clone)]
pub struct Servers(Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) store: Store,
    pub(crate) vault: Vault,
    guard: Guard,
    web: OnceLock<Web>,
    pub(crate) cache: Mutex<HashMap<TenantId, Arc<CachedServers>>>,
}

/// The error of an operation on a tenant's servers.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The tenant has no server with this name.
    #[error("there is no MCP server with this name")]
    NotFound,
    /// The tenant has a server with this name already.
    #[error("there is already an MCP server with this name")]
    NameTaken,
    /// The tenant has [`Servers::MAX`] servers already.
    #[error("a tenant can have at most {} MCP servers", Servers::MAX)]
    TooMany,
    /// The guard does not allow the address.
    #[error(transparent)]
    Address(#[from] Refusal),
    /// The server has a token and no TLS: the token would be sent in clear text.
    #[error("a token can only be sent over https")]
    Exposed,
    /// The server did not list its tools.
    #[error(transparent)]
    Server(#[from] Failure),
    /// The table could not be read or written.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The deployment's secret could not be read.
    #[error(transparent)]
    Secret(#[from] secret::Error),
    /// The token could not be sealed or opened.
    #[error(transparent)]
    Seal(#[from] SealError),
}

impl fmt::Debug for Servers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Servers").finish_non_exhaustive()
    }
}

impl Servers {
    /// Servers of a tenant at most.
    pub const MAX: u32 = 10;

    /// Creates a client for the servers in `store`. Tokens are sealed with the key in `vault`; `guard` limits
    /// connections.
    #[must_use]
    pub fn new(store: Store, vault: Vault, guard: Guard) -> Self {
        Self(Arc::new(Inner { store, vault, guard, web: OnceLock::new(), cache: Mutex::default() }))
    }

    pub(crate) fn inner(&self) -> &Inner {
        &self.0
    }

    /// Sets a server up if it can be reached and lists its tools. Returns the server and its tools. Agents
    /// can use it within a minute. A server that is not enabled is stored without a connection.
    ///
    /// # Errors
    /// [`Error::NameTaken`], [`Error::TooMany`], [`Error::Address`], [`Error::Exposed`], [`Error::Server`],
    /// or when the table or the secret fails.
    pub async fn add(
        &self,
        tenant: TenantId,
        user: UserId,
        new: NewServer,
        now: Timestamp,
    ) -> Result<(Server, Vec<Offer>), Error> {
        let inner = self.inner();
        let existing = self.list(tenant).await?;
        if existing.iter().any(|server| server.name == new.name) {
            return Err(Error::NameTaken);
        }
        if existing.len() >= Self::MAX as usize {
            return Err(Error::TooMany);
        }
        let admitted = inner.guard.admit(&new.url)?;
        if new.token.is_some() && !keeps_secrets(&admitted) {
            return Err(Error::Exposed);
        }
        let url = admitted.url().to_string();
        let sealed_token = match &new.token {
            Some(token) => {
                let secret = inner.vault.get().await?;
                Some(secret.sealing().seal(token, &purpose(tenant, &new.name, &url))?)
            }
            None => None,
        };
        let link = Arc::new(inner.link(url.clone(), new.token)?);
        let remote = if new.enabled { link.list().await? } else { Vec::new() };
        let server = Server {
            name: new.name,
            url,
            allowed_tools: new.allowed_tools,
            enabled: new.enabled,
            has_token: sealed_token.is_some(),
            user_id: user,
            created_at: now,
        };
        let offers = listing::offers(&server, &remote, &link);
        let row_key = key::mcp_server(tenant, server.name.as_str());
        let stored = Stored { server, sealed_token };
        match inner.store.insert(Row::new(&row_key, &stored)?).await {
            Ok(()) => Ok((stored.server, offers)),
            Err(DataError::Conflict(_)) => Err(Error::NameTaken),
            Err(error) => Err(error.into()),
        }
    }

    /// Lists the tenant's servers by name.
    ///
    /// # Errors
    /// If the table fails.
    pub async fn list(&self, tenant: TenantId) -> Result<Vec<Server>, Error> {
        Ok(self.inner().rows(tenant).await?.into_iter().map(|stored| stored.server).collect())
    }

    /// Returns one server of the tenant.
    ///
    /// # Errors
    /// [`Error::NotFound`], or if the table fails.
    pub async fn get(&self, tenant: TenantId, name: &Name) -> Result<Server, Error> {
        let stored: Option<Stored> = self.inner().store.get(&key::mcp_server(tenant, name.as_str())).await?;
        stored.map(|stored| stored.server).ok_or(Error::NotFound)
    }

    /// Removes a server and its token. Agents stop using it within a minute.
    ///
    /// # Errors
    /// [`Error::NotFound`], or if the table fails.
    pub async fn remove(&self, tenant: TenantId, name: &Name) -> Result<(), Error> {
        self.get(tenant, name).await?;
        Ok(self.inner().store.delete(&key::mcp_server(tenant, name.as_str())).await?)
    }
}

impl Inner {
    /// Reads the rows in one query. There can be more than the limit, because concurrent requests can pass
    /// its check.
    pub(crate) async fn rows(&self, tenant: TenantId) -> Result<Vec<Stored>, DataError> {
        let request = PageRequest::new(key::mcp_servers(tenant)).oldest_first();
        Ok(self.store.page(&request.limit(Some(2 * Servers::MAX))).await?.items)
    }

    pub(crate) fn link(&self, url: String, token: Option<SecretString>) -> Result<Link, Failure> {
        let web = match self.web.get() {
            Some(web) => web.clone(),
            None => {
                let web = Web::new(&self.guard).map_err(|error| {
                    tracing::error!(%error, "could not create the HTTP client for MCP servers; their tools are unavailable");
                    Failure::Unreached("MCP servers cannot be reached now. Try again later.".into())
                })?;
                self.web.get_or_init(|| web).clone()
            }
        };
        Ok(Link::new(self.guard.clone(), web, url, token))
    }
}

/// Returns `true` if a token cannot be read on the way: over TLS, or on the local machine, which only an
/// exception for development allows.
fn keeps_secrets(admitted: &Admitted) -> bool {
    let host = admitted.url().host_str().unwrap_or_default();
    let ip = host.trim_matches(['[', ']']).parse::<IpAddr>();
    admitted.url().scheme() == "https" || host == "localhost" || ip.is_ok_and(|ip| ip.is_loopback())
}
