//! The row that a verified credential depends on: its session, or the row that leads from the secret of an API key to its
//! tenant. Both are read again while a response lasts.

use sequent_core::{ExposeSecret, Principal, Timestamp};
use sequent_tables::{Key, key};

use crate::{Credential, Error, Identity, api_key::Grant, session::Session, token::ApiKeyToken};

/// The row without which a credential is refused.
#[derive(Debug, Clone)]
pub enum CredentialRow {
    /// The session of an access token. The token itself may expire: its client gets another one from the session.
    Session(Key),
    /// The grant of an API key.
    ApiKey(Key),
}

impl CredentialRow {
    /// Returns the row of a credential that was verified as this caller's.
    #[must_use]
    pub fn of(credential: &Credential, caller: &Principal) -> Option<Self> {
        match credential {
            Credential::AccessToken { .. } => {
                Some(Self::Session(key::session(caller.tenant, caller.user, caller.session?)))
            }
            Credential::ApiKey(secret) => {
                let token = ApiKeyToken::parse(secret.expose_secret())?;
                Some(Self::ApiKey(key::lookup::api_key(&token.digest())))
            }
        }
    }
}

impl Identity {
    /// Returns `true` if the credential has not ended. Reads its row eventually consistent: an end can be seen a moment
    /// later.
    ///
    /// # Errors
    /// If the table cannot be read.
    pub async fn is_still_valid(&self, row: &CredentialRow, now: Timestamp) -> Result<bool, Error> {
        Ok(match row {
            CredentialRow::Session(key) => {
                let session: Option<Session> = self.store.get_recent(key).await?;
                session.is_some_and(|session| session.is_open(now))
            }
            CredentialRow::ApiKey(key) => {
                let grant: Option<Grant> = self.store.get_recent(key).await?;
                grant.is_some_and(|grant| grant.is_valid(now))
            }
        })
    }
}
