//! A tenant's rule for the calls of a tool: a policy, and limits of their number.

use serde::{Deserialize, Serialize};

use crate::ToolPolicy;

/// A rule for the calls of a tool. It adds to what the tool and the agent demand, and takes nothing of it back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ToolRule {
    /// The name of the tool as models call it: that of a built-in tool or an HTTP tool, or `server__tool` of an MCP server.
    #[cfg_attr(feature = "openapi", schema(pattern = "^[a-zA-Z0-9_-]{1,64}$", example = "web_fetch"))]
    pub tool: String,
    /// The policy. Of this one and those of the tool and the agent, the strictest is in force. Null for none.
    #[serde(default)]
    pub policy: Option<ToolPolicy>,
    /// Calls of one run at most. Null for no limit.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 1000))]
    pub max_calls_per_run: Option<u32>,
    /// Calls of all runs together on one day in UTC at most. Null for no limit.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 1_000_000))]
    pub max_calls_per_day: Option<u32>,
}

/// The limits of a tool's calls.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CallLimits {
    /// Calls of one run at most.
    pub per_run: Option<u32>,
    /// Calls of all runs of the tenant on one day at most.
    pub per_day: Option<u32>,
}

impl ToolRule {
    /// Returns the limits that the rule sets.
    #[must_use]
    pub const fn limits(&self) -> CallLimits {
        CallLimits { per_run: self.max_calls_per_run, per_day: self.max_calls_per_day }
    }
}
