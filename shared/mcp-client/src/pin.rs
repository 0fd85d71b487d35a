//! Pinned definitions: agents use a tool as it was accepted, or not at all.
//!
//! A server can change the description, the parameters and the hints of a tool at any time. Without pins, a tool that a
//! person has accepted could become another one unnoticed.

use std::collections::BTreeMap;

use sequent_tool::definition_digest;
use serde::{Deserialize, Deserializer, Serialize};

use crate::definition::ToolDefinition;

/// The SHA-256, in hexadecimal, of everything of a tool's definition that a model, a person or a policy reads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(value_type = String, pattern = "^[0-9a-f]{64}$"))]
pub struct DefinitionDigest(String);

/// The accepted definitions of a server's tools, by the tools' names.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Pins(BTreeMap<String, DefinitionDigest>);

impl DefinitionDigest {
    pub(crate) fn of(tool: &ToolDefinition) -> Self {
        Self(definition_digest(tool.pinned()))
    }
}

impl<'de> Deserialize<'de> for DefinitionDigest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if text.len() == 64 && text.bytes().all(is_hex) {
            Ok(Self(text))
        } else {
            Err(serde::de::Error::custom("a digest has 64 of the characters 0-9 and a-f"))
        }
    }
}

impl From<BTreeMap<String, DefinitionDigest>> for Pins {
    fn from(accepted: BTreeMap<String, DefinitionDigest>) -> Self {
        Self(accepted)
    }
}

impl Pins {
    /// Pins the definition of every tool.
    pub(crate) fn of(tools: &[ToolDefinition]) -> Self {
        Self(tools.iter().map(|tool| (tool.name.clone(), DefinitionDigest::of(tool))).collect())
    }

    /// Returns `true` if the tool is defined as it was accepted.
    pub(crate) fn accept(&self, tool: &ToolDefinition) -> bool {
        self.0.get(&tool.name).is_some_and(|pinned| *pinned == DefinitionDigest::of(tool))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn contains(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remote(definition: &str) -> ToolDefinition {
        crate::definition::tests::tool(&serde_json::from_str(definition).unwrap())
    }

    #[test]
    fn every_part_of_a_definition_counts_and_the_order_of_members_does_not() {
        let first = remote(
            r#"{"name":"a","description":"d","inputSchema":{"type":"object","properties":{"x":{"type":"string"},"y":{}}},
                "annotations":{"readOnlyHint":true}}"#,
        );
        let pins = Pins::of(std::slice::from_ref(&first));
        assert!(pins.accept(&first));
        let reordered = r#"{"annotations":{"readOnlyHint":true},"inputSchema":{"properties":{"y":{},"x":{"type":"string"}},
            "type":"object"},"description":"d","name":"a"}"#;
        assert!(pins.accept(&remote(reordered)));
        for (from, to) in [
            (r#""description":"d""#, r#""description":"e""#),
            (r#""description":"d""#, r#""title":"d""#),
            (r#""y":{}"#, r#""y":{"type":"string"}"#),
            (r#""readOnlyHint":true"#, r#""readOnlyHint":false"#),
            (r#""name":"a""#, r#""name":"b""#),
        ] {
            let changed = reordered.replace(from, to);
            assert_ne!(changed, reordered);
            assert!(!pins.accept(&remote(&changed)), "{changed}");
        }
    }

    #[test]
    fn a_digest_is_read_only_in_its_form() {
        let digest = |text: &str| serde_json::from_value::<DefinitionDigest>(text.into());
        assert!(digest(&"0f".repeat(32)).is_ok());
        for wrong in ["", "0f", &"0F".repeat(32), &"0g".repeat(32), &"0f".repeat(33)] {
            assert!(digest(wrong).is_err(), "{wrong}");
        }
    }
}
