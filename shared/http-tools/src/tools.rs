//! The tools of each tenant: set up, list, change, try, remove.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use reqwest::Client;
use sequent_aws::secret;
use sequent_core::{RunId, SecretString, TenantId, Timestamp, UserId};
use sequent_identity::{Vault, secret::SealError};
use sequent_tables::{Error as DataError, PageRequest, Row, Store, Write, attribute, key};
use sequent_tool::{Call, Guard, Registry, Tool, ToolPolicy, run};
use sequent_webhooks::signature::{SecretError, SigningSecret};
use serde::Serialize;

use crate::{
    HttpTool, HttpToolChange, NewHeader, NewHttpTool, ToolName,
    call::HttpCall,
    change::{accept_headers, check},
    sealed::{ToolSecrets, purpose},
    tool::StoredTool,
};

/// The time of a trial at most, within that of a request to the API.
const TRIAL: Duration = Duration::from_secs(20);
/// Tries of a change, each of which can lose to another change of the same tool.
const TRIES: usize = 5;

/// The HTTP tools of all tenants. Cheap to clone.
#[derive(Clone)]
pub struct HttpTools(Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) store: Store,
    pub(crate) vault: Vault,
    pub(crate) guard: Guard,
    client: OnceLock<Client>,
}

/// The error of an operation on a tenant's tools.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The tenant has no tool with this name.
    #[error("there is no tool with this name")]
    NotFound,
    /// The tenant has a tool with this name already.
    #[error("there is already a tool with this name")]
    NameTaken,
    /// The tenant has [`HttpTools::MAX`] tools already.
    #[error("a tenant can have at most {} tools", HttpTools::MAX)]
    TooMany,
    /// A part of the tool is not allowed.
    #[error("{pointer} {rule}")]
    Invalid {
        /// The place as a JSON pointer into the body of the request.
        pointer: String,
        /// The rule, to be read after the place.
        rule: String,
    },
    /// Other changes of the tool came first again and again.
    #[error("the tool was changed at the same time")]
    Contended,
    /// The table could not be read or written.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The deployment's secret could not be read.
    #[error(transparent)]
    Secret(#[from] secret::Error),
    /// The secrets of the tool could not be sealed or opened.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// A signing secret could not be made.
    #[error(transparent)]
    Signing(#[from] SecretError),
}

/// The outcome of a trial.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CallTrial {
    /// The server has answered with success.
    pub succeeded: bool,
    /// The text that a model would read.
    pub content: String,
    /// The code of the failure: `tool_refused` if the same call would fail again, `tool_unavailable` if an agent would retry it,
    /// `tool_outcome_unknown` if it would ask a person. Null if the call succeeded.
    #[cfg_attr(feature = "openapi", schema(example = "tool_unavailable"))]
    pub error: Option<&'static str>,
    /// The duration of the call in milliseconds.
    pub latency_ms: u64,
}

impl fmt::Debug for HttpTools {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpTools").finish_non_exhaustive()
    }
}

impl HttpTools {
    /// Tools of a tenant at most. Model providers accept 128 tools, of which a hundred can be those of MCP servers.
    pub const MAX: u32 = 20;

    /// The tools in `store`. Secrets are sealed with the key in `vault`; `guard` limits connections.
    #[must_use]
    pub fn new(store: Store, vault: Vault, guard: Guard) -> Self {
        Self(Arc::new(Inner { store, vault, guard, client: OnceLock::new() }))
    }

