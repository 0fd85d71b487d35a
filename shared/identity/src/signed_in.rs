//! What signing up, signing in and refreshing hand out, and how a session goes on and ends.

use std::time::Duration;

use sequent_core::{Scopes, SecretString, SessionId, TenantId, Timestamp, UserId};
use sequent_tables::{Page, PageRequest, Transaction, key};

use crate::{
    Error, Identity,
    access::Subject,
    account::User,
    audit::{Action, Entry},
    commit::{commit, pause},
    session::{Place, Session, Verdict},
    token::RefreshToken,
};

/// How often a refresh is tried anew when others refresh the same session at the same moment.
const ATTEMPTS: u32 = 10;

/// Everything a client needs to go on as this user.
#[derive(Debug, Clone)]
pub struct SignedIn {
    /// Who they are.
    pub user: User,
    /// The session.
    pub session: Session,
    /// Proves who they are to every function.
    pub access_token: SecretString,
    /// How long it does.
    pub expires_in: Duration,
    /// Buys the next access token.
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

    /// Replaces a refresh token by its successor, with a new access token. The rules are those of
    /// [`Session::judge`]; of any number of simultaneous callers with one token, one replaces it and the others get
    /// what that one got.
    ///
    /// # Errors
    /// [`Error::InvalidRefreshToken`], or [`Error::ReusedRefreshToken`] when this very call ended the session.
    pub async fn refresh(&self, token: &RefreshToken, now: Timestamp) -> Result<SignedIn, Error> {
        let place: Option<Place> = self.store.get(&key::lookup::refresh_token(token.expose())).await?;
        let place = place.ok_or(Error::InvalidRefreshToken)?;
        let secret = self.vault.get().await?;
        let succession = secret.ring().succession();
        for attempt in 0..ATTEMPTS {
            let session = self.session(&place).await?.ok_or(Error::InvalidRefreshToken)?;
            let (session, next) = match session.judge(place.generation, now) {
                Verdict::Ended => return Err(Error::InvalidRefreshToken),
                Verdict::Reused => {
                    self.end(&session, Action::RefreshTokenReused, now).await?;
                    return Err(Error::ReusedRefreshToken);
                }
                Verdict::Repeat => {
                    let next = token.successor(succession, session.id, session.generation);
                    if next.digest() != session.token_digest {
                        return Err(Error::InvalidRefreshToken); // the deployment's seed was replaced in between
                    }
                    (session, next)
                }
                Verdict::Rotate => {
                    let next = token.successor(succession, session.id, session.generation + 1);
                    let (rotated, transaction) = session.rotate(&self.store, &next, now)?;
                    match transaction.run(&self.store).await {
                        Ok(()) => (rotated, next),
                        // Lost to another request with the same token, or nobody knows: the row will tell.
                        Err(cancelled)
                            if cancelled.is_transient()
                                || (0..2).any(|write| cancelled.condition_failed(write)) =>
                        {
                            pause(attempt).await;
                            continue;
                        }
                        Err(cancelled) => return Err(cancelled.into()),
                    }
                }
            };
            let user = self.user(place.tenant, place.user).await?.ok_or(Error::InvalidRefreshToken)?;
            return self.signed_in(user, session, next, now).await;
        }
        Err(Error::Contended)
    }

    /// Ends the session a refresh token belongs to, whichever link of the chain it is. Unknown tokens are no error:
    /// who signs out is signed out.
    ///
    /// # Errors
    /// When the table cannot be reached.
    pub async fn sign_out(&self, token: &RefreshToken, now: Timestamp) -> Result<(), Error> {
        let place: Option<Place> = self.store.get(&key::lookup::refresh_token(token.expose())).await?;
        let Some(place) = place else { return Ok(()) };
        if let Some(session) = self.session(&place).await? {
            self.end(&session, Action::SessionRevoked, now).await?;
        }
        Ok(())
    }

    /// Ends a session of a user. Its refresh token is refused at once; access tokens given out run out by themselves.
    ///
    /// # Errors
    /// [`Error::NotFound`] when the user has no such open session.
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

    /// One page of a user's open sessions, newest first. A page may be short: ended ones are left out of it.
    ///
    /// # Errors
    /// When the table cannot be read.
    pub async fn sessions(&self, request: &PageRequest, now: Timestamp) -> Result<Page<Session>, Error> {
        let mut page: Page<Session> = self.store.page(request).await?;
        page.items.retain(|session| session.is_open(now));
        Ok(page)
    }

    async fn session(&self, place: &Place) -> Result<Option<Session>, Error> {
        Ok(self.store.get(&key::session(place.tenant, place.user, place.session)).await?)
    }

    /// Ends a session and writes down why, exactly once however many try.
    async fn end(&self, session: &Session, why: Action, now: Timestamp) -> Result<(), Error> {
        let entry =
            Entry { session: Some(session.id), ..Entry::new(why, session.user, now) }.row(session.tenant)?;
        let transaction = Transaction::new()
            .update(&self.store, &session.key(), Session::revocation(now))
            .insert(&self.store, entry);
        // Revoking is final, so an already revoked session is the witness of an attempt of unknown outcome as well.
        match commit(&self.store, transaction, &session.key()).await {
            Ok(()) => Ok(()),
            Err(cancelled) if cancelled.condition_failed(0) => Ok(()),
            Err(cancelled) => Err(cancelled.into()),
        }
    }
}
