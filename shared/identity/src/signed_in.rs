//! The result of signing up, signing in and refreshing, and the end of a session.

use std::time::Duration;

use sequent_core::{Scopes, SecretString, SessionId, TenantId, Timestamp, UserId};
use sequent_tables::{Label, Page, PageRequest, Retry, Transaction, Write, key};

use crate::{
    Error, Identity,
    access::Subject,
    account::User,
    audit::{Action, AuditEntry},
    session::{ROTATION, Session, TokenOwner, Verdict},
    token::RefreshToken,
};

/// The number of times that a refresh reads the session, while other requests refresh it at the same time.
const ATTEMPTS: u32 = 10;

/// The write that ends a session.
const END: Label = Label::new("end");

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
        let access_token = self.issuer.issue(self.vault.get().await?.ring(), &subject, now)?;
        Ok(SignedIn { user, session, access_token, expires_in: self.issuer.ttl(), refresh_token })
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
        let secret = self.vault.get().await?;
        let succession = secret.ring().succession();
        match session.judge(owner.generation, now) {
            Verdict::Ended => Err(Error::InvalidRefreshToken),
            Verdict::Reused => {
                self.end(&session, Action::RefreshTokenReused, now).await?;
                Err(Error::ReusedRefreshToken)
            }
            Verdict::Repeat => {
                let next = token.successor(succession, session.id, session.generation);
                if next.digest() != session.token_digest {
                    return Err(Error::InvalidRefreshToken); // the seed of the deployment was replaced in between
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

    /// Ends the session of a refresh token, even if the token has been replaced. An unknown token is not an error.
    ///
    /// # Errors
    /// If the table cannot be reached.
    pub async fn sign_out(&self, token: &RefreshToken, now: Timestamp) -> Result<(), Error> {
        let Some(owner) = self.token_owner(token).await? else { return Ok(()) };
        if let Some(session) = self.session(&owner).await? {
            self.end(&session, Action::SessionRevoked, now).await?;
        }
        Ok(())
    }

    /// Ends a session of a user. Its refresh token is refused at once. Access tokens that were issued before expire by
    /// themselves.
    ///
    /// # Errors
    /// [`Error::NotFound`] if the user has no such open session.
    pub async fn revoke_session(
        &self,
        tenant: TenantId,
        user: UserId,
        id: SessionId,
        now: Timestamp,
    ) -> Result<(), Error> {
        let session: Option<Session> = self.store.get(&key::session(tenant, user, id)).await?;
        let session = session.filter(|session| session.is_open(now)).ok_or(Error::NotFound)?;
        self.end(&session, Action::SessionRevoked, now).await
    }

    /// Reads one page of a user's open sessions, newest first. Ended sessions are left out, so a page may be short.
    ///
    /// # Errors
    /// If the table cannot be read.
    pub async fn sessions(&self, request: &PageRequest, now: Timestamp) -> Result<Page<Session>, Error> {
        let mut page: Page<Session> = self.store.page(request).await?;
        page.items.retain(|session| session.is_open(now));
        Ok(page)
    }

    async fn token_owner(&self, token: &RefreshToken) -> Result<Option<TokenOwner>, Error> {
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

    async fn session(&self, owner: &TokenOwner) -> Result<Option<Session>, Error> {
        Ok(self.store.get(&key::session(owner.tenant, owner.user, owner.session)).await?)
    }

    /// Ends a session and records the reason. Of several concurrent calls, one does.
    async fn end(&self, session: &Session, why: Action, now: Timestamp) -> Result<(), Error> {
        let entry = AuditEntry { session: Some(session.id), ..AuditEntry::new(why, session.user, now) }
            .row(session.tenant)?;
        let transaction =
            Transaction::new().write(session.revocation(now)).label(END).write(Write::insert(entry));
        match self.store.commit(transaction, Retry::BRIEF).await {
            Ok(()) => Ok(()),
            Err(cancelled) if cancelled.refused(END) => Ok(()),
            Err(cancelled) => Err(cancelled.into()),
        }
    }
}
