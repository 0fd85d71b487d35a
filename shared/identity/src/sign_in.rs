//! Signing in: comparing a password within the limits on guesses, and opening a session.

use sequent_core::Timestamp;
use sequent_tables::{Label, Retry, Transaction, Update, Write, attribute, key};

use crate::{
    Error, Identity,
    account::SignInRow,
    audit::{AuditAction, AuditEntry},
    device::DeviceToken,
    email::Email,
    password::{Password, Verdict},
    session::{Device, Session},
    signed_in::SignedIn,
    throttle::{Attempt, GuardedAccount, Lane},
    token::RefreshToken,
};

/// The check that the password is still the one that was compared.
const UNCHANGED: Label = Label::new("unchanged");

/// A password that a client presents.
#[derive(Debug)]
pub(crate) struct Guess<'a> {
    pub(crate) email: &'a Email,
    pub(crate) password: Password,
    pub(crate) lane: Lane,
    /// The network address of the client, for the audit trail.
    pub(crate) address: Option<String>,
}

impl Identity {
    /// Opens a session, if the password is that of `email`.
    ///
    /// # Errors
    /// [`Error::WrongCredentials`] if the address or the password is wrong. The work is the same in both cases.
    /// [`Error::SlowDown`] after too many wrong passwords. [`Error::Suspended`] if the password is right but the account
    /// is suspended.
    pub async fn sign_in(
        &self,
        email: &Email,
        password: Password,
        device: Device,
        now: Timestamp,
    ) -> Result<SignedIn, Error> {
        let keys = self.vault.signing().await?;
        let devices = keys.succession();
        let known = device.token.as_ref().and_then(|text| DeviceToken::verify(devices, email, text));
        let lane = known.clone().map_or_else(|| Lane::Network(device.network()), Lane::Device);
        let guess = Guess { email, password, lane, address: device.address.clone() };
        let row = self.check_password(guess, now).await?;
        if row.suspended_at.is_some() {
            return Err(Error::Suspended);
        }
        let known = match known {
            Some(known) => known,
            None => DeviceToken::issue(devices, email)?,
        };
        let user = self.user(row.tenant, row.user).await?.ok_or(Error::WrongCredentials)?;
        let token = RefreshToken::generate()?;
        let session = Session::open(user.tenant_id, user.id, device, &token, now);
        let entry = AuditEntry {
            session: Some(session.id),
            address: session.address.clone(),
            ..AuditEntry::new(AuditAction::SignedIn, user.id, now)
        };
        let transaction = Transaction::new()
            .write(row.unchanged(email))
            .label(UNCHANGED)
            .write(Write::insert(session.row()?))
            .write(Write::insert(session.token_row(&token)?))
            .write(Write::insert(entry.row(user.tenant_id)?));
        match self.store.commit(transaction, Retry::BRIEF).await {
            Ok(()) => Ok(self.signed_in(user, session, token, now).await?.on(known)),
            Err(cancelled) if cancelled.refused(UNCHANGED) => Err(Error::Contended),
            Err(cancelled) => Err(cancelled.into()),
        }
    }

    /// Compares a password within the limits on guesses, and returns the row of its account. A hash that was made with
    /// former parameters is replaced.
    ///
    /// # Errors
    /// [`Error::WrongCredentials`] and [`Error::SlowDown`].
    pub(crate) async fn check_password(&self, guess: Guess<'_>, now: Timestamp) -> Result<SignInRow, Error> {
        let Guess { email, password, lane, address } = guess;
        let row = self.sign_in_row(email).await?;
        let account = GuardedAccount { email, unlocks: row.as_ref().map_or(0, |row| row.unlocks) };
        let attempt = Attempt::begin(&self.store, account, &lane, now).await?;
        let hash = row.as_ref().map(|row| row.password_hash.as_str());
        let verdict = self.hasher.verify(password.clone(), hash).await?;
        match row {
            Some(row) if verdict != Verdict::Wrong => {
                attempt.forgive(&self.store).await?;
                if verdict == Verdict::Outdated { self.rehash(email, row, password).await } else { Ok(row) }
            }
            row => {
                let failures = attempt.fail(&self.store, now).await?;
                self.note_failures(failures, row.as_ref(), address, now).await?;
                Err(Error::WrongCredentials)
            }
        }
    }

    /// Records every tenth wrong password in the audit trail. That is visible, and a stranger cannot fill the trail.
    async fn note_failures(
        &self,
        failures: u32,
        row: Option<&SignInRow>,
        address: Option<String>,
        now: Timestamp,
    ) -> Result<(), Error> {
        if let Some(row) = row
            && failures.is_multiple_of(10)
        {
            let entry = AuditEntry {
                count: Some(failures),
                address,
                ..AuditEntry::new(AuditAction::SignInFailures, row.user, now)
            };
            self.store.insert(entry.row(row.tenant)?).await?;
        }
        Ok(())
    }

    /// Replaces a hash that was made with former parameters, unless the password has been replaced meanwhile.
    async fn rehash(&self, email: &Email, row: SignInRow, password: Password) -> Result<SignInRow, Error> {
        let password_hash = self.hasher.hash(password).await?;
        let update = Update::of(&key::lookup::email(email.as_str()))
            .set("password_hash", &password_hash)
            .when(attribute("password_hash").equals(&row.password_hash));
        match self.store.write_if(update).await {
            Ok(true) => Ok(SignInRow { password_hash, ..row }),
            Ok(false) => Err(Error::Contended),
            // The sign-in does not depend on it, and the next one tries again.
            Err(error) if error.is_transient() => Ok(row),
            Err(error) => Err(error.into()),
        }
    }
}
