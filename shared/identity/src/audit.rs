//! The audit trail of a tenant: the changes of its accounts and credentials.

use sequent_core::{ApiKeyId, SessionId, TenantId, Timestamp, UserId};
use sequent_tables::{Error, Row, key};
use serde::{Deserialize, Serialize};
use ulid::Ulid;

/// A change that the trail records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// The account and its tenant were created.
    SignedUp,
    /// A user signed in with the password.
    SignedIn,
    /// The password was wrong several times in a row.
    SignInFailures,
    /// A replaced refresh token was used, which ended its session.
    RefreshTokenReused,
    /// A session was ended by its user.
    SessionRevoked,
    /// An API key was created.
    ApiKeyCreated,
    /// An API key was revoked.
    ApiKeyRevoked,
}

/// An entry of the trail.
#[expect(missing_docs, reason = "plain data")]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEntry {
    pub action: Action,
    pub at: Timestamp,
    pub user: UserId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_key: Option<ApiKeyId>,
    /// The number of wrong passwords in a row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u32>,
    /// The network address of the caller.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
}

impl AuditEntry {
    /// An entry about a user. The optional fields are empty.
    #[must_use]
    pub fn new(action: Action, user: UserId, at: Timestamp) -> Self {
        Self { action, at, user, session: None, api_key: None, count: None, address: None }
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
