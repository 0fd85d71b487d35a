//! Accounts: signing up, and the users.

use sequent_core::{TenantId, TenantTrust, Timestamp, UserId};
use sequent_tables::{Label, Retry, Row, Transaction, Write, attribute, key};
use serde::{Deserialize, Serialize};

use crate::{
    Admission, Error, Identity,
    audit::{AuditAction, AuditEntry},
    device::DeviceToken,
    email::Email,
    invitation::INVITATION,
    password::Password,
    session::{Device, Session},
    signed_in::SignedIn,
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
    /// The time at which the user proved to receive mail at the address. Absent if that has not happened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email_verified_at: Option<Timestamp>,
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
pub(crate) struct SignInRow {
    pub(crate) tenant: TenantId,
    pub(crate) user: UserId,
    pub(crate) password_hash: String,
    /// The number of times that the counts of wrong passwords were discarded.
    #[serde(default)]
    pub(crate) unlocks: u32,
    /// The time at which an administrator suspended the account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) suspended_at: Option<Timestamp>,
}

impl SignInRow {
    /// Requires that neither the password has been replaced nor the account suspended since the row was read.
    pub(crate) fn unchanged(&self, email: &Email) -> Write {
        Write::require(&key::lookup::email(email.as_str()))
            .when(attribute("password_hash").equals(&self.password_hash))
            .when(attribute("suspended_at").is_absent())
    }
}

/// The write that claims the address.
const ADDRESS: Label = Label::new("address");

#[derive(Serialize)]
struct Tenant {
    id: TenantId,
    name: String,
    created_at: Timestamp,
    trust: TenantTrust,
}

impl Identity {
    /// Creates an account as [`register`](Self::register) does, without an invitation.
    ///
    /// # Errors
    /// As [`register`](Self::register).
    pub async fn sign_up(
        &self,
        account: NewAccount,
        device: Device,
        now: Timestamp,
    ) -> Result<SignedIn, Error> {
        self.register(account, Admission::Open, device, now).await
    }

    /// Creates a tenant with its first user and a session, and uses up the invitation, in one transaction.
    ///
    /// # Errors
    /// [`Error::EmailTaken`], or [`Error::InvitationInvalid`] if another registration used the invitation meanwhile.
    /// Nothing is created then.
    pub async fn register(
        &self,
        account: NewAccount,
        admission: Admission,
        device: Device,
        now: Timestamp,
    ) -> Result<SignedIn, Error> {
        // The password is hashed even if the address is taken, so that the time does not reveal it.
        let password_hash = self.hasher.hash(account.password).await?;
        let user = User {
            id: UserId::new(),
            email: account.email,
            email_verified_at: None,
            name: account.name,
            tenant_id: TenantId::new(),
            created_at: now,
            role: UserRole::Owner,
        };
        let token = RefreshToken::generate()?;
        let known = DeviceToken::issue(self.vault.signing().await?.succession(), &user.email)?;
        let session = Session::open(user.tenant_id, user.id, device, &token, now);
        let trust = match &admission {
            Admission::Invited(_) => TenantTrust::Trusted,
            Admission::Open if self.sends_mail => TenantTrust::Unverified,
            Admission::Open => TenantTrust::Unverifiable,
        };
        let tenant = Tenant { id: user.tenant_id, name: user.name.clone(), created_at: now, trust };
        let row = SignInRow {
            tenant: user.tenant_id,
            user: user.id,
            password_hash,
            unlocks: 0,
            suspended_at: None,
        };
        let entry = AuditEntry {
            session: Some(session.id),
            address: session.address.clone(),
            ..AuditEntry::new(AuditAction::SignedUp, user.id, now)
        };
        let mut transaction = Transaction::new()
            .write(Write::insert(Row::new(&key::lookup::email(user.email.as_str()), &row)?))
            .label(ADDRESS)
            .write(Write::insert(Row::new(&key::tenant(tenant.id), &tenant)?))
            .write(Write::insert(Row::new(&key::user(user.tenant_id, user.id), &user)?))
            .write(Write::insert(session.row()?))
            .write(Write::insert(session.token_row(&token)?))
            .write(Write::insert(entry.row(user.tenant_id)?));
        if let Admission::Invited(invitation) = &admission {
            transaction = invitation.with_use(transaction, user.tenant_id, now)?;
        }
        match self.store.commit(transaction, Retry::BRIEF).await {
            Ok(()) => Ok(self.signed_in(user, session, token, now).await?.on(known)),
            Err(cancelled) if cancelled.refused(ADDRESS) => Err(Error::EmailTaken),
            Err(cancelled) if cancelled.refused(INVITATION) => Err(Error::InvitationInvalid),
            Err(cancelled) => Err(cancelled.into()),
        }
    }

    /// Reads a user of a tenant.
    ///
    /// # Errors
    /// If the table cannot be read.
    pub async fn user(&self, tenant: TenantId, user: UserId) -> Result<Option<User>, Error> {
        Ok(self.store.get(&key::user(tenant, user)).await?)
    }

    /// Reads the row that a sign-in with this address begins with.
    pub(crate) async fn sign_in_row(&self, email: &Email) -> Result<Option<SignInRow>, Error> {
        Ok(self.store.get(&key::lookup::email(email.as_str())).await?)
    }
}
