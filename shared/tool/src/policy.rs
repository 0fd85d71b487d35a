//! Policies for the calls of a tool, and the order among them.

use serde::{Deserialize, Serialize};

/// A policy for the calls of a tool. Of several that concern one call, the strictest is in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ToolPolicy {
    // From the most lenient to the strictest: the order decides.
    /// The call needs no decision. A person still decides where another policy requires it.
    Always,
    /// A person decides about each call.
    Ask,
    /// No call is allowed.
    Never,
}

impl ToolPolicy {
    /// Returns the policy in force of several: `never` before `ask`, and `ask` before `always`.
    pub fn strictest(policies: impl IntoIterator<Item = Self>) -> Self {
        policies.into_iter().max().unwrap_or(Self::Always)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_strictest_policy_is_in_force() {
        use ToolPolicy::{Always, Ask, Never};
        assert_eq!(ToolPolicy::strictest([Always, Ask, Never]), Never);
        assert_eq!(ToolPolicy::strictest([Ask, Always]), Ask);
        assert_eq!(ToolPolicy::strictest([Always, Always]), Always);
        assert_eq!(ToolPolicy::strictest([]), Always);
    }
}
