//! Sign-in to a server on a user's behalf: OAuth 2.1 as MCP 2025-11-25 uses it.
//!
//! The server names its authorization server (RFC 9728), which describes itself (RFC 8414) and registers this client if it
//! can (RFC 7591). The code is bound to this client by PKCE (RFC 7636), the token to the server by `resource` (RFC 8707).
//! Every address is allowed by the guard, and is https except on the local machine.

mod discovery;
mod exchange;
mod grant;

pub(crate) use discovery::{AuthorizationServer, discover};
pub(crate) use exchange::Exchange;
pub(crate) use grant::{OAuthClient, TokenGrant, ended};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::rand::{SecureRandom as _, SystemRandom};
use sequent_identity::secret::SealError;
use sha2::{Digest as _, Sha256};

/// Returns 256 random bits in base 64, for a state or a code verifier.
pub(crate) fn random_text() -> Result<String, SealError> {
    let mut bytes = [0; 32];
    SystemRandom::new().fill(&mut bytes).map_err(|_| SealError::Random)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// Returns the SHA-256 of a text in base 64: the challenge of a code verifier, and the stored form of a state.
pub(crate) fn digest(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(text.as_bytes()))
}
