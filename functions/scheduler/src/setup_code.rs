//! Setup codes, with which the operator creates accounts while registration is closed.
//!
//! The operator invokes the function by hand, and AWS IAM authorises the call, so no other secret is needed. If a code is
//! lost, the operator creates another one.

use std::fmt;

use sequent_core::Timestamp;
use sequent_identity::{
    Error,
    invitation::{Invitation, InvitationKind, NewInvitation, SETUP_LIFETIME},
};
use sequent_tables::Store;
use serde::Serialize;

/// A code with which one account can be created within a day.
#[derive(Clone, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "plain data")]
pub struct SetupCode {
    /// To be sent as `invitation` when registering.
    pub code: String,
    pub expires_at: Timestamp,
}

impl SetupCode {
    /// Creates a code.
    ///
    /// # Errors
    /// Returns an error if the table or the random generator fails.
    pub async fn create(store: &Store, now: Timestamp) -> Result<Self, Error> {
        let new = NewInvitation { kind: InvitationKind::Setup, email: None, lifetime: SETUP_LIFETIME };
        let (invitation, code) = Invitation::create(store, new, now).await?;
        Ok(Self { code: code.expose().to_owned(), expires_at: invitation.valid_until })
    }
}

impl fmt::Debug for SetupCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SetupCode").field("expires_at", &self.expires_at).finish_non_exhaustive()
    }
}
