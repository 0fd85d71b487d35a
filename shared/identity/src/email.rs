//! Email addresses, with which users sign in. They are normalised, so that one mailbox has one account.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// A normalised address. The whole address is lower case, because people type `Ann@x` and `ann@x`, and no mail system
/// distinguishes them.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Email(String);

/// The text is not an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is not a valid email address")]
pub struct Invalid;

impl Email {
    /// The longest address, in bytes. A path has at most 256 octets, with its brackets (RFC 5321, section 4.5.3.1.3).
    pub const MAX_LEN: usize = 254;
    const MAX_LOCAL: usize = 64;

    /// Returns the address in its normal form.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Email {
    type Err = Invalid;

    /// Accepts the addresses of RFC 5322's dot-atom form in ASCII (an internationalised domain in its `xn--` form).
    /// Quoted local parts and address literals are refused: they are valid, but in forms they occur only in attacks.
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let text = text.trim().to_ascii_lowercase();
        let (local, domain) = text.rsplit_once('@').ok_or(Invalid)?;
        let valid = text.len() <= Self::MAX_LEN
            && local.len() <= Self::MAX_LOCAL
            && local.split('.').all(is_atom)
            && domain.contains('.')
            && domain.split('.').all(is_label)
            && domain.rsplit('.').next().is_some_and(|top| !top.bytes().all(|byte| byte.is_ascii_digit()));
        if valid { Ok(Self(text)) } else { Err(Invalid) }
    }
}

fn is_atom(part: &str) -> bool {
    !part.is_empty()
        && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&byte))
}

fn is_label(part: &str) -> bool {
    (1..=63).contains(&part.len())
        && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        && !part.starts_with('-')
        && !part.ends_with('-')
}

impl TryFrom<String> for Email {
    type Error = Invalid;

    fn try_from(text: String) -> Result<Self, Invalid> {
        text.parse()
    }
}

impl From<Email> for String {
    fn from(email: Email) -> Self {
        email.0
    }
}

impl fmt::Debug for Email {
    /// An address is personal data, so it is not shown in logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Email(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn one_mailbox_has_one_spelling() {
        let email: Email = " Ann.Lee+chat@Example.COM ".parse().unwrap();
        assert_eq!(email.as_str(), "ann.lee+chat@example.com");
    }

    #[test]
    fn refuses_what_is_no_address() {
        let long_local = format!("{}@example.com", "a".repeat(65));
        let long = format!("a@{}com", "abcdefghij.".repeat(24));
        for text in [
            "",
            "@",
            "a@",
            "@b.c",
            "a@b",
            "a b@c.de",
            "a@b..c",
            ".a@b.cd",
            "a.@b.cd",
            "a@-b.cd",
            "a@b-.cd",
            "a@1.2.3.4",
            "\"a\"@b.cd",
            "a@[1.2.3.4]",
            "a\n@b.cd",
            "a@b.cd\r\nBcc: c@d.ef",
            "ä@b.cd",
            "a@b@c.de",
            &long_local,
            &long,
        ] {
            assert!(text.parse::<Email>().is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn normalising_is_idempotent_and_never_panics(text in ".{0,80}") {
            if let Ok(email) = text.parse::<Email>() {
                prop_assert_eq!(email.as_str().parse::<Email>(), Ok(email));
            }
        }
    }
}
