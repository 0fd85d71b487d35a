//! The audit trail of a tenant: the changes of its accounts and credentials.

use sequent_core::{ApiKeyId, MicroCredits, PostingId, SessionId, TenantId, Timestamp, UserId};
use sequent_tables::{Error, Page, PageRequest, Row, key};
use serde::{Deserialize, Serialize};
use ulid::Ulid;

use crate::Identity;

/// The user in entries about the operator of the deployment.
const OPERATOR: UserId = UserId::from_bits(0);

/// A change that the trail records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum AuditAction {
    /// The account and its tenant were created.
    SignedUp,
    /// A user signed in with the password.
    SignedIn,
    /// The password was wrong several times.
    SignInFailures,
    /// A replaced refresh token was used, which ended its session.
    RefreshTokenReused,
    /// A session was ended by its user.
    SessionRevoked,
    /// An API key was created.
    ApiKeyCreated,
    /// An API key was revoked, by its tenant or because a session was copied.
    ApiKeyRevoked,
    /// The user replaced the password, which ended the other sessions.
    PasswordChanged,
    /// The user replaced a forgotten password, which ended all sessions.
    PasswordReset,
    /// The user proved to receive mail at the address.
    EmailVerified,
    /// The operator suspended the account, which ended its sessions.
    AccountSuspended,
    /// The operator reinstated the account.
    AccountReinstated,
    /// The operator discarded the counts of wrong passwords.
    PasswordUnlocked,
    /// The operator of the deployment sent a request with the admin key.
    OperatorRequest,
}

/// An entry of the trail.
#[expect(missing_docs, reason = "plain data")]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AuditEntry {
    pub action: AuditAction,
    pub at: Timestamp,
    pub user: UserId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_key: Option<ApiKeyId>,
    /// The number of wrong passwords.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u32>,
    /// The network address of the caller.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// The method and the route of a request of the operator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
}

impl AuditEntry {
    /// An entry about a user. The optional fields are empty.
    #[must_use]
    pub fn new(action: AuditAction, user: UserId, at: Timestamp) -> Self {
        Self { action, at, user, session: None, api_key: None, count: None, address: None, request: None }
    }

    /// An entry about a request of the operator, who is no user.
    #[must_use]
    pub fn of_operator(request: String, at: Timestamp) -> Self {
        Self { request: Some(request), ..Self::new(AuditAction::OperatorRequest, OPERATOR, at) }
    }

    /// The row of the entry.
    ///
    /// # Errors
    /// If it cannot be encoded.
    pub fn row(&self, tenant: TenantId) -> Result<Row, Error> {
        let key = key::audit(tenant, self.at, Ulid::generate());
        Ok(Row::new(&key, self)?.expires_at(self.at + key::AUDIT_KEPT))
    }
}

/// An entry of the trail as it is read. `action` says which of the optional fields it has.
///
/// The trail has entries of other crates, too: the billing of the tenant records movements of credits, and changes of its
/// plan and of a frozen account.
#[expect(missing_docs, reason = "plain data")]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RecordedEntry {
    /// The change, such as `signed_in` or `credits_granted`.
    pub action: String,
    pub at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<UserId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_key: Option<ApiKeyId>,
    /// The number of wrong passwords.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u32>,
    /// The network address of the caller.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// The posting of a movement of credits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub posting: Option<PostingId>,
    /// The credits that a movement added to the balance, in millionths.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<MicroCredits>,
    /// The cause of a movement of credits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Object>))]
    pub cause: Option<serde_json::Value>,
    /// The plan before a change of the plan, or the disputed object of a frozen account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// The plan after a change of the plan, or the reason for which an account was frozen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
}

impl Identity {
    /// Reads one page of a tenant's audit trail.
    ///
    /// # Errors
    /// If the table cannot be read.
    pub async fn audit_trail(&self, request: &PageRequest) -> Result<Page<RecordedEntry>, crate::Error> {
        Ok(self.store.page(request).await?)
    }
}
