//! Presenting the password again, and replacing it.
//!
//! A session lives for weeks, so an open browser must not be enough to create credentials or to delete the account (OWASP
//! ASVS 5.0, 7.5). Such operations require that the session has presented its password a few minutes ago.

use sequent_core::{Principal, Timestamp};
use sequent_tables::{Label, Retry, Transaction, Update, Write, attribute, key};

use crate::{
    Error, Identity,
    account::{SignInRow, User},
    audit::{AuditAction, AuditEntry},
    password::Password,
    session::Session,
    sign_in::Guess,
    throttle::Lane,
};

/// The check that the password is still the one that was compared.
const PASSWORD: Label = Label::new("password");

/// A password and the one that replaces it.
#[expect(missing_docs, reason = "plain data")]
#[derive(Debug, Clone)]
pub struct PasswordChange {
    pub current: Password,
    pub new: Password,
}

impl Identity {
    /// Requires that the caller's session has presented the password recently. An API key has no password: its scopes
    /// alone decide.
    ///
    /// # Errors
    /// [`Error::ReauthenticationRequired`].
    pub async fn require_recent(&self, caller: &Principal, now: Timestamp) -> Result<(), Error> {
        let Some(session) = caller.session else { return Ok(()) };
        let row = key::session(caller.tenant, caller.user, session);
        let session: Option<Session> = self.store.get(&row).await?;
        let session = session.filter(|session| session.is_open(now)).ok_or(Error::InvalidCredential)?;
        let is_recent = now.since(session.authenticated_at) <= self.reauthenticate_after;
        if is_recent { Ok(()) } else { Err(Error::ReauthenticationRequired) }
    }

    /// Notes that the caller's session has presented the password.
    ///
    /// # Errors
    /// [`Error::WrongCredentials`] and [`Error::SlowDown`] as for a sign-in, [`Error::NoSession`] for an API key.
    pub async fn reauthenticate(
        &self,
        caller: &Principal,
        password: Password,
        now: Timestamp,
    ) -> Result<(), Error> {
        self.check_own_password(caller, password, now).await?;
        let session = caller.session.ok_or(Error::NoSession)?;
        let present = Update::of(&key::session(caller.tenant, caller.user, session))
            .set("authenticated_at", now)
            .when(attribute("id").is_present())
            .when(attribute("revoked_at").is_absent());
        if self.store.write_if(present).await? { Ok(()) } else { Err(Error::InvalidCredential) }
    }

    /// Replaces the caller's password and ends all other sessions.
    ///
    /// # Errors
    /// As [`reauthenticate`](Self::reauthenticate).
    pub async fn change_password(
        &self,
        caller: &Principal,
        change: PasswordChange,
        now: Timestamp,
    ) -> Result<(), Error> {
        let (user, row) = self.check_own_password(caller, change.current, now).await?;
        let entry = AuditEntry {
            session: caller.session,
            ..AuditEntry::new(AuditAction::PasswordChanged, user.id, now)
        };
        let password_hash = self.hasher.hash(change.new).await?;
        let replace = Update::of(&key::lookup::email(user.email.as_str()))
            .set("password_hash", password_hash)
            .when(attribute("password_hash").equals(row.password_hash));
        let transaction = Transaction::new()
            .write(replace)
            .label(PASSWORD)
            .write(Write::insert(entry.row(user.tenant_id)?));
        match self.store.commit(transaction, Retry::BRIEF).await {
            Ok(()) => self.end_sessions(user.tenant_id, user.id, caller.session, now).await,
            Err(cancelled) if cancelled.refused(PASSWORD) => Err(Error::Contended),
            Err(cancelled) => Err(cancelled.into()),
        }
    }

    /// Compares a password with that of the caller. The failures of each session are counted, so a copied session is no
    /// means of guessing.
    async fn check_own_password(
        &self,
        caller: &Principal,
        password: Password,
        now: Timestamp,
    ) -> Result<(User, SignInRow), Error> {
        let session = caller.session.ok_or(Error::NoSession)?;
        let user = self.user(caller.tenant, caller.user).await?.ok_or(Error::InvalidCredential)?;
        let guess = Guess { email: &user.email, password, lane: Lane::Session(session), address: None };
        let row = self.check_password(guess, now).await?;
        Ok((user, row))
    }
}
