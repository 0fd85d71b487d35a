//! Accounts: signing up, signing in, and what is known of a user.

use sequent_core::{TenantId, Timestamp, UserId};
use sequent_tables::{Change, Row, Transaction, key};
use serde::{Deserialize, Serialize};

use crate::{
    Error, Identity,
    audit::{Action, Entry},
    commit::commit,
    email::Email,
    password::{Password, Verdict},
    session::{Device, Session},
    signed_in::SignedIn,
    throttle::Attempt,
    token::RefreshToken,
};

/// What a user may do in the tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum UserRole {
    /// Made the tenant by signing up.
    Owner,
}

/// A user, as stored and as shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct User {
    /// Id of the user.
    pub id: UserId,
    /// Sign-in name.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = "email"))]
    pub email: Email,
    /// What to call them.
    pub name: String,
    /// Their tenant.
    pub tenant_id: TenantId,
    /// When they signed up.
    pub created_at: Timestamp,
    /// What they may do.
    pub role: UserRole,
}

/// Who wants an account. The password was checked when the type was made.
#[derive(Debug, Clone)]
pub struct NewAccount {
    /// Sign-in name.
    pub email: Email,
    /// Password.
    pub password: Password,
    /// What to call them.
    pub name: String,
}

/// The row a sign-in starts from: found by the address, before any tenant is known.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Credential {
    tenant: TenantId,
    user: UserId,
    password_hash: String,
}

#[derive(Serialize)]
struct Tenant {
    id: TenantId,
    name: String,
    created_at: Timestamp,
}

impl Identity {
    /// Creates a tenant with its first user and signs them in, all in one transaction.
    ///
    /// # Errors
    /// [`Error::EmailTaken`]; nothing was created then.
    pub async fn sign_up(
        &self,
        account: NewAccount,
        device: Device,
        now: Timestamp,
    ) -> Result<SignedIn, Error> {
        // Hashed whether or not the address is free, so that the time taken does not tell.
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
        let entry = Entry {
            session: Some(session.id),
            address: session.address.clone(),
            ..Entry::new(Action::SignedUp, user.id, now)
        };
        let store = &self.store;
        let transaction = Transaction::new()
            .insert(store, Row::new(&key::lookup::email(user.email.as_str()), &credential)?)
            .insert(store, Row::new(&key::tenant(tenant.id), &tenant)?)
            .insert(store, Row::new(&key::user(user.tenant_id, user.id), &user)?)
            .insert(store, session.row()?)
            .insert(store, session.place_row(&token)?)
            .insert(store, entry.row(user.tenant_id)?);
        match commit(store, transaction, &session.key()).await {
            Ok(()) => self.signed_in(user, session, token, now).await,
            Err(cancelled) if cancelled.condition_failed(0) => Err(Error::EmailTaken),
            Err(cancelled) => Err(cancelled.into()),
        }
    }

    /// Opens a session for whoever knows the password of `email`.
    ///
    /// # Errors
    /// [`Error::WrongCredentials`] whether the address or the password is wrong, after the same work;
    /// [`Error::SlowDown`] and [`Error::Locked`] after too many of them.
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
        let entry = Entry {
            session: Some(session.id),
            address: session.address.clone(),
            ..Entry::new(Action::SignedIn, user.id, now)
        };
        let transaction = Transaction::new()
            .insert(store, session.row()?)
            .insert(store, session.place_row(&token)?)
            .insert(store, entry.row(user.tenant_id)?);
        commit(store, transaction, &session.key()).await?;
        self.signed_in(user, session, token, now).await
    }

    /// A user of a tenant.
    ///
    /// # Errors
    /// When the table cannot be read.
    pub async fn user(&self, tenant: TenantId, user: UserId) -> Result<Option<User>, Error> {
        Ok(self.store.get(&key::user(tenant, user)).await?)
    }

    /// Every tenth wrong password in a row goes into the trail: often enough to be seen, seldom enough not to let a
    /// stranger fill it.
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
            let entry = Entry {
                count: Some(attempt.number),
                address: device.address,
                ..Entry::new(Action::SignInFailures, credential.user, now)
            };
            self.store.insert(entry.row(credential.tenant)?).await?;
        }
        Ok(())
    }

    /// Replaces a hash of former parameters, unless somebody else just did.
    async fn rehash(&self, email: &Email, credential: &Credential, password: Password) -> Result<(), Error> {
        use aws_sdk_dynamodb::types::AttributeValue::S;
        let change = Change {
            update: "SET password_hash = :new".to_owned(),
            condition: Some("password_hash = :old".to_owned()),
            names: Vec::new(),
            values: vec![
                (":new", S(self.hasher.hash(password).await?)),
                (":old", S(credential.password_hash.clone())),
            ],
        };
        let update = Transaction::new().update(&self.store, &key::lookup::email(email.as_str()), change);
        match update.run(&self.store).await {
            Ok(()) => Ok(()),
            // The sign-in does not depend on it, and the next one tries again.
            Err(cancelled) if cancelled.condition_failed(0) || cancelled.is_transient() => Ok(()),
            Err(cancelled) => Err(cancelled.into()),
        }
    }
}
