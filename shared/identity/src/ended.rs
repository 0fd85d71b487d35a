//! The end of a session, which takes effect on its access tokens within seconds.
//!
//! An access token is verified without a read, so by itself it would work until it expires. Each process therefore reads
//! the session of a token, and trusts what it has read for [`TRUSTED`](crate::TRUSTED): one small read in five seconds for
//! a caller that is busy.

use std::time::Instant;

use sequent_core::{SessionId, TenantId, Timestamp, UserId};
use sequent_tables::{Label, Page, PageRequest, Retry, Transaction, Write, key};

use crate::{
    Error, Identity,
    access::Claims,
    audit::{AuditAction, AuditEntry},
    recent::Recent,
    session::Session,
    token::RefreshToken,
};

/// The sessions that this process has read, and `true` for those that are open.
pub(crate) type KnownSessions = Recent<(TenantId, UserId, SessionId), bool>;

/// The write that ends a session.
const END: Label = Label::new("end");

impl Identity {
    /// Returns `true` if the session of an access token has not ended.
    ///
    /// # Errors
    /// If the table cannot be read. An access token alone is not enough then: its session may have been copied.
    pub(crate) async fn has_open_session(&self, claims: &Claims, now: Timestamp) -> Result<bool, Error> {
        let known = (claims.tid, claims.sub, claims.sid);
        if let Some(is_open) = self.sessions.get(&known) {
            return Ok(is_open);
        }
        let read = Instant::now();
        let session: Option<Session> =
            self.store.get(&key::session(claims.tid, claims.sub, claims.sid)).await?;
        let is_open = session.is_some_and(|session| session.is_open(now));
        self.sessions.put(known, read, is_open);
        Ok(is_open)
    }

    /// Ends the session of a refresh token, even if the token has been replaced. An unknown token is not an error.
    ///
    /// # Errors
    /// If the table cannot be reached.
    pub async fn sign_out(&self, token: &RefreshToken, now: Timestamp) -> Result<(), Error> {
        let Some(owner) = self.token_owner(token).await? else { return Ok(()) };
        if let Some(session) = self.session(&owner).await? {
            self.end(&session, AuditAction::SessionRevoked, now).await?;
        }
        Ok(())
    }

    /// Ends a session of a user. Its refresh token is refused at once, and its access tokens within
    /// [`TRUSTED`](crate::TRUSTED).
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
        self.end(&session, AuditAction::SessionRevoked, now).await
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

    /// Ends all sessions of a user but one.
    pub(crate) async fn end_sessions(
        &self,
        tenant: TenantId,
        user: UserId,
        except: Option<SessionId>,
        now: Timestamp,
    ) -> Result<(), Error> {
        let sessions: Vec<Session> = self.store.every(key::sessions(tenant, user)).await?;
        for session in sessions.iter().filter(|session| session.is_open(now) && Some(session.id) != except) {
            self.store.write_if(session.revocation(now)).await?;
            self.sessions.forget(&(tenant, user, session.id));
        }
        Ok(())
    }

    /// Ends a session and records the reason. Of several concurrent calls, one does.
    pub(crate) async fn end(&self, session: &Session, why: AuditAction, now: Timestamp) -> Result<(), Error> {
        let entry = AuditEntry { session: Some(session.id), ..AuditEntry::new(why, session.user, now) }
            .row(session.tenant)?;
        let revocation = match why {
            AuditAction::RefreshTokenReused => session.revocation(now).set("was_copied", true),
            _ => session.revocation(now),
        };
        let transaction = Transaction::new().write(revocation).label(END).write(Write::insert(entry));
        let ended = self.store.commit(transaction, Retry::BRIEF).await;
        self.sessions.forget(&(session.tenant, session.user, session.id));
        match ended {
            Ok(()) => Ok(()),
            Err(cancelled) if cancelled.refused(END) => Ok(()),
            Err(cancelled) => Err(cancelled.into()),
        }
    }
}
