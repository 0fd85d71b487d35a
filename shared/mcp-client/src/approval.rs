//! The tenant's policy: the calls of a server's tools that a person must approve.

use serde::{Deserialize, Serialize};

use crate::definition::ToolDefinition;

/// The calls that a person must approve.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Approval {
    /// No call. Only for a server that is trusted with all that its tools can do.
    Never,
    /// Calls of tools that the server does not call free of destruction.
    Destructive,
    /// Calls of tools that the server does not call read-only.
    #[default]
    UnlessReadOnly,
    /// Every call of every tool.
    Always,
}

/// The hints of a tool, with the defaults of the specification. They are the server's own word, so they decide nothing
/// but a policy that refers to them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Hints {
    read_only: bool,
    destructive: bool,
}

impl Hints {
    /// Reads the hints: `readOnlyHint` is false and `destructiveHint` is true if the server does not say otherwise, and
    /// the second means nothing for a tool that is read-only (MCP 2025-11-25, `ToolAnnotations`).
    fn of(tool: &ToolDefinition) -> Self {
        let read_only = tool.hint("readOnlyHint") == Some(true);
        let harmless = tool.hint("destructiveHint") == Some(false);
        Self { read_only, destructive: !read_only && !harmless }
    }
}

impl Approval {
    /// Returns `true` if a person must approve each call of the tool.
    pub(crate) fn is_needed_for(self, tool: &ToolDefinition) -> bool {
        let hints = Hints::of(tool);
        match self {
            Self::Never => false,
            Self::Destructive => hints.destructive,
            Self::UnlessReadOnly => !hints.read_only,
            Self::Always => true,
        }
    }

    /// Returns `true` if the addresses in the tool's results count as found. The tool must say that it reaches the open world,
    /// as a search does: a tool that only joins, decodes or repeats texts would return what the model makes of them, and
    /// that is the default of a tool that says nothing. Or the tenant trusts the server with everything.
    pub(crate) fn finds_addresses(self, tool: &ToolDefinition) -> bool {
        self == Self::Never || tool.hint("openWorldHint") == Some(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definition::tests::tool;
    use serde_json::{Value, json};

    #[test]
    fn silence_of_the_server_counts_as_danger() {
        let asks = |hints: Value| {
            let tool = tool(&json!({"name": "t", "inputSchema": {"type": "object"}, "annotations": hints}));
            [Approval::Never, Approval::Destructive, Approval::UnlessReadOnly, Approval::Always]
                .map(|policy| policy.is_needed_for(&tool))
        };
        assert_eq!(asks(Value::Null), [false, true, true, true]);
        assert_eq!(asks(json!({})), [false, true, true, true]);
        assert_eq!(asks(json!({"idempotentHint": true})), [false, true, true, true]);
        assert_eq!(asks(json!({"destructiveHint": false})), [false, false, true, true]);
        assert_eq!(asks(json!({"readOnlyHint": true, "destructiveHint": true})), [false, false, false, true]);
        assert_eq!(Approval::default(), Approval::UnlessReadOnly);
    }

    #[test]
    fn only_a_tool_that_says_so_or_is_trusted_finds_addresses() {
        let finds = |policy: Approval, hints: Value| {
            let tool = tool(&json!({"name": "t", "inputSchema": {"type": "object"}, "annotations": hints}));
            policy.finds_addresses(&tool)
        };
        for policy in [Approval::Destructive, Approval::UnlessReadOnly, Approval::Always] {
            assert!(
                !finds(policy, Value::Null) && !finds(policy, json!({"readOnlyHint": true})),
                "{policy:?}"
            );
            assert!(!finds(policy, json!({"readOnlyHint": true, "openWorldHint": false})), "{policy:?}");
            assert!(finds(policy, json!({"readOnlyHint": true, "openWorldHint": true})), "{policy:?}");
        }
        assert!(finds(Approval::Never, Value::Null));
    }
}
