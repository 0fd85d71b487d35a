//! The end of a credential while the response to its request lasts.
//!
//! A credential is verified once, when the request begins. A stream can outlast it: the person signs out, or the operator
//! suspends the account. The stream therefore reads the row of the credential again and again.

use std::{fmt, sync::Arc, time::Duration};

use sequent_core::{Principal, Timestamp};
use sequent_identity::{Credential, CredentialRow, Identity};
use tokio::time::sleep;

/// The verified credential of a request.
#[derive(Clone)]
pub(crate) struct CredentialWatch {
    identity: Arc<Identity>,
    row: CredentialRow,
    /// The time between two reads.
    pause: Duration,
}

impl CredentialWatch {
    pub(crate) fn of(
        identity: &Arc<Identity>,
        credential: &Credential,
        caller: &Principal,
        pause: Duration,
    ) -> Option<Self> {
        let row = CredentialRow::of(credential, caller)?;
        Some(Self { identity: Arc::clone(identity), row, pause })
    }

    /// Returns when the credential is valid no longer. While its row cannot be read, it counts as valid: the table that has
    /// the row has the stream's log, too.
    pub(crate) async fn ended(self) {
        loop {
            sleep(self.pause).await;
            match self.identity.is_still_valid(&self.row, Timestamp::now()).await {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => tracing::warn!(%error, "could not check the credential of a stream; retrying"),
            }
        }
    }
}

impl fmt::Debug for CredentialWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CredentialWatch").finish_non_exhaustive()
    }
}
