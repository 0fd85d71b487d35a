//! Segments: the units of writing.

use std::fmt;

use sequent_core::{RunId, TenantId, Timestamp};
use sequent_event::{Body, Entry, Event, Seq};
use ulid::Ulid;

/// Limit of the events of a segment.
pub const MAX_EVENTS: usize = 64;

/// Limit of the size of a segment's encoded events, in bytes. DynamoDB allows 400 KB per item. Half of that
/// leaves room for the other items of a transaction within its limit of 4 MB.
pub const MAX_BYTES: usize = 200_000;

/// The key of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "plain data")]
pub struct LogKey {
    pub tenant: TenantId,
    pub run: RunId,
}

/// The id of a process that appends. Every claim uses a new one, so that two claims by one process differ.
#[derive(Clone, PartialEq, Eq)]
pub struct WriterId(pub String);

impl WriterId {
    /// Generates a random id.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "a default id would hide that it is random")]
    pub fn new() -> Self {
        Self(Ulid::generate().to_string())
    }
}

impl fmt::Debug for WriterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Consecutive events that one write stores. A stored segment never changes.
#[derive(Debug, Clone, PartialEq)]
pub struct Segment {
    /// The position of the first event.
    pub first: Seq,
    /// The process that wrote the segment.
    pub writer: WriterId,
    /// The id of this batch of events across retries. A conflict with a stored segment of the same batch
    /// means that an earlier attempt of ours succeeded.
    pub batch: String,
    /// The epoch of the owner that wrote the segment, or 0 for control events, which every authorised caller
    /// may append.
    pub epoch: u32,
    /// The time of the write, by its writer's clock.
    pub at: Timestamp,
    /// The events, never empty.
    pub entries: Vec<Entry>,
}

impl Segment {
    /// Creates a segment with a new batch id. All events get the time `at`.
    pub(crate) fn new(
        first: Seq,
        writer: WriterId,
        epoch: u32,
        at: Timestamp,
        bodies: impl IntoIterator<Item = Body>,
    ) -> Self {
        let entries = bodies.into_iter().map(|body| Entry::new(at, body)).collect();
        Self { first, writer, batch: WriterId::new().0, epoch, at, entries }
    }

    /// The position of the last event.
    #[must_use]
    pub fn last(&self) -> Seq {
        self.first.plus(self.entries.len() as u64 - 1)
    }

    /// The events with their positions.
    pub fn events(&self) -> impl Iterator<Item = Event> + '_ {
        self.entries.iter().zip(self.first.0..).map(|(entry, seq)| entry.clone().at_seq(Seq(seq)))
    }

    /// Returns `true` if a log that ends with this segment is closed.
    #[must_use]
    pub fn leaves_closed(&self) -> bool {
        self.entries.last().and_then(Entry::body).is_some_and(Body::leaves_closed)
    }

    /// Returns `true` if a log that ends with this segment is closed because its run waits for people.
    #[must_use]
    pub fn waits_for_people(&self) -> bool {
        self.entries.last().and_then(Entry::body).is_some_and(Body::waits_for_people)
    }
}
