//! The name of a server.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};

/// The name of a server within its tenant: `[a-z0-9-]{1,32}`. The names of the server's tools start with it
/// and `__`, so it contains no underscore.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Name(String);

/// The error for a text that is not a valid name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the name of a server must have 1 to 32 of the characters a-z, 0-9 and -")]
pub struct InvalidName;

impl Name {
    /// Characters of a name at most.
    pub const MAX: usize = 32;

    /// Returns the name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Name {
    type Error = InvalidName;

    fn try_from(text: String) -> Result<Self, InvalidName> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let is_valid = (1..=Self::MAX).contains(&text.len()) && text.bytes().all(plain);
        if is_valid { Ok(Self(text)) } else { Err(InvalidName) }
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::try_from(String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked() {
        for valid in ["a", "my-notes-2", &"x".repeat(32)] {
            assert_eq!(Name::try_from(valid.to_owned()).unwrap().as_str(), valid);
        }
        for invalid in ["", "Notes", "a_b", "a b", "ä", "a/b", &"x".repeat(33)] {
            assert_eq!(Name::try_from(invalid.to_owned()), Err(InvalidName), "{invalid}");
        }
    }
}
