//! Device tokens: proof that an account was signed in on a device before.
//!
//! A browser keeps the token in a cookie. Wrong passwords that others send cannot keep such a device waiting (OWASP,
//! "Slow down online guessing attacks with device cookies"). The token opens nothing by itself: the password is checked
//! as usual, and the failures of each token are counted. It is authenticated and not stored, so nothing about it has to
//! be looked up or deleted.

use std::fmt;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::{
    hmac,
    rand::{SecureRandom, SystemRandom},
};
use sequent_core::{ExposeSecret, SecretString};

use crate::{email::Email, token::NoRandomness};

/// The beginning of every token.
const PREFIX: &str = "dv_";
/// Length of the random part, in bytes.
const NONCE: usize = 16;
/// Length of the random part and its HMAC-SHA-256.
const BYTES: usize = NONCE + 32;

/// The token of a device for one account.
#[derive(Clone)]
pub struct DeviceToken {
    text: SecretString,
    nonce: [u8; NONCE],
}

impl DeviceToken {
    /// A new token for the account with this address.
    pub(crate) fn issue(key: &hmac::Key, email: &Email) -> Result<Self, NoRandomness> {
        let mut nonce = [0; NONCE];
        SystemRandom::new().fill(&mut nonce).map_err(|_| NoRandomness)?;
        let tag = hmac::sign(key, &message(nonce, email));
        let text = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode([&nonce, tag.as_ref()].concat()));
        Ok(Self { text: text.into(), nonce })
    }

    /// Returns the token if the text is one that was issued for the account with this address.
    pub(crate) fn verify(key: &hmac::Key, email: &Email, text: &SecretString) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text.expose_secret().strip_prefix(PREFIX)?).ok()?;
        let bytes: [u8; BYTES] = bytes.try_into().ok()?;
        let nonce = *bytes.first_chunk::<NONCE>()?;
        hmac::verify(key, &message(nonce, email), &bytes[NONCE..]).ok()?;
        Some(Self { text: text.clone(), nonce })
    }

    /// The text for the cookie.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.text.expose_secret()
    }

    /// The name under which the failures of the device are counted. The token cannot be computed from it.
    pub(crate) fn name(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.nonce)
    }
}

/// The text that is authenticated. The key has other uses, so the text begins with its own.
fn message(nonce: [u8; NONCE], email: &Email) -> Vec<u8> {
    [b"sequent device token v1\0", nonce.as_slice(), email.as_str().as_bytes()].concat()
}

impl fmt::Debug for DeviceToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DeviceToken(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(secret: &[u8]) -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, secret)
    }

    #[test]
    fn a_token_is_valid_for_its_account_and_deployment_only() {
        let ann: Email = "ann@example.com".parse().unwrap();
        let bob: Email = "bob@example.com".parse().unwrap();
        let token = DeviceToken::issue(&key(b"k"), &ann).unwrap();
        let text = SecretString::from(token.expose());
        assert_eq!(DeviceToken::verify(&key(b"k"), &ann, &text).unwrap().name(), token.name());
        assert!(DeviceToken::verify(&key(b"k"), &bob, &text).is_none());
        assert!(DeviceToken::verify(&key(b"other"), &ann, &text).is_none());
        assert_eq!(format!("{token:?}"), "DeviceToken(..)");
    }

    #[test]
    fn altered_and_made_up_texts_are_no_tokens() {
        let ann: Email = "ann@example.com".parse().unwrap();
        let token = DeviceToken::issue(&key(b"k"), &ann).unwrap();
        let short = &token.expose()[..token.expose().len() - 4];
        let altered = token.expose().replacen(&token.expose()[3..5], "zz", 1);
        for text in ["", "dv_", "dv_AAAA", short, &altered, &format!("{}A", token.expose())] {
            assert!(DeviceToken::verify(&key(b"k"), &ann, &text.into()).is_none(), "{text}");
        }
    }
}
