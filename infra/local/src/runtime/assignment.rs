//! An invocation from its acceptance to its answer.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::reply::Reply;

/// An invocation that waits for an instance, or is on one.
#[derive(Debug)]
pub(super) struct Assignment {
    pub(super) request_id: String,
    pub(super) event: Bytes,
    pub(super) trace_id: String,
    pub(super) reply: Option<oneshot::Sender<Reply>>,
    pub(super) delivered: Option<Instant>,
    _permit: OwnedSemaphorePermit,
}

impl Assignment {
    pub(super) fn new(
        request_id: String,
        event: Bytes,
        reply: oneshot::Sender<Reply>,
        permit: OwnedSemaphorePermit,
    ) -> Self {
        let trace_id = format!("Root=1-{:08x}-{:024x};Sampled=0", now_ms() / 1000, fastrand::u128(..) >> 32);
        Self { request_id, event, trace_id, reply: Some(reply), delivered: None, _permit: permit }
    }

    /// Ends the invocation: returns its share of the concurrency, then answers.
    pub(super) fn finish(self, reply: Reply) {
        let Self { reply: sender, _permit, .. } = self;
        drop(_permit);
        if let Some(sender) = sender {
            // Fails if the caller has left, which is fine.
            let _ = sender.send(reply);
        }
    }
}

/// Returns the time in milliseconds since the epoch.
pub(super) fn now_ms() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis()
}
