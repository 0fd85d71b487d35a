//! The servers of each tenant: set up, list, inspect, accept tools, remove.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::{Arc, Mutex, OnceLock},
};

use sequent_aws::secret;
use sequent_core::{ExposeSecret, TenantId, Timestamp, UserId};
use sequent_identity::{Vault, secret::SealError};
use sequent_tables::{Error as DataError, PageRequest, Row, Store, Update, exists, key};
use sequent_tool::{Guard, guard::Refusal};

use crate::{
    DefinitionDigest, Failure, Name, NewServer, Server, ToolListing,
    definition::Definitions,
    link::Link,
    listing::{self, CachedServers},
    pin::Pins,
    server::{Endpoint, Stored, purpose},
    web::Web,
};

/// The MCP servers of all tenants, with a cache of their tools. Cheap to clone.
#[derive(Clone)]
pub struct Servers(Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) store: Store,
    pub(crate) vault: Vault,
    pub(crate) guard: Guard,
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
    /// The user has begun no sign-in with this state, or too long ago.
    #[error("no sign-in with this state was begun in the last ten minutes")]
    SignIn,
    /// The server did not list its tools.
    #[error(transparent)]
    Server(#[from] Failure),
    /// The table could not be read or written.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The deployment's secret could not be read.
    #[error(transparent)]
    Secret(#[from] secret::Error),
    /// The address could not be sealed or opened.
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

    /// Creates a client for the servers in `store`. Addresses and tokens are sealed with the key in `vault`;
    /// `guard` limits connections.
    #[must_use]
    pub fn new(store: Store, vault: Vault, guard: Guard) -> Self {
        Self(Arc::new(Inner { store, vault, guard, web: OnceLock::new(), cache: Mutex::default() }))
    }

    pub(crate) fn inner(&self) -> &Inner {
        &self.0
    }

    /// Sets a server up if it can be reached and lists its tools. Returns the server and its tools, which are
    /// accepted as they are. Agents can use it within a minute. A server that is not enabled is stored without
    /// a connection.
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
    ) -> Result<(Server, ToolListing), Error> {
        let inner = self.inner();
        let existing = self.list(tenant).await?;
        if existing.iter().any(|server| server.name == new.name) {
            return Err(Error::NameTaken);
        }
        if existing.len() >= Self::MAX as usize {
            return Err(Error::TooMany);
        }
        let admitted = inner.guard.admit(new.url.expose_secret())?;
        if new.token.is_some() && !admitted.keeps_secrets() {
            return Err(Error::Exposed);
        }
        let host = admitted.host();
        let has_token = new.token.is_some();
        let endpoint = Endpoint { url: admitted.url().as_str().into(), token: new.token };
        let keys = inner.vault.sealing().await?;
        let sealed_endpoint = endpoint.seal(&keys, &purpose(tenant, &new.name, &host))?;
        let link = Arc::new(Link::new(inner.guard.clone(), inner.web()?, endpoint));
        let definitions =
            if new.enabled { listing::definitions(&link, &new.name).await? } else { Definitions::default() };
        let server = Server {
            name: new.name,
            host,
            allowed_tools: new.allowed_tools,
            approval: new.approval,
            repeatable_tools: new.repeatable_tools,
            pending_tools: Default::default(),
            enabled: new.enabled,
            has_token,
            signed_in: false,
            user_id: user,
            created_at: now,
        };
        let row_key = key::mcp_server(tenant, server.name.as_str());
        let stored = Stored {
            server,
            sealed_endpoint,
            pins: Pins::of(&definitions.tools),
            sign_in: None,
            signed_in_at: None,
            sealed_grant: None,
        };
        let listed = listing::listing(&stored, definitions, &link);
        match inner.store.insert(Row::new(&row_key, &stored)?).await {
            Ok(()) => Ok((stored.server, listed)),
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

    /// Returns one server of the tenant, and its tools as the server describes them now. A server that is not
    /// enabled is not contacted.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Server`], or if the table or the secret fails.
    pub async fn inspect(&self, tenant: TenantId, name: &Name) -> Result<(Server, ToolListing), Error> {
        let inner = self.inner();
        let mut stored = self.stored(tenant, name).await?;
        if !stored.server.enabled {
            return Ok((stored.server, ToolListing::default()));
        }
        let link = Arc::new(inner.open(tenant, &stored).await?);
        let definitions = listing::definitions(&link, name).await?;
        inner.note_pending(tenant, &mut stored, &definitions.tools).await;
        let listed = listing::listing(&stored, definitions, &link);
        Ok((stored.server, listed))
    }

    /// Replaces the accepted definitions of a server's tools. The caller names the definitions that a person has
    /// seen, so a tool that changes at the same time stays disabled. Agents use the accepted tools within a
    /// minute.
    ///
    /// # Errors
    /// [`Error::NotFound`], or if the table fails.
    pub async fn accept(
        &self,
        tenant: TenantId,
        name: &Name,
        accepted: BTreeMap<String, DefinitionDigest>,
    ) -> Result<Server, Error> {
        let Stored { mut server, .. } = self.stored(tenant, name).await?;
        let pins = Pins::from(accepted);
        server.pending_tools.retain(|tool| !pins.contains(tool));
        let row = Update::of(&key::mcp_server(tenant, name.as_str()));
        let row = row.set("pins", &pins).set("pending_tools", &server.pending_tools);
        match self.inner().store.write(row.when(exists())).await {
            Ok(_) => Ok(server),
            Err(DataError::Conflict(_)) => Err(Error::NotFound),
            Err(error) => Err(error.into()),
        }
    }

    pub(crate) async fn stored(&self, tenant: TenantId, name: &Name) -> Result<Stored, Error> {
        let row = key::mcp_server(tenant, name.as_str());
        self.inner().store.get(&row).await?.ok_or(Error::NotFound)
    }

    /// Removes a server and its token. Agents stop using it within a minute.
    ///
    /// # Errors
    /// [`Error::NotFound`], or if the table fails.
    pub async fn remove(&self, tenant: TenantId, name: &Name) -> Result<(), Error> {
        self.stored(tenant, name).await?;
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

    pub(crate) fn web(&self) -> Result<Web, Failure> {
        if let Some(web) = self.web.get() {
            return Ok(web.clone());
        }
        let web = Web::new(&self.guard).map_err(|error| {
            tracing::error!(%error, "could not create the HTTP client for MCP servers; their tools are unavailable");
            Failure::Unreached("MCP servers cannot be reached now. Try again later.".into())
        })?;
        Ok(self.web.get_or_init(|| web).clone())
    }
}
