//! An invocation from its acceptance to its answer.

use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::reply::Reply;
use super::usage::{InvocationMeter, MeteredInvocation};

/// An invocation that waits for an instance, or is on one.
#[derive(Debug)]
pub(super) struct Assignment {
    pub(super) request_id: String,
    pub(super) event: Bytes,
    pub(super) trace_id: String,
    pub(super) reply: Option<oneshot::Sender<Reply>>,
    pub(super) delivered: Option<Instant>,
    meter: Arc<InvocationMeter>,
    at_work: Option<MeteredInvocation>,
    _permit: OwnedSemaphorePermit,
}

impl Assignment {
    pub(super) fn new(
        request_id: String,
        event: Bytes,
        reply: oneshot::Sender<Reply>,
        permit: OwnedSemaphorePermit,
        meter: Arc<InvocationMeter>,
    ) -> Self {
        let trace_id = format!("Root=1-{:08x}-{:024x};Sampled=0", now_ms() / 1000, fastrand::u128(..) >> 32);
        Self {
            request_id,
            event,
            trace_id,
            reply: Some(reply),
            delivered: None,
            meter,
            at_work: None,
            _permit: permit,
        }
    }

    /// Notes that an instance has it.
    pub(super) fn deliver(&mut self) {
        self.delivered = Some(Instant::now());
        self.at_work = Some(self.meter.begin());
    }

    /// Ends the invocation: returns its share of the concurrency, then answers.
    pub(super) fn finish(self, reply: Reply) {
        let Self { reply: sender, _permit, at_work, .. } = self;
        drop(at_work);
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
