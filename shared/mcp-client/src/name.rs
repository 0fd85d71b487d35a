//! What a tenant calls a server.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};

/// The name of a server within its tenant: `[a-z0-9-]{1,32}`. It begins the names of the server's tools, which is why
/// it has no underscore: where it ends is never in doubt.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Name(String);

/// The text names no server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a server's name has 1 to 32 of the characters a-z, 0-9 and -")]
pub struct InvalidName;

impl Name {
    /// Most characters of a name.
    pub const MAX: usize = 32;

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Name {
    type Error = InvalidName;

    fn try_from(text: String) -> Result<Self, InvalidName> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let fits = (1..=Self::MAX).contains(&text.len()) && text.bytes().all(plain);
        if fits { Ok(Self(text)) } else { Err(InvalidName) }
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
    fn a_name_is_short_and_plain() {
        for fine in ["a", "my-notes-2", &"x".repeat(32)] {
            assert_eq!(Name::try_from(fine.to_owned()).unwrap().as_str(), fine);
        }
        for wrong in ["", "Notes", "a_b", "a b", "ä", "a/b", &"x".repeat(33)] {
            assert_eq!(Name::try_from(wrong.to_owned()), Err(InvalidName), "{wrong}");
        }
    }
}
