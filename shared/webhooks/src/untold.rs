//! Events that could not be told when their rows changed. A message carries them, so that no other change waits for them.

use sequent_core::TenantId;
use serde::{Deserialize, Serialize};

use crate::WebhookEvent;

/// A message of the queue of jobs: events of a tenant that its webhooks are still to be told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "plain data")]
pub struct UntoldEvents {
    pub tenant_id: TenantId,
    pub events: Vec<WebhookEvent>,
}

impl UntoldEvents {
    /// Events of one message at most. An event has ids and small facts, so they fit.
    pub const AT_ONCE: usize = 20;

    /// Encodes the message as JSON.
    ///
    /// # Panics
    /// Never: an event is plain data.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("events are plain data")
    }

    /// Decodes a message. Returns `None` if it is of another kind.
    #[must_use]
    pub fn from_json(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }
}
