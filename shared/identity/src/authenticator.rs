//! The verification of credentials.
//!
//! An access token is verified with the keys in memory. Its session, or an API key, costs one read every few seconds.

use sequent_core::{ExposeSecret, Principal, SecretString, Timestamp, Via};

use crate::{
    Credential, Error, Identity,
    access::{Claims, Refused},
    token::ApiKeyToken,
};

impl Identity {
    /// Verifies a credential and returns the caller that it proves.
    ///
    /// # Errors
    /// [`Error::InvalidCredential`] if it is wrong in any way.
    pub async fn authenticate(&self, credential: &Credential) -> Result<Principal, Error> {
        let now = Timestamp::now();
        match credential {
            Credential::AccessToken { token, via } => self.by_access_token(token, *via, now).await,
            Credential::ApiKey(secret) => self.by_api_key(secret, now).await,
        }
    }

    /// Returns `true` if verifying the credential costs a read of the table.
    #[must_use]
    pub fn needs_lookup(&self, credential: &Credential) -> bool {
        match credential {
            Credential::AccessToken { .. } => false,
            Credential::ApiKey(secret) => {
                ApiKeyToken::parse(secret.expose_secret()).is_some_and(|token| !self.knows_api_key(&token))
            }
        }
    }

    async fn by_access_token(
        &self,
        token: &SecretString,
        via: Via,
        now: Timestamp,
    ) -> Result<Principal, Error> {
        let token = token.expose_secret();
        let mut verdict = self.issuer.verify(self.vault.get().await?.public_keys(), token, now);
        // A key may have been added since the secret was read. Reading it again is limited, because a stranger can
        // make up key ids.
        if matches!(verdict, Err(Refused::UnknownKey))
            && let Some(secret) = self.vault.reread().await?
        {
            verdict = self.issuer.verify(secret.public_keys(), token, now);
        }
        match verdict {
            Ok(claims) if self.has_open_session(&claims, now).await? => Ok(principal(&claims, via)),
            Ok(_) => {
                tracing::debug!("refused an access token of an ended session");
                Err(Error::InvalidCredential)
            }
            Err(refused) => {
                tracing::debug!(reason = %refused, "refused an access token");
                Err(Error::InvalidCredential)
            }
        }
    }

    async fn by_api_key(&self, secret: &SecretString, now: Timestamp) -> Result<Principal, Error> {
        let token = ApiKeyToken::parse(secret.expose_secret()).ok_or(Error::InvalidCredential)?;
        let grant = self.api_key(&token, now).await?.ok_or(Error::InvalidCredential)?;
        Ok(Principal {
            tenant: grant.tenant,
            user: grant.user,
            session: None,
            api_key: Some(grant.id),
            scopes: grant.scopes,
            via: Via::ApiKey,
        })
    }
}

fn principal(claims: &Claims, via: Via) -> Principal {
    Principal {
        tenant: claims.tid,
        user: claims.sub,
        session: Some(claims.sid),
        api_key: None,
        scopes: claims.scopes(),
        via,
    }
}
