//! A server as its tenant set it up.

use sequent_core::{SecretString, TenantId, Timestamp, UserId};
use serde::{Deserialize, Serialize};

use crate::Name;

/// A server as its tenant sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Server {
    /// What the tenant calls it.
    #[cfg_attr(feature = "openapi", schema(value_type = String, pattern = "^[a-z0-9-]{1,32}$"))]
    pub name: Name,
    /// Its MCP endpoint (streamable HTTP).
    pub url: String,
    /// The only tools that agents may use, by the names the server gives them; all of them when null.
    #[serde(default)]
    pub allowed_tools: Option<Vec<String>>,
    /// Whether agents see it.
    pub enabled: bool,
    /// Whether requests to it carry a bearer token. The token itself is shown to nobody.
    pub has_token: bool,
    /// Who set it up.
    pub user_id: UserId,
    /// When.
    pub created_at: Timestamp,
}

/// A server to set up.
#[derive(Debug, Clone)]
pub struct NewServer {
    /// What to call it.
    pub name: Name,
    /// Its MCP endpoint.
    pub url: String,
    /// What requests to it carry as bearer token.
    pub token: Option<SecretString>,
    /// The only tools that agents may use; all of them if absent.
    pub allowed_tools: Option<Vec<String>>,
    /// Whether agents see it.
    pub enabled: bool,
}

/// The row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stored {
    #[serde(flatten)]
    pub(crate) server: Server,
    /// The token, sealed for [`purpose`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) sealed_token: Option<String>,
}

/// What a token is sealed for. Whoever could write to the table could still not have it sent elsewhere.
pub(crate) fn purpose(tenant: TenantId, name: &Name, url: &str) -> String {
    format!("mcp server of {tenant}: {name} {url}")
}
