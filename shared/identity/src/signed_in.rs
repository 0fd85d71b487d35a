//! The result of signing up, signing in and refreshing.

use std::time::Duration;

use sequent_core::{Scopes, SecretString, Timestamp};
use sequent_tables::{Retry, key};

use crate::{
    Error, Identity,
    access::Subject,
    account::User,
    audit::AuditAction,
    device::DeviceToken,
    session::{ROTATION, Session, TokenOwner, Verdict},
    token::RefreshToken,
};

/// The number of times that a refresh reads the session, while other requests refresh it at the same time.
const ATTEMPTS: u32 = 10;

/// A session with its tokens.
#[expect(missing_docs, reason = "plain data")]
#[derive(Debug, Clone)]
pub struct SignedIn {
    pub user: User,
    pub session: Session,
    pub access_token: SecretString,
    /// The lifetime of the access token.
    pub expires_in: Duration,
    pub refresh_token: RefreshToken,
    /// The token by which the next sign-in on this device is recognised. A refresh issues none.
    pub device: Option<DeviceToken>,
}

impl SignedIn {
    /// Adds the token of the device.
    pub(crate) fn on(self, device: DeviceToken) -> Self {
        Self { device: Some(device), ..self }
    }
}

impl Identity {
    pub(crate) async fn signed_in(
        &self,
        user: User,
        session: Session,
        refresh_token: RefreshToken,
        now: Timestamp,
    ) -> Result<SignedIn, Error> {
        let subject =
            Subject { user: user.id, tenant: user.tenant_id, session: session.id, scopes: Scopes::ALL };
        let keys = self.vault.signing().await?;
        let access_token = self.issuer.issue(&keys, &subject, now)?;
        let expires_in = self.issuer.ttl();
        Ok(SignedIn { user, session, access_token, expires_in, refresh_token, device: None })
    }

    /// Replaces a refresh token by its successor and issues a new access token, by the rules of [`Session::judge`].
    /// Of any number of concurrent callers with one token, one replaces it and the others get the same result.
    ///
    /// # Errors
    /// [`Error::InvalidRefreshToken`], or [`Error::ReusedRefreshToken`] if this call ended the session.
    pub async fn refresh(&self, token: &RefreshToken, now: Timestamp) -> Result<SignedIn, Error> {
        let owner = self.token_owner(token).await?.ok_or(Error::InvalidRefreshToken)?;
        for _ in 0..ATTEMPTS {
            let session = self.session(&owner).await?.ok_or(Error::InvalidRefreshToken)?;
            let Some((session, next)) = self.succeed(token, &owner, session, now).await? else { continue };
            let user = self.user(owner.tenant, owner.user).await?.ok_or(Error::InvalidRefreshToken)?;
            return self.signed_in(user, session, next, now).await;
        }
        Err(Error::Contended)
    }

    /// Returns the session with its newest token, or `None` if another request replaced the token at the same time,
    /// so that the session must be read again.
    async fn succeed(
        &self,
        token: &RefreshToken,
        owner: &TokenOwner,
        session: Session,
        now: Timestamp,
    ) -> Result<Option<(Session, RefreshToken)>, Error> {
        let keys = self.vault.signing().await?;
        let succession = keys.succession();
        match session.judge(owner.generation, now) {
            Verdict::Ended => {
                // Continues what an earlier request did not complete.
                if session.was_copied {
                    self.revoke_api_keys_of(&session, now).await?;
                }
                Err(Error::InvalidRefreshToken)
            }
            Verdict::Reused => {
                self.end(&session, AuditAction::RefreshTokenReused, now).await?;
                self.revoke_api_keys_of(&session, now).await?;
                Err(Error::ReusedRefreshToken)
            }
            Verdict::Repeat => {
                let next = token.successor(succession, session.id, session.generation);
                if next.digest() != session.token_digest {
                    return Err(Error::InvalidRefreshToken); // the key of refresh tokens was replaced in between
                }
                Ok(Some((session, next)))
            }
            Verdict::Rotate => {
                let next = token.successor(succession, session.id, session.generation + 1);
                let rotated = session.rotated(&next, now);
                match self.store.commit(rotated.rotation(&next)?, Retry::BRIEF).await {
                    Ok(()) => Ok(Some((rotated, next))),
                    Err(cancelled) if cancelled.refused(ROTATION) => Ok(None),
                    Err(cancelled) => Err(cancelled.into()),
                }
            }
        }
    }

    pub(crate) async fn token_owner(&self, token: &RefreshToken) -> Result<Option<TokenOwner>, Error> {
        let digest = token.digest();
        if self.missing.contains(&digest) {
            return Ok(None);
        }
        let owner = self.store.get(&key::lookup::refresh_token(token.expose())).await?;
        if owner.is_none() {
            self.missing.insert(digest);
        }
        Ok(owner)
    }

    pub(crate) async fn session(&self, owner: &TokenOwner) -> Result<Option<Session>, Error> {
        Ok(self.store.get(&key::session(owner.tenant, owner.user, owner.session)).await?)
    }
}
