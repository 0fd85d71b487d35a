//! A tool as its tenant sees it and as it is stored.

use http::Method;
use sequent_core::{Timestamp, UserId};
use sequent_tool::ToolPolicy;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{ToolHeader, ToolName, UrlTemplate};

/// The method of a tool's requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "UPPERCASE")]
#[expect(missing_docs, reason = "the methods of HTTP")]
pub enum RequestMethod {
    Get,
    Post,
    Put,
    Patch,
    Delete,
}

impl RequestMethod {
    /// Returns `true` if requests have a body.
    pub(crate) const fn has_body(self) -> bool {
        matches!(self, Self::Post | Self::Put | Self::Patch)
    }
}

impl From<RequestMethod> for Method {
    fn from(method: RequestMethod) -> Self {
        match method {
            RequestMethod::Get => Self::GET,
            RequestMethod::Post => Self::POST,
            RequestMethod::Put => Self::PUT,
            RequestMethod::Patch => Self::PATCH,
            RequestMethod::Delete => Self::DELETE,
        }
    }
}

/// A tool that is a request to a tenant's own HTTP server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct HttpTool {
    /// The name, unique within the tenant, by which models call the tool and agents name it.
    #[cfg_attr(feature = "openapi", schema(value_type = String, pattern = "^[a-zA-Z0-9_-]{1,64}$", example = "find_order"))]
    pub name: ToolName,
    /// The description for the model.
    pub description: String,
    /// The JSON Schema of the arguments.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub input_schema: Value,
    /// The method of the requests.
    pub method: RequestMethod,
    /// The address, with `{name}` for an argument in its path and query.
    #[cfg_attr(feature = "openapi", schema(value_type = String, example = "https://api.example.com/orders/{id}"))]
    pub url: UrlTemplate,
    /// Headers that requests have beside the usual ones.
    pub headers: Vec<ToolHeader>,
    /// The time after which a call is given up.
    pub timeout_seconds: u32,
    /// A call may be repeated with the same `Idempotency-Key`, because it has its effect once.
    pub idempotent: bool,
    /// The policy for calls, beside that of the agent: the strictest is in force.
    pub policy: ToolPolicy,
    /// The JSON pointer to the part of an answer that the model reads. Empty for the whole answer.
    #[cfg_attr(feature = "openapi", schema(example = "/order"))]
    pub result_pointer: String,
    /// Bytes of an answer that the model reads at most.
    pub max_result_bytes: u32,
    /// The user who set the tool up.
    pub user_id: UserId,
    /// The time of its creation.
    pub created_at: Timestamp,
    /// The time of its last change.
    pub updated_at: Timestamp,
}

/// The row of a tool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredTool {
    /// The tool as JSON. A map of DynamoDB has no order, and a schema whose members change their order would be another one for
    /// the caches of model providers.
    #[serde(with = "as_json")]
    pub(crate) tool: HttpTool,
    /// The secrets of the tool, sealed: see [`ToolSecrets`](crate::sealed::ToolSecrets).
    pub(crate) sealed: String,
    /// The number of changes. A change is written only if no other was written meanwhile.
    pub(crate) revision: u32,
}

/// A tool in a row, as the text of its JSON.
mod as_json {
    use serde::{Deserialize, Deserializer, Serializer, de, ser};

    use super::HttpTool;

    pub(super) fn serialize<S: Serializer>(tool: &HttpTool, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&serde_json::to_string(tool).map_err(ser::Error::custom)?)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<HttpTool, D::Error> {
        serde_json::from_str(&String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}
