//! Names of definitions, labels and variables.

use std::{fmt, str::FromStr};

use sequent_core::AgentId;
use serde::{Deserialize, Serialize};

/// A text does not have the form of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidText(pub(crate) &'static str);

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident, $is_valid:path, $pattern:literal, $rule:literal;)+) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Returns the name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidText;

            fn try_from(text: String) -> Result<Self, InvalidText> {
                if $is_valid(&text) { Ok(Self(text)) } else { Err(InvalidText($rule)) }
            }
        }

        impl FromStr for $name {
            type Err = InvalidText;

            fn from_str(text: &str) -> Result<Self, InvalidText> {
                text.to_owned().try_into()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        #[cfg(feature = "openapi")]
        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
                utoipa::openapi::ObjectBuilder::new()
                    .schema_type(utoipa::openapi::schema::Type::String)
                    .pattern(Some($pattern))
                    .into()
            }
        }

        #[cfg(feature = "openapi")]
        impl utoipa::ToSchema for $name {}
    )+};
}

names! {
    /// The name of an agent or a prompt, unique among those of its tenant. It does not begin as the id of an agent does.
    DefinitionName, is_definition_name, "^[a-z0-9][a-z0-9_-]{0,63}$",
        "must have 1 to 64 of the characters a-z, 0-9, _ and -, and begin with a letter or a digit, but not with `agt_`";
    /// A label of a version, such as `production`.
    VersionLabel, is_label, "^[a-z][a-z0-9-]{0,31}$",
        "must have 1 to 32 of the characters a-z, 0-9 and -, and begin with a letter";
    /// The name of a variable of a template.
    VariableName, is_variable_name, "^[a-z][a-z0-9_]{0,63}$",
        "must have 1 to 64 of the characters a-z, 0-9 and _, begin with a letter, and be no word of the language";
}

impl VersionLabel {
    /// The label whose version is used where none is asked for.
    pub(crate) const PRODUCTION: &str = "production";
}

/// Words of the template language that cannot be names.
const RESERVED: [&str; 16] = [
    "and", "caller", "else", "elif", "false", "if", "in", "include", "is", "loop", "none", "not", "or",
    "self", "super", "true",
];

fn is_definition_name(text: &str) -> bool {
    let first = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let is_id = text.strip_prefix(AgentId::PREFIX).is_some_and(|rest| rest.starts_with('_'));
    !is_id && has_form(text, 64, first, |byte| first(byte) || byte == b'_' || byte == b'-')
}

fn is_label(text: &str) -> bool {
    let further = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    has_form(text, 32, |byte| byte.is_ascii_lowercase(), further)
}

fn is_variable_name(text: &str) -> bool {
    let further = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    has_form(text, 64, |byte| byte.is_ascii_lowercase(), further) && !RESERVED.contains(&text)
}

fn has_form(text: &str, max: usize, first: impl Fn(u8) -> bool, further: impl Fn(u8) -> bool) -> bool {
    let is_first = text.bytes().next().is_some_and(first);
    is_first && text.len() <= max && text.bytes().all(further)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_and_of_few_characters() {
        let long = "x".repeat(64);
        for name in ["support", "4th", "a_b-c", "agent", &long] {
            assert_eq!(name.parse::<DefinitionName>().unwrap().as_str(), name);
        }
        let longer = "x".repeat(65);
        for name in ["", "_a", "-a", "A", "a b", "ä", "a@b", "a#1", "agt_1", &longer] {
            assert!(name.parse::<DefinitionName>().is_err(), "{name}");
        }
        for (label, is_valid) in
            [("production", true), ("v-2", true), ("3", false), ("a_b", false), ("", false)]
        {
            assert_eq!(label.parse::<VersionLabel>().is_ok(), is_valid, "{label}");
        }
        for (name, is_valid) in
            [("city", true), ("city_2", true), ("2nd", false), ("if", false), ("a-b", false)]
        {
            assert_eq!(name.parse::<VariableName>().is_ok(), is_valid, "{name}");
        }
    }
}
