//! The servers of each tenant: setting them up, listing them, taking them away.

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
    listing::{self, Known},
    server::{Stored, purpose},
    web::Web,
};

/// The MCP servers of all tenants, and what this process knows of them. Cheap to clone.
#[derive(Clone)]
pub struct Servers(Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) store: Store,
    pub(crate) vault: Vault,
    guard: Guard,
    web: OnceLock<Web>,
    pub(crate) known: Mutex<HashMap<TenantId, Arc<Known>>>,
}

/// A server cannot be set up, found or taken away.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The tenant has no such server.
    #[error("no such MCP server")]
    NotFound,
    /// The tenant has a server of that name.
    #[error("the name is taken")]
    NameTaken,
    /// The tenant has as many as it may.
    #[error("a tenant has at most {} MCP servers", Servers::MAX)]
    TooMany,
    /// The address is not one that may be reached.
    #[error(transparent)]
    Address(#[from] Refusal),
    /// A token must not travel in clear text.
    #[error("a token is sent over https only")]
    Exposed,
    /// The server did not list its tools.
    #[error(transparent)]
    Server(#[from] Failure),
    /// The table failed.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The deployment's secret could not be read.
    #[error(transparent)]
    Secret(#[from] secret::Error),
    /// The token could not be sealed, or not be opened again.
    #[error(transparent)]
    Seal(#[from] SealError),
}

impl fmt::Debug for Servers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Servers").finish_non_exhaustive()
    }
}

impl Servers {
    /// Most servers of a tenant.
    pub const MAX: u32 = 10;

    /// Servers whose rows are in `store`, with tokens sealed under the key in `vault`, reached where `guard` lets.
    #[must_use]
    pub fn new(store: Store, vault: Vault, guard: Guard) -> Self {
        Self(Arc::new(Inner { store, vault, guard, web: OnceLock::new(), known: Mutex::default() }))
    }

    pub(crate) fn inner(&self) -> &Inner {
        &self.0
    }

    /// Sets a server up, if it can be reached and lists its tools, which are returned beside it. Agents see it within a
    /// minute. One that is not enabled is not asked.
    ///
    /// # Errors
    /// [`Error::NameTaken`], [`Error::TooMany`], [`Error::Address`], [`Error::Exposed`], [`Error::Server`], or when
    /// the table or the secret fails.
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
        let place = key::mcp_server(tenant, server.name.as_str());
        let stored = Stored { server, sealed_token };
        match inner.store.insert(Row::new(&place, &stored)?).await {
            Ok(()) => Ok((stored.server, offers)),
            Err(DataError::Conflict(_)) => Err(Error::NameTaken),
            Err(error) => Err(error.into()),
        }
    }

    /// The tenant's servers, by name.
    ///
    /// # Errors
    /// When the table fails.
    pub async fn list(&self, tenant: TenantId) -> Result<Vec<Server>, Error> {
        Ok(self.inner().rows(tenant).await?.into_iter().map(|stored| stored.server).collect())
    }

    /// One server of the tenant.
    ///
    /// # Errors
    /// [`Error::NotFound`], or when the table fails.
    pub async fn get(&self, tenant: TenantId, name: &Name) -> Result<Server, Error> {
        let stored: Option<Stored> = self.inner().store.get(&key::mcp_server(tenant, name.as_str())).await?;
        stored.map(|stored| stored.server).ok_or(Error::NotFound)
    }

    /// Takes a server and its token away. Agents lose it within a minute.
    ///
    /// # Errors
    /// [`Error::NotFound`], or when the table fails.
    pub async fn remove(&self, tenant: TenantId, name: &Name) -> Result<(), Error> {
        self.get(tenant, name).await?;
        Ok(self.inner().store.delete(&key::mcp_server(tenant, name.as_str())).await?)
    }
}

impl Inner {
    /// One query. More rows than there may be, because two requests at the same moment can pass the limit together.
    pub(crate) async fn rows(&self, tenant: TenantId) -> Result<Vec<Stored>, DataError> {
        let request = PageRequest::new(key::mcp_servers(tenant)).oldest_first();
        Ok(self.store.page(&request.limit(Some(2 * Servers::MAX))).await?.items)
    }

    pub(crate) fn link(&self, url: String, token: Option<SecretString>) -> Result<Link, Failure> {
        let web = match self.web.get() {
            Some(web) => web.clone(),
            None => {
                let web = Web::new(&self.guard).map_err(|error| {
                    tracing::error!(%error, "no HTTP client for MCP servers");
                    Failure::Unreached("MCP servers cannot be reached at the moment.".into())
                })?;
                self.web.get_or_init(|| web).clone()
            }
        };
        Ok(Link::new(self.guard.clone(), web, url, token))
    }
}

/// Whether nobody on the way reads along: TLS, or this very machine, which only a development exception reaches.
fn keeps_secrets(admitted: &Admitted) -> bool {
    let host = admitted.url().host_str().unwrap_or_default();
    let ip = host.trim_matches(['[', ']']).parse::<IpAddr>();
    admitted.url().scheme() == "https" || host == "localhost" || ip.is_ok_and(|ip| ip.is_loopback())
}
