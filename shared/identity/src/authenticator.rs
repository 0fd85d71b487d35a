//! The seam to the HTTP pipeline: from a credential in a request to who is calling.
//!
//! An access token is verified with the keys in memory. An API key costs one read, at most every few seconds.

use futures::future::BoxFuture;
use sequent_core::{ExposeSecret, SecretString, Timestamp};
use sequent_http::{Authenticator, Credential, Principal, Problem, Via};

use crate::{
    Error, Identity,
    access::{Claims, Refused},
    token::ApiKeyToken,
};

impl Authenticator for Identity {
    fn authenticate(&self, credential: Credential) -> BoxFuture<'_, Result<Principal, Problem>> {
        Box::pin(async move {
            let now = Timestamp::now();
            let found = match credential {
                Credential::AccessToken { token, via } => self.by_access_token(&token, via, now).await?,
                Credential::ApiKey(secret) => self.by_api_key(&secret, now).await?,
            };
            found.ok_or_else(|| Problem::unauthenticated(true))
        })
    }
}

impl Identity {
    async fn by_access_token(
        &self,
        token: &SecretString,
        via: Via,
        now: Timestamp,
    ) -> Result<Option<Principal>, Error> {
        let token = token.expose_secret();
        let mut verdict = self.issuer.verify(self.vault.get().await?.ring(), token, now);
        // A key may have been added since we read them. Reading again is rationed, whatever ids strangers make up.
        if matches!(verdict, Err(Refused::UnknownKey))
            && let Some(secret) = self.vault.reread().await?
        {
            verdict = self.issuer.verify(secret.ring(), token, now);
        }
        Ok(match verdict {
            Ok(claims) => Some(principal(&claims, via)),
            Err(refused) => {
                tracing::debug!(reason = %refused, "access token refused");
                None
            }
        })
    }

    async fn by_api_key(&self, secret: &SecretString, now: Timestamp) -> Result<Option<Principal>, Error> {
        let Some(token) = ApiKeyToken::parse(secret.expose_secret()) else { return Ok(None) };
        let grant = self.api_key(&token, now).await?;
        Ok(grant.map(|grant| Principal {
            tenant: grant.tenant,
            user: grant.user,
            session: None,
            api_key: Some(grant.id),
            scopes: grant.scopes,
            via: Via::ApiKey,
        }))
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
