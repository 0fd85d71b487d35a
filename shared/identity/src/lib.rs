//! Accounts, sessions, API keys, and the tokens that prove them.
//!
//! The invariant: a secret that proves an identity is stored only as a hash (passwords with Argon2id, random tokens
//! with SHA-256). It leaves this crate only in the response that issues it.

pub mod access;
pub mod account;
pub mod api_key;
pub mod audit;
mod authenticator;
mod authority;
pub mod closing;
mod config;
mod credential;
mod credential_row;
mod device;
mod eddsa;
pub mod email;
mod ended;
mod error;
pub mod invitation;
pub mod mail;
mod missing;
mod network;
pub mod password;
mod reauthenticate;
mod recent;
mod registration;
pub mod secret;
pub mod session;
mod sign_in;
mod signed_in;
pub mod signing;
pub mod suspension;
mod throttle;
pub mod token;

use std::time::Duration;

use sequent_tables::Store;

pub use authority::{Authority, EndedAuthority};
pub use config::Config;
pub use credential::Credential;
pub use credential_row::CredentialRow;
pub use device::DeviceToken;
pub use error::Error;
pub use network::network;
pub use reauthenticate::PasswordChange;
pub use recent::TRUSTED;
pub use registration::{Admission, RegistrationMode};
pub use secret::{HttpKeys, Vault};
pub use signed_in::SignedIn;

/// The accounts, sessions and API keys in the main table, and the verification of credentials.
pub struct Identity {
    store: Store,
    vault: Vault,
    issuer: access::Issuer,
    hasher: password::Hasher,
    reauthenticate_after: Duration,
    keys: api_key::KnownKeys,
    sessions: ended::KnownSessions,
    missing: missing::Missing,
    sends_mail: bool,
}

impl Identity {
    /// The identity of one deployment.
    ///
    /// # Errors
    /// If Argon2 does not allow the configured cost.
    pub fn new(store: Store, vault: Vault, config: &Config) -> Result<Self, password::Error> {
        Ok(Self {
            store,
            vault,
            issuer: access::Issuer::new(&config.issuer, config.access_token_ttl),
            hasher: password::Hasher::new(config.password_cost)?,
            reauthenticate_after: config.reauthenticate_after,
            keys: api_key::KnownKeys::default(),
            sessions: ended::KnownSessions::default(),
            missing: missing::Missing::default(),
            sends_mail: false,
        })
    }

    /// The same identity in a deployment that sends mail, so that new accounts can verify their addresses.
    #[must_use]
    pub fn with_mail(self) -> Self {
        Self { sends_mail: true, ..self }
    }

    /// Returns `true` if the deployment sends mail.
    #[must_use]
    pub fn sends_mail(&self) -> bool {
        self.sends_mail
    }

    /// The secret of the deployment.
    #[must_use]
    pub fn vault(&self) -> &Vault {
        &self.vault
    }

    /// The main table of the deployment.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The number of passwords that this process has hashed.
    #[cfg(test)]
    fn hashes_computed(&self) -> u64 {
        self.hasher.computed()
    }
}

#[cfg(test)]
mod tests;
