//! The tenant's audit trail: what happened to its accounts and credentials, for the people who answer for them.

use sequent_core::{ApiKeyId, SessionId, TenantId, Timestamp, UserId};
use sequent_tables::{Error, Row, key};
use serde::{Deserialize, Serialize};
use ulid::Ulid;

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// The account and its tenant were created.
    SignedUp,
    /// Somebody signed in with the password.
    SignedIn,
    /// The password was wrong several times in a row.
    SignInFailures,
    /// A replaced refresh token was presented; its session was ended.
    RefreshTokenReused,
    /// A session was ended by its user.
    SessionRevoked,
    /// An API key was created.
    ApiKeyCreated,
    /// An API key was revoked.
    ApiKeyRevoked,
}

/// An entry of the trail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// What happened.
    pub action: Action,
    /// When.
    pub at: Timestamp,
    /// Whose account it was.
    pub user: UserId,
    /// The session concerned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionId>,
    /// The API key concerned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_key: Option<ApiKeyId>,
    /// How often in a row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u32>,
    /// Network address of the caller.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
}

impl Entry {
    /// An entry about a user, to be completed with what else is known.
    #[must_use]
    pub fn new(action: Action, user: UserId, at: Timestamp) -> Self {
        Self { action, at, user, session: None, api_key: None, count: None, address: None }
    }

    /// The row that records it.
    ///
    /// # Errors
    /// When it cannot be encoded.
    pub fn row(&self, tenant: TenantId) -> Result<Row, Error> {
        let key = key::audit(tenant, self.at, Ulid::generate());
        Ok(Row::new(&key, self)?.expires_at(self.at + key::AUDIT_KEPT))
    }
}
