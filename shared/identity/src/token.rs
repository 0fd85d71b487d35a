//! Opaque credentials: a prefix that names the kind, and 256 random bits.
//!
//! Only their SHA-256 is stored. A fast hash is enough, because 256 random bits cannot be searched.

use std::fmt;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::{
    digest, hmac,
    rand::{SecureRandom, SystemRandom},
};
use sequent_core::{ExposeSecret, SecretString, SessionId};

const BYTES: usize = 32;
const TEXT: usize = 43;

/// The random generator of the operating system failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the random generator failed")]
pub struct NoRandomness;

macro_rules! tokens {
    ($($(#[$doc:meta])* $name:ident, $prefix:literal;)+) => {$(
        $(#[$doc])*
        #[derive(Clone)]
        pub struct $name(SecretString);

        impl $name {
            /// The prefix of every such token.
            pub const PREFIX: &'static str = $prefix;

            /// A new random token.
            ///
            /// # Errors
            /// If the system's random generator fails.
            pub fn generate() -> Result<Self, NoRandomness> {
                let mut bytes = [0; BYTES];
                SystemRandom::new().fill(&mut bytes).map_err(|_| NoRandomness)?;
                Ok(Self::from_bytes(&bytes))
            }

            /// Returns the token if the text has its form. The table decides whether it is valid.
            #[must_use]
            pub fn parse(text: &str) -> Option<Self> {
                let body = text.strip_prefix($prefix)?;
                let valid = body.len() == TEXT && URL_SAFE_NO_PAD.decode(body).is_ok();
                valid.then(|| Self(text.to_owned().into()))
            }

            /// The text, for the response or the lookup that needs it.
            #[must_use]
            pub fn expose(&self) -> &str {
                self.0.expose_secret()
            }

            /// The SHA-256 of the text in lower-case hexadecimal, which is stored.
            #[must_use]
            pub fn digest(&self) -> String {
                hex(digest::digest(&digest::SHA256, self.expose().as_bytes()).as_ref())
            }

            fn from_bytes(bytes: &[u8]) -> Self {
                Self(format!(concat!($prefix, "{}"), URL_SAFE_NO_PAD.encode(bytes)).into())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(..)"))
            }
        }
    )+};
}

tokens! {
    /// A token that is exchanged once for a new access token and its own successor.
    RefreshToken, "rt_";
    /// The secret of an API key.
    ApiKeyToken, "sk_";
    /// The secret part of the address of a hook.
    HookToken, "hk_";
    /// A token that was sent by mail and is used once.
    MailToken, "mt_";
    /// The secret part of an invitation's code. It follows the id of the invitation.
    InvitationSecret, ".";
}

impl RefreshToken {
    /// The token that follows this one as `generation` of `session`.
    ///
    /// It is computed and not random, so that a client that lost the response gets the same successor again, although
    /// only its hash is stored. Without `key`, the new token cannot be computed from the old one.
    #[must_use]
    pub fn successor(&self, key: &hmac::Key, session: SessionId, generation: u64) -> Self {
        let mut context = hmac::Context::with_key(key);
        context.update(b"sequent refresh token v1\0");
        context.update(&session.bits().to_be_bytes());
        context.update(&generation.to_be_bytes());
        context.update(self.expose().as_bytes());
        Self::from_bytes(context.sign().as_ref())
    }
}

impl HookToken {
    /// The first characters, by which people recognise their hooks. They reveal 36 of the 256 bits.
    #[must_use]
    pub fn display_prefix(&self) -> &str {
        &self.expose()[..Self::PREFIX.len() + 6]
    }
}

impl ApiKeyToken {
    /// The first characters, by which people recognise their keys. They reveal 36 of the 256 bits.
    #[must_use]
    pub fn display_prefix(&self) -> &str {
        &self.expose()[..Self::PREFIX.len() + 6]
    }
}

fn hex(bytes: &[u8]) -> String {
    use fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}"); // writing to a String cannot fail
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key(secret: &[u8]) -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, secret)
    }

    #[test]
    fn tokens_are_random_and_of_one_kind() {
        let one = RefreshToken::generate().unwrap();
        let two = RefreshToken::generate().unwrap();
        assert_ne!(one.expose(), two.expose());
        assert!(RefreshToken::parse(one.expose()).is_some());
        assert!(ApiKeyToken::parse(one.expose()).is_none(), "a refresh token is no API key");
        assert_eq!(one.digest().len(), 64);
        assert_eq!(format!("{one:?}"), "RefreshToken(..)");
    }

    #[test]
    fn the_successor_depends_on_all_it_should() {
        let token = RefreshToken::generate().unwrap();
        let session = SessionId::new();
        let next = token.successor(&key(b"k"), session, 1);
        assert_eq!(next.expose(), token.successor(&key(b"k"), session, 1).expose());
        for other in [
            token.successor(&key(b"another"), session, 1),
            token.successor(&key(b"k"), SessionId::new(), 1),
            token.successor(&key(b"k"), session, 2),
            next.successor(&key(b"k"), session, 1),
        ] {
            assert_ne!(next.expose(), other.expose());
        }
        assert!(RefreshToken::parse(next.expose()).is_some());
    }

    proptest! {
        #[test]
        fn only_the_canonical_form_parses(text in "(rt_|sk_)?[A-Za-z0-9_=+/-]{40,46}") {
            if let Some(token) = RefreshToken::parse(&text) {
                let body = text.strip_prefix("rt_").unwrap();
                prop_assert_eq!(URL_SAFE_NO_PAD.encode(URL_SAFE_NO_PAD.decode(body).unwrap()), body);
                prop_assert_eq!(token.expose(), text);
            }
        }
    }
}
