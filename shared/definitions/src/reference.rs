//! References to a version of an agent or a prompt, as callers write them: `support`, `support@staging`, `agt_...@3`.

use std::{fmt, str::FromStr};

use sequent_core::AgentId;
use serde::{Deserialize, Serialize};

use crate::{DefinitionName, Error, InvalidText, MAX_VERSIONS, VersionLabel, head::Head};

const MALFORMED: InvalidText =
    InvalidText("must be a name or an id, alone or followed by `@` and a label or the number of a version");

/// The version of a definition that is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub enum Selector {
    /// The version with the label `production`, or the latest one if there is no such label.
    #[default]
    Released,
    /// The version with this label.
    Label(VersionLabel),
    /// The version with this number.
    Version(u32),
}

impl Selector {
    /// Returns the number of the version.
    pub(crate) fn select(&self, head: &Head) -> Result<u32, Error> {
        match self {
            Self::Released => Ok(head.labelled(VersionLabel::PRODUCTION).unwrap_or(head.latest_version)),
            Self::Label(label) => {
                head.labelled(label.as_str()).ok_or_else(|| Error::LabelNotFound(label.clone()))
            }
            Self::Version(version) if *version <= head.latest_version => Ok(*version),
            Self::Version(version) => Err(Error::VersionNotFound(*version)),
        }
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Released => Ok(()),
            Self::Label(label) => write!(f, "@{label}"),
            Self::Version(version) => write!(f, "@{version}"),
        }
    }
}

impl FromStr for Selector {
    type Err = InvalidText;

    /// Parses the part after `@`.
    fn from_str(text: &str) -> Result<Self, InvalidText> {
        if let Ok(label) = text.parse() {
            return Ok(Self::Label(label));
        }
        let version: u32 = text.parse().map_err(|_| MALFORMED)?;
        let is_number = (1..=MAX_VERSIONS).contains(&version) && version.to_string() == text;
        if is_number { Ok(Self::Version(version)) } else { Err(MALFORMED) }
    }
}

/// An agent by its id or by its name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[expect(missing_docs, reason = "the names say it")]
pub enum AgentKey {
    Id(AgentId),
    Name(DefinitionName),
}

impl FromStr for AgentKey {
    type Err = InvalidText;

    fn from_str(text: &str) -> Result<Self, InvalidText> {
        text.parse().map(Self::Id).or_else(|_| text.parse().map(Self::Name))
    }
}

impl fmt::Display for AgentKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => write!(f, "{id}"),
            Self::Name(name) => write!(f, "{name}"),
        }
    }
}

/// A reference to a version of an agent.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[expect(missing_docs, reason = "plain data")]
pub struct AgentReference {
    pub agent: AgentKey,
    pub version: Selector,
}

/// A reference to a version of a prompt.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[expect(missing_docs, reason = "plain data")]
pub struct PromptReference {
    pub name: DefinitionName,
    pub version: Selector,
}

/// Splits a reference at its `@`.
fn split<T: FromStr<Err = InvalidText>>(text: &str) -> Result<(T, Selector), InvalidText> {
    match text.split_once('@') {
        Some((subject, version)) => Ok((subject.parse().map_err(|_| MALFORMED)?, version.parse()?)),
        None => Ok((text.parse().map_err(|_| MALFORMED)?, Selector::Released)),
    }
}

impl FromStr for AgentReference {
    type Err = InvalidText;

    fn from_str(text: &str) -> Result<Self, InvalidText> {
        split(text).map(|(agent, version)| Self { agent, version })
    }
}

impl FromStr for PromptReference {
    type Err = InvalidText;

    fn from_str(text: &str) -> Result<Self, InvalidText> {
        split(text).map(|(name, version)| Self { name, version })
    }
}

impl fmt::Display for AgentReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.agent, self.version)
    }
}

impl fmt::Display for PromptReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.name, self.version)
    }
}

macro_rules! as_text {
    ($($name:ident, $pattern:literal;)+) => {$(
        impl TryFrom<String> for $name {
            type Error = InvalidText;

            fn try_from(text: String) -> Result<Self, InvalidText> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(reference: $name) -> Self {
                reference.to_string()
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

as_text! {
    AgentKey, "^(agt_[0-7][0-9A-HJKMNP-TV-Z]{25}|[a-z0-9][a-z0-9_-]{0,63})$";
    AgentReference, "^(agt_[0-7][0-9A-HJKMNP-TV-Z]{25}|[a-z0-9][a-z0-9_-]{0,63})(@([a-z][a-z0-9-]{0,31}|[1-9][0-9]{0,3}))?$";
    PromptReference, "^[a-z0-9][a-z0-9_-]{0,63}(@([a-z][a-z0-9-]{0,31}|[1-9][0-9]{0,3}))?$";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_has_one_spelling() {
        let id = AgentId::new().to_string();
        for text in ["support", "support@staging", "support@3", "support@1000"] {
            assert_eq!(text.parse::<AgentReference>().unwrap().to_string(), text);
            assert_eq!(text.parse::<PromptReference>().unwrap().to_string(), text);
        }
        for rest in ["", "@production", "@12"] {
            let text = format!("{id}{rest}");
            let reference: AgentReference = text.parse().unwrap();
            assert!(matches!(reference.agent, AgentKey::Id(_)));
            assert_eq!(reference.to_string(), text);
            assert!(text.parse::<PromptReference>().is_err());
        }
        for text in [
            "",
            "@3",
            "support@",
            "support@0",
            "support@03",
            "support@1001",
            "a@b@c",
            "Support",
            "agt_1",
            "a@-1",
        ] {
            assert!(text.parse::<AgentReference>().is_err(), "{text}");
        }
    }
}
