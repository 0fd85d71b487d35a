//! The name of a tool.

use std::fmt;

use sequent_tool::names;
use serde::{Deserialize, Deserializer, Serialize};

/// The name of a tenant's tool: 1 to 64 letters, digits, `_` or `-`, without `__`, and not the name of a tool of the deployment.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct ToolName(String);

/// The error for a text that is not the name of a tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the name of a tool must have 1 to 64 letters, digits, `_` or `-`, without `__`, and no tool of the deployment may have it"
)]
pub struct InvalidName;

impl ToolName {
    /// Returns the name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for ToolName {
    type Error = InvalidName;

    fn try_from(text: String) -> Result<Self, InvalidName> {
        let is_valid = names::is_own_name(&text) && !names::is_of_deployment(&text);
        if is_valid { Ok(Self(text)) } else { Err(InvalidName) }
    }
}

impl<'de> Deserialize<'de> for ToolName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::try_from(String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

impl fmt::Display for ToolName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_other_tools_are_refused() {
        for valid in ["find_order", "find-order-2", "A"] {
            assert_eq!(ToolName::try_from(valid.to_owned()).unwrap().as_str(), valid);
        }
        for invalid in ["", "web_fetch", "write_plan", "notes__search", "find order", "tool#1"] {
            assert_eq!(ToolName::try_from(invalid.to_owned()), Err(InvalidName), "{invalid}");
        }
    }
}
