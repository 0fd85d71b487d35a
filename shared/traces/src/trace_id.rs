//! The ids of traces and spans: functions of a run's id and of a position in its log.

use std::fmt;

use sequent_core::RunId;
use sequent_event::Seq;
use serde::{Serialize, Serializer};
use sha2::{Digest, Sha256};

/// The id of a trace: that of the run at its top, whose last 80 bits are random, as W3C Trace Context recommends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceId(u128);

/// The id of a span.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SpanId(u64);

impl TraceId {
    /// The trace of a run that no other run has started.
    #[must_use]
    pub const fn of(run: RunId) -> Self {
        Self(run.bits())
    }
}

impl SpanId {
    /// The span that begins, or is recorded, with this event of the run's log. [`Seq::START`] is the span of the run that
    /// waits for this one.
    #[must_use]
    pub fn of(run: RunId, seq: Seq) -> Self {
        let hash = Sha256::digest([&run.bits().to_be_bytes()[..], &seq.0.to_be_bytes()].concat());
        let (head, _) = hash.split_first_chunk::<8>().expect("a SHA-256 digest has 32 bytes");
        // A span id of zeros is invalid.
        Self(u64::from_be_bytes(*head).max(1))
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// OTLP's JSON has ids as hexadecimal digits, and not as the Base64 of other bytes.
impl Serialize for TraceId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Serialize for SpanId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
