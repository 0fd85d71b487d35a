//! The configuration of a server.

use sequent_core::{SecretString, TenantId, Timestamp, UserId};
use serde::{Deserialize, Serialize};

use crate::Name;

/// A server as its tenant sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Server {
    /// Name, unique within the tenant.
    #[cfg_attr(feature = "openapi", schema(value_type = String, pattern = "^[a-z0-9-]{1,32}$"))]
    pub name: Name,
    /// URL of the MCP endpoint (streamable HTTP).
    pub url: String,
    /// The tools that agents may use, by the names that the server uses. Null allows all tools.
    #[serde(default)]
    pub allowed_tools: Option<Vec<String>>,
    /// Agents can use the server.
    pub enabled: bool,
    /// Requests to the server contain a bearer token. The token itself is never shown.
    pub has_token: bool,
    /// The user who set the server up.
    pub user_id: UserId,
    /// The time of its creation.
    pub created_at: Timestamp,
}

/// A server to set up. The fields are those of [`Server`].
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "plain data")]
pub struct NewServer {
    pub name: Name,
    pub url: String,
    /// The bearer token for requests to the server.
    pub token: Option<SecretString>,
    pub allowed_tools: Option<Vec<String>>,
    pub enabled: bool,
}

/// The row of a server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stored {
    #[serde(flatten)]
    pub(crate) server: Server,
    /// The bearer token, sealed for [`purpose`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) sealed_token: Option<String>,
}

/// The purpose that a token is sealed for. It contains the address, so that write access to the table is not
/// enough to have the token sent elsewhere.
pub(crate) fn purpose(tenant: TenantId, name: &Name, url: &str) -> String {
    format!("mcp server of {tenant}: {name} {url}")
}
