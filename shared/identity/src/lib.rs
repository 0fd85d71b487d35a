//! Who is calling: accounts, sessions, API keys and the tokens that stand for them.
//!
//! The invariant: whatever proves an identity is kept only as a hash (passwords with Argon2id, random tokens with
//! SHA-256) and leaves this crate only in the one answer that hands it out.

pub mod access;
pub mod account;
pub mod api_key;
pub mod audit;
mod authenticator;
mod config;
mod credential;
mod eddsa;
pub mod email;
mod error;
pub mod password;
pub mod secret;
pub mod session;
mod signed_in;
pub mod signing;
mod throttle;
pub mod token;

use sequent_tables::Store;

pub use config::Config;
pub use credential::Credential;
pub use error::Error;
pub use secret::{HttpKeys, Vault};
pub use signed_in::SignedIn;
pub use throttle::MAX_FAILURES;

/// Accounts, sessions and keys over the main table, and the verifier of every credential.
pub struct Identity {
    store: Store,
    vault: Vault,
    issuer: access::Issuer,
    hasher: password::Hasher,
    recent: api_key::Recent,
}

impl Identity {
    /// Identity of one deployment.
    ///
    /// # Errors
    /// When the configured password cost is impossible.
    pub fn new(store: Store, vault: Vault, config: &Config) -> Result<Self, password::Error> {
        Ok(Self {
            store,
            vault,
            issuer: access::Issuer::new(&config.public_url, config.access_token_ttl),
            hasher: password::Hasher::new(config.password_cost)?,
            recent: api_key::Recent::default(),
        })
    }

    /// The deployment's secret.
    #[must_use]
    pub fn vault(&self) -> &Vault {
        &self.vault
    }

    /// How many Argon2 computations this process has made.
    #[must_use]
    pub fn hashes_computed(&self) -> u64 {
        self.hasher.computed()
    }
}

#[cfg(test)]
mod tests;
