//! Invitations: codes with which one account each can be created while registration is not open.
//!
//! A code consists of the id of its invitation and 256 random bits. Only its SHA-256 is stored. The transaction that
//! creates an account marks the invitation as used, under the condition that it was unused: of many registrations with
//! one code, one succeeds.

use std::time::Duration;

use sequent_core::{ExposeSecret, InvitationId, SecretString, TenantId, Timestamp};
use sequent_tables::{
    Label, Page, PageRequest, Retry, Row, Store, Transaction, Update, Write, attribute, exists, key,
};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;
use ulid::Ulid;

use crate::{Error, email::Email, token::InvitationSecret};

/// The longest time for which an invitation can be used.
pub const LONGEST: Duration = Duration::from_secs(90 * 24 * 3600);
/// The time for which a setup code can be used.
pub const SETUP_LIFETIME: Duration = Duration::from_secs(24 * 3600);
/// The time for which the list shows an invitation that can no longer be used.
const KEPT: Duration = Duration::from_secs(90 * 24 * 3600);

/// The write that uses up an invitation.
pub(crate) const INVITATION: Label = Label::new("invitation");

/// The kind of an invitation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum InvitationKind {
    /// A setup code. It works while registration is closed, too.
    Setup,
    /// An invitation that was created with the API.
    Guest,
}

/// An invitation, as stored.
#[expect(missing_docs, reason = "plain data")]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invitation {
    pub id: InvitationId,
    pub kind: InvitationKind,
    /// The only address that can register with it. Any address if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<Email>,
    pub created_at: Timestamp,
    pub valid_until: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used_at: Option<Timestamp>,
    /// The tenant whose account was created with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used_by: Option<TenantId>,
    /// The SHA-256 of the code's secret part.
    digest: String,
}

/// An invitation to create.
#[expect(missing_docs, reason = "plain data")]
#[derive(Debug, Clone)]
pub struct NewInvitation {
    pub kind: InvitationKind,
    pub email: Option<Email>,
    pub lifetime: Duration,
}

/// The code of an invitation, for the response that issues it.
#[derive(Debug, Clone)]
pub struct InvitationCode(SecretString);

impl InvitationCode {
    /// Returns the code as it is sent.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

/// An entry about an invitation in the audit trail of the deployment.
#[derive(Serialize)]
struct InvitationEntry {
    action: &'static str,
    at: Timestamp,
    invitation: InvitationId,
    kind: InvitationKind,
    #[serde(skip_serializing_if = "Option::is_none")]
    used_by: Option<TenantId>,
}

impl Invitation {
    /// Creates an invitation. Its code is not stored, only its hash.
    ///
    /// # Errors
    /// If the table or the random generator fails.
    pub async fn create(
        store: &Store,
        new: NewInvitation,
        now: Timestamp,
    ) -> Result<(Self, InvitationCode), Error> {
        let secret = InvitationSecret::generate()?;
        let invitation = Self {
            id: InvitationId::new(),
            kind: new.kind,
            email: new.email,
            created_at: now,
            valid_until: now + new.lifetime.min(LONGEST),
            used_at: None,
            used_by: None,
            digest: secret.digest(),
        };
        let row = Row::new(&key::invitation(invitation.id), &invitation)?;
        let transaction = Transaction::new()
            .write(Write::insert(row.expires_at(invitation.valid_until + KEPT)))
            .write(Write::insert(invitation.entry("invitation_created", now)?));
        store.commit(transaction, Retry::BRIEF).await?;
        let code = format!("{}{}", invitation.id, secret.expose());
        Ok((invitation, InvitationCode(code.into())))
    }

    /// Reads one page of the invitations, newest first.
    ///
    /// # Errors
    /// If the table cannot be read.
    pub async fn list(store: &Store, request: &PageRequest) -> Result<Page<Self>, Error> {
        Ok(store.page(request).await?)
    }

    /// Revokes an invitation that is not used.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is no such invitation, or it is used.
    pub async fn revoke(store: &Store, id: InvitationId, now: Timestamp) -> Result<(), Error> {
        let key = key::invitation(id);
        let found: Option<Self> = store.get(&key).await?;
        let invitation = found.ok_or(Error::NotFound)?;
        let is_unused = exists().and(attribute("used_at").is_none());
        let transaction = Transaction::new()
            .write(Write::delete(&key).when(is_unused))
            .label(INVITATION)
            .write(Write::insert(invitation.entry("invitation_revoked", now)?));
        match store.commit(transaction, Retry::BRIEF).await {
            Ok(()) => Ok(()),
            Err(cancelled) if cancelled.refused(INVITATION) => Err(Error::NotFound),
            Err(cancelled) => Err(cancelled.into()),
        }
    }

    /// Finds the invitation with this code, if an account with the address `email` can be created with it.
    ///
    /// # Errors
    /// [`Error::InvitationInvalid`], or an error of the table.
    pub(crate) async fn find(
        store: &Store,
        code: &SecretString,
        email: &Email,
        now: Timestamp,
    ) -> Result<Self, Error> {
        let code = code.expose_secret().trim();
        let start = code.find(InvitationSecret::PREFIX).ok_or(Error::InvitationInvalid)?;
        let (id, secret) = code.split_at(start);
        let id: InvitationId = id.parse().map_err(|_| Error::InvitationInvalid)?;
        let secret = InvitationSecret::parse(secret).ok_or(Error::InvitationInvalid)?;
        let found: Option<Self> = store.get(&key::invitation(id)).await?;
        found.filter(|found| found.accepts(&secret, email, now)).ok_or(Error::InvitationInvalid)
    }

    fn accepts(&self, secret: &InvitationSecret, email: &Email, now: Timestamp) -> bool {
        let is_its_code: bool = self.digest.as_bytes().ct_eq(secret.digest().as_bytes()).into();
        let is_open = self.used_at.is_none() && now < self.valid_until;
        is_its_code && is_open && self.email.as_ref().is_none_or(|bound| bound == email)
    }

    /// Adds the writes that use up the invitation.
    pub(crate) fn with_use(
        &self,
        transaction: Transaction,
        tenant: TenantId,
        now: Timestamp,
    ) -> Result<Transaction, Error> {
        let used = Update::of(&key::invitation(self.id))
            .set("used_at", now)
            .set("used_by", tenant)
            .when(attribute("digest").equals(&self.digest))
            .when(attribute("used_at").is_none());
        let entry = InvitationEntry { used_by: Some(tenant), ..self.new_entry("invitation_used", now) };
        Ok(transaction.write(used).label(INVITATION).write(Write::insert(entry.row()?)))
    }

    fn entry(&self, action: &'static str, at: Timestamp) -> Result<Row, Error> {
        self.new_entry(action, at).row()
    }

    fn new_entry(&self, action: &'static str, at: Timestamp) -> InvitationEntry {
        InvitationEntry { action, at, invitation: self.id, kind: self.kind, used_by: None }
    }
}

impl InvitationEntry {
    fn row(&self) -> Result<Row, Error> {
        let key = key::audit(TenantId::SYSTEM, self.at, Ulid::generate());
        Ok(Row::new(&key, self)?.expires_at(self.at + key::AUDIT_KEPT))
    }
}
