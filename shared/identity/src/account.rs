//! Accounts: signing up, signing in, and the users.

use sequent_core::{TenantId, Timestamp, UserId};
use sequent_tables::{Label, Retry, Row, Transaction, Update, Write, attribute, key};
use serde::{Deserialize, Serialize};

use crate::{
    Error, Identity,
    audit::{Action, AuditEntry},
    email::Email,
    password::{Password, Verdict},
    session::{Device, Session},
    signed_in::SignedIn,
    throttle::Attempt,
    token::RefreshToken,
};

/// The permissions of a user in the tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum UserRole {
    /// The user who created the tenant by signing up.
    Owner,
}

/// A user, as stored and as shown.
#[expect(missing_docs, reason = "plain data")]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct User {
    pub id: UserId,
    /// The address to sign in with.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = "email"))]
    pub email: Email,
    pub name: String,
    pub tenant_id: TenantId,
    pub created_at: Timestamp,
    pub role: UserRole,
}

/// A new account. Its address and password are valid by their types.
#[expect(missing_docs, reason = "plain data")]
#[derive(Debug, Clone)]
pub struct NewAccount {
    pub email: Email,
    pub password: Password,
    pub name: String,
}

/// The row that a sign-in begins with. It is found by the address, before the tenant is known.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Credential {
    tenant: TenantId,
    user: UserId,
    password_hash: String,
}

/// The write that claims the address.
const ADDRESS: Label = Label::new("address");

#[derive(Serialize)]
struct Tenant {
    id: TenantId,
    name: String,
    created_at: Timestamp,
}

impl Identity {
    /// Creates a tenant with its first user and a session, in one transaction.
    ///
    /// # Errors
    /// [`Error::EmailTaken`]. Nothing is created then.
    pub async fn sign_up(
        &self,
        account: NewAccount,
        device: Device,
        now: Timestamp,
    ) -> Result<SignedIn, Error> {
        // The password is hashed even if the address is taken, so that the time does not reveal it.
        let password_hash = self.hasher.hash(account.password).await?;
        let user = User {
            id: UserId::new(),
            email: account.email,
            name: account.name,
            tenant_id: TenantId::new(),
            created_at: now,
            role: UserRole::Owner,
        };
        let token = RefreshToken::generate()?;
        let session = Session::open(user.tenant_id, user.id, device, &token, now);
        let tenant = Tenant { id: user.tenant_id, name: user.name.clone(), created_at: now };
        let credential = Credential { tenant: user.tenant_id, user: user.id, password_hash };
        let entry = AuditEntry {
            session: Some(session.id),
            address: session.address.clone(),
            ..AuditEntry::new(Action::SignedUp, user.id, now)
        };
        let transaction = Transaction::new()
            .write(Write::insert(Row::new(&key::lookup::email(user.email.as_str()), &credential)?))
            .label(ADDRESS)
            .write(Write::insert(Row::new(&key::tenant(tenant.id), &tenant)?))
            .write(Write::insert(Row::new(&key::user(user.tenant_id, user.id), &user)?))
            .write(Write::insert(session.row()?))
            .write(Write::insert(session.token_row(&token)?))
            .write(Write::insert(entry.row(user.tenant_id)?));
        match self.store.commit(transaction, Retry::BRIEF).await {
            Ok(()) => self.signed_in(user, session, token, now).await,
            Err(cancelled) if cancelled.refused(ADDRESS) => Err(Error::EmailTaken),
            Err(cancelled) => Err(cancelled.into()),
        }
    }

    /// Opens a session, if the password is that of `email`.
    ///
    /// # Errors
    /// [`Error::WrongCredentials`] if the address or the password is wrong. The work is the same in both cases.
    /// [`Error::SlowDown`] and [`Error::Locked`] after too many wrong passwords.
    pub async fn sign_in(
        &self,
        email: &Email,
        password: Password,
        device: Device,
        now: Timestamp,
    ) -> Result<SignedIn, Error> {
        let store = &self.store;
        let attempt = Attempt::begin(store, email, now).await?;
        let credential: Option<Credential> = store.get(&key::lookup::email(email.as_str())).await?;
        let hash = credential.as_ref().map(|credential| credential.password_hash.as_str());
        let verdict = self.hasher.verify(password.clone(), hash).await?;
        let Some(credential) = credential.as_ref().filter(|_| verdict != Verdict::Wrong) else {
            self.note_failures(&attempt, credential.as_ref(), device, now).await?;
            attempt.fail(store, now).await?;
            return Err(Error::WrongCredentials);
        };
        attempt.forgive(store).await?;
        let user = self.user(credential.tenant, credential.user).await?.ok_or(Error::WrongCredentials)?;
        if verdict == Verdict::Outdated {
            self.rehash(email, credential, password).await?;
        }
        let token = RefreshToken::generate()?;
        let session = Session::open(user.tenant_id, user.id, device, &token, now);
        let entry = AuditEntry {
            session: Some(session.id),
            address: session.address.clone(),
            ..AuditEntry::new(Action::SignedIn, user.id, now)
        };
        let transaction = Transaction::new()
            .write(Write::insert(session.row()?))
            .write(Write::insert(session.token_row(&token)?))
            .write(Write::insert(entry.row(user.tenant_id)?));
        store.commit(transaction, Retry::BRIEF).await?;
        self.signed_in(user, session, token, now).await
    }

    /// Reads a user of a tenant.
    ///
    /// # Errors
    /// If the table cannot be read.
    pub async fn user(&self, tenant: TenantId, user: UserId) -> Result<Option<User>, Error> {
        Ok(self.store.get(&key::user(tenant, user)).await?)
    }

    /// Records every tenth wrong password in a row in the audit trail. That is visible, and a stranger cannot fill the
    /// trail.
    async fn note_failures(
        &self,
        attempt: &Attempt,
        credential: Option<&Credential>,
        device: Device,
        now: Timestamp,
    ) -> Result<(), Error> {
        if let Some(credential) = credential
            && attempt.number.is_multiple_of(10)
        {
            let entry = AuditEntry {
                count: Some(attempt.number),
                address: device.address,
                ..AuditEntry::new(Action::SignInFailures, credential.user, now)
            };
            self.store.insert(entry.row(credential.tenant)?).await?;
        }
        Ok(())
    }

    /// Replaces a hash that was made with former parameters, unless another sign-in has replaced it.
    async fn rehash(&self, email: &Email, credential: &Credential, password: Password) -> Result<(), Error> {
        let update = Update::of(&key::lookup::email(email.as_str()))
            .set("password_hash", self.hasher.hash(password).await?)
            .when(attribute("password_hash").equals(&credential.password_hash));
        match self.store.write_if(update).await {
            Ok(_) => Ok(()),
            // The sign-in does not depend on it, and the next one tries again.
            Err(error) if error.is_transient() => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}