    /// Sets a tool up. Returns it, and the secret that signs its requests.
    ///
    /// # Errors
    /// [`Error::NameTaken`], [`Error::TooMany`], [`Error::Invalid`], or when the table or a secret fails.
    pub async fn create(
        &self,
        tenant: TenantId,
        user: UserId,
        new: NewHttpTool,
        now: Timestamp,
    ) -> Result<(HttpTool, SecretString), Error> {
        let existing = self.list(tenant).await?;
        if existing.iter().any(|tool| tool.name == new.name) {
            return Err(Error::NameTaken);
        }
        if existing.len() >= Self::MAX as usize {
            return Err(Error::TooMany);
        }
        let (mut tool, headers) = new.into_tool(user, now);
        check(&tool, &self.0.guard)?;
        let headers = accept_headers(headers, &BTreeMap::new())?;
        tool.headers = headers.shown;
        let secrets = ToolSecrets { headers: headers.secrets, signing: SigningSecret::generate()? };
        let stored = StoredTool { sealed: self.seal(tenant, &tool, &secrets).await?, tool, revision: 0 };
        let row_key = key::http_tool(tenant, stored.tool.name.as_str());
        match self.0.store.insert(Row::new(&row_key, &stored)?).await {
            Ok(()) => Ok((stored.tool, secrets.signing.text())),
            Err(DataError::Conflict(_)) => Err(Error::NameTaken),
            Err(error) => Err(error.into()),
        }
    }

    /// Lists the tenant's tools by name.
    ///
    /// # Errors
    /// If the table fails.
    pub async fn list(&self, tenant: TenantId) -> Result<Vec<HttpTool>, Error> {
        Ok(self.rows(tenant).await?.into_iter().map(|stored| stored.tool).collect())
    }

    /// Returns one tool of the tenant.
    ///
    /// # Errors
    /// [`Error::NotFound`], or if the table fails.
    pub async fn get(&self, tenant: TenantId, name: &ToolName) -> Result<HttpTool, Error> {
        Ok(self.stored(tenant, name).await?.tool)
    }

    /// Changes a tool. Calls that begin afterwards are made as it is then.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Invalid`], [`Error::Contended`], or when the table or a secret fails.
    pub async fn change(
        &self,
        tenant: TenantId,
        name: &ToolName,
        change: &HttpToolChange,
        now: Timestamp,
    ) -> Result<HttpTool, Error> {
        for _ in 0..TRIES {
            let stored = self.stored(tenant, name).await?;
            let secrets = self.0.open(tenant, &stored).await?;
            let mut tool = change.apply(&stored.tool, now);
            check(&tool, &self.0.guard)?;
            // A secret is sent to the host only that it was set up for.
            let is_elsewhere = tool.url.base() != stored.tool.url.base();
            let known = if is_elsewhere { BTreeMap::new() } else { secrets.headers };
            let headers = change.headers.clone().unwrap_or_else(|| present(&stored.tool));
            let headers = accept_headers(headers, &known)?;
            tool.headers = headers.shown;
            let secrets = ToolSecrets { headers: headers.secrets, signing: secrets.signing };
            if self.replace(tenant, &stored, tool.clone(), &secrets).await? {
                return Ok(tool);
            }
        }
        Err(Error::Contended)
    }

    /// Replaces the secret that signs the requests of a tool, and returns the new one.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Contended`], or when the table or a secret fails.
    pub async fn rotate(
        &self,
        tenant: TenantId,
        name: &ToolName,
        now: Timestamp,
    ) -> Result<SecretString, Error> {
        for _ in 0..TRIES {
            let stored = self.stored(tenant, name).await?;
            let secrets = self.0.open(tenant, &stored).await?;
            let secrets = ToolSecrets { signing: SigningSecret::generate()?, ..secrets };
            let tool = HttpTool { updated_at: now, ..stored.tool.clone() };
            if self.replace(tenant, &stored, tool, &secrets).await? {
                return Ok(secrets.signing.text());
            }
        }
        Err(Error::Contended)
    }

    /// Removes a tool and its secrets.
    ///
    /// # Errors
    /// [`Error::NotFound`], or if the table fails.
    pub async fn delete(&self, tenant: TenantId, name: &ToolName) -> Result<(), Error> {
        self.stored(tenant, name).await?;
        Ok(self.0.store.delete(&key::http_tool(tenant, name.as_str())).await?)
    }

