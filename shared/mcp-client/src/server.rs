//! The configuration of a server.

use std::collections::BTreeSet;

use sequent_core::{ExposeSecret, SecretString, TenantId, Timestamp, UserId};
use sequent_identity::secret::{SealError, SealingKeys};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{Approval, Name, pin::Pins, sign_in::StoredSignIn};

/// A server as its tenant sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Server {
    /// Name, unique within the tenant.
    #[cfg_attr(feature = "openapi", schema(value_type = String, pattern = "^[a-z0-9-]{1,32}$"))]
    pub name: Name,
    /// The host of the MCP endpoint, with its port if that is not the usual one. The rest of the address can be a
    /// credential and is never shown.
    #[cfg_attr(feature = "openapi", schema(example = "notes.example.com"))]
    pub host: String,
    /// The tools that agents may use, by the names that the server uses. Null allows all tools.
    #[serde(default)]
    pub allowed_tools: Option<Vec<String>>,
    /// The calls that a person must approve.
    #[serde(default)]
    pub approval: Approval,
    /// The tools whose calls may be repeated after a lost connection.
    #[serde(default)]
    pub repeatable_tools: BTreeSet<String>,
    /// Tools that are new, or that the server has changed since they were accepted. Agents cannot use them until they
    /// are accepted.
    #[serde(default)]
    pub pending_tools: BTreeSet<String>,
    /// Agents can use the server.
    pub enabled: bool,
    /// Requests to the server contain a bearer token. The token itself is never shown.
    pub has_token: bool,
    /// A user has signed in to the server, and requests contain the access token. It becomes false when the sign-in ends.
    #[serde(default)]
    pub signed_in: bool,
    /// The user who set the server up.
    pub user_id: UserId,
    /// The time of its creation.
    pub created_at: Timestamp,
}

impl Server {
    /// Returns `true` if agents may use the tool with this name.
    pub(crate) fn allows(&self, tool: &str) -> bool {
        self.allowed_tools.as_ref().is_none_or(|allowed| allowed.iter().any(|name| name == tool))
    }
}

/// A server to set up. The fields are those of [`Server`].
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "plain data")]
pub struct NewServer {
    pub name: Name,
    /// The address of the MCP endpoint.
    pub url: SecretString,
    /// The bearer token for requests to the server.
    pub token: Option<SecretString>,
    pub allowed_tools: Option<Vec<String>>,
    pub approval: Approval,
    pub repeatable_tools: BTreeSet<String>,
    pub enabled: bool,
}

impl NewServer {
    /// An enabled server with this address, without a token, with the default policy.
    #[must_use]
    pub fn new(name: Name, url: &str) -> Self {
        Self {
            name,
            url: url.into(),
            token: None,
            allowed_tools: None,
            approval: Approval::default(),
            repeatable_tools: BTreeSet::new(),
            enabled: true,
        }
    }
}

/// The row of a server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stored {
    #[serde(flatten)]
    pub(crate) server: Server,
    /// The [`Endpoint`], sealed for [`purpose`].
    pub(crate) sealed_endpoint: String,
    /// The accepted definitions of its tools.
    #[serde(default)]
    pub(crate) pins: Pins,
    /// The sign-in that a user has begun.
    #[serde(default)]
    pub(crate) sign_in: Option<StoredSignIn>,
    /// The time of the last completed sign-in, in milliseconds. A renewal of its tokens leaves it.
    #[serde(default)]
    pub(crate) signed_in_at: Option<i64>,
    /// The tokens that were granted to a user, sealed.
    #[serde(default)]
    pub(crate) sealed_grant: Option<String>,
}

/// The address of a server and the token for it. Either can be a credential, so both are stored sealed, as one: a token
/// can only be sent to the address that it was set up with.
pub(crate) struct Endpoint {
    pub(crate) url: SecretString,
    pub(crate) token: Option<SecretString>,
}

impl Endpoint {
    pub(crate) fn seal(&self, keys: &SealingKeys, purpose: &str) -> Result<String, SealError> {
        let token = self.token.as_ref().map(ExposeSecret::expose_secret);
        keys.seal(&json!([self.url.expose_secret(), token]).to_string().into(), purpose)
    }

    pub(crate) fn open(keys: &SealingKeys, sealed: &str, purpose: &str) -> Result<Self, SealError> {
        let text = keys.open(sealed, purpose)?;
        let endpoint: (String, Option<String>) =
            serde_json::from_str(text.expose_secret()).map_err(|_| SealError::Unopenable)?;
        Ok(Self { url: endpoint.0.into(), token: endpoint.1.map(SecretString::from) })
    }
}

/// The purpose that an endpoint is sealed for. It contains the host, so that the row cannot show another one.
pub(crate) fn purpose(tenant: TenantId, name: &Name, host: &str) -> String {
    format!("mcp server of {tenant}: {name} {host}")
}