    /// Calls a tool once with these arguments, as an agent would, without asking a person.
    ///
    /// # Errors
    /// [`Error::NotFound`], or if the table fails. A call that fails is no error.
    pub async fn try_call(
        &self,
        tenant: TenantId,
        name: &ToolName,
        arguments: &str,
    ) -> Result<CallTrial, Error> {
        let stored = self.stored(tenant, name).await?;
        let tool = HttpCall::tool(&self.0, tenant, stored, TRIAL);
        let started = Instant::now();
        let checked = match Registry::new([tool.clone()]) {
            Ok(registry) => registry.check(name.as_str(), arguments),
            Err(error) => Err(sequent_tool::Error::Refused(error.to_string())),
        };
        let called = match checked {
            Ok(arguments) => Box::pin(run(&tool, Call::new(tenant, RunId::new(), "trial", arguments))).await,
            Err(error) => Err(error),
        };
        let error = called.as_ref().err().map(sequent_tool::Error::code);
        Ok(CallTrial {
            succeeded: called.is_ok(),
            content: called.map_or_else(|error| error.message().to_owned(), |output| output.content),
            error,
            latency_ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
        })
    }

    /// Returns the tools that agents of the tenant may call. It costs one query, so that a change holds for the next execution.
    ///
    /// # Errors
    /// If the table fails.
    pub async fn tools(&self, tenant: TenantId) -> Result<Vec<Tool>, DataError> {
        let rows = self.rows(tenant).await?.into_iter();
        let usable = rows.filter(|stored| stored.tool.policy != ToolPolicy::Never);
        let usable = usable.take(Self::MAX as usize);
        Ok(usable.map(|stored| HttpCall::tool(&self.0, tenant, stored, Duration::MAX)).collect())
    }

    /// Reads the rows. There can be more than the limit, because concurrent requests can pass its check.
    async fn rows(&self, tenant: TenantId) -> Result<Vec<StoredTool>, DataError> {
        let request = PageRequest::new(key::http_tools(tenant)).oldest_first();
        Ok(self.0.store.page(&request.limit(Some(2 * Self::MAX))).await?.items)
    }

    async fn stored(&self, tenant: TenantId, name: &ToolName) -> Result<StoredTool, Error> {
        self.0.store.get(&key::http_tool(tenant, name.as_str())).await?.ok_or(Error::NotFound)
    }

    async fn seal(&self, tenant: TenantId, tool: &HttpTool, secrets: &ToolSecrets) -> Result<String, Error> {
        let keys = self.0.vault.sealing().await?;
        Ok(secrets.seal(&keys, &purpose(tenant, &tool.name, tool.url.base()))?)
    }

    /// Writes a changed tool. Returns `false` if another change came first.
    async fn replace(
        &self,
        tenant: TenantId,
        before: &StoredTool,
        tool: HttpTool,
        secrets: &ToolSecrets,
    ) -> Result<bool, Error> {
        let sealed = self.seal(tenant, &tool, secrets).await?;
        let stored = StoredTool { tool, sealed, revision: before.revision + 1 };
        let row = Row::new(&key::http_tool(tenant, stored.tool.name.as_str()), &stored)?;
        let is_unchanged = attribute("revision").equals(before.revision);
        Ok(self.0.store.write_if(Write::put(row).when(is_unchanged)).await?)
    }
}

/// The headers of a tool as a change would state them.
fn present(tool: &HttpTool) -> Vec<NewHeader> {
    let stated = tool.headers.iter().cloned();
    stated
        .map(|header| NewHeader {
            name: header.name,
            value: header.value.map(SecretString::from),
            secret: header.secret,
        })
        .collect()
}

impl Inner {
    /// Returns the HTTP client. It is created when it is first needed.
    pub(crate) fn client(&self) -> Result<&Client, reqwest::Error> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let client = self.guard.client(concat!("sequent-tools/", env!("CARGO_PKG_VERSION"))).build()?;
        Ok(self.client.get_or_init(|| client))
    }
}
