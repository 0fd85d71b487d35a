//! What one write stores.

use std::fmt;

use sequent_core::{RunId, TenantId, Timestamp};
use sequent_event::{Body, Entry, Event, Seq};
use ulid::Ulid;

/// Most events of a segment.
pub const MAX_EVENTS: usize = 64;

/// Most bytes of a segment's encoded events. DynamoDB allows 400 KB an item; half of that leaves room for a
/// transaction's other items within its 4 MB.
pub const MAX_BYTES: usize = 200_000;

/// Which log: a run of a tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogKey {
    /// Whose run it is.
    pub tenant: TenantId,
    /// The run.
    pub run: RunId,
}

/// Names a process that appends. Every claim uses a fresh one, so two claims by one process are told apart.
#[derive(Clone, PartialEq, Eq)]
pub struct WriterId(pub String);

impl WriterId {
    /// A fresh id.
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

/// Consecutive events stored by one write. Never changed once stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Segment {
    /// Position of its first event.
    pub first: Seq,
    /// Who wrote it.
    pub writer: WriterId,
    /// Names this batch of events across retries: a conflict with a stored segment of the same batch is our own
    /// earlier success.
    pub batch: String,
    /// The epoch of the owner that wrote it, or 0 for a control event, which anyone authorised may append.
    pub epoch: u32,
    /// When it was written, by its writer's clock.
    pub at: Timestamp,
    /// The events, never empty.
    pub entries: Vec<Entry>,
}

impl Segment {
    /// A new batch of events that all happened at `at`.
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

    /// Position of its last event.
    #[must_use]
    pub fn last(&self) -> Seq {
        self.first.plus(self.entries.len() as u64 - 1)
    }

    /// Its events with their positions.
    pub fn events(&self) -> impl Iterator<Item = Event> + '_ {
        self.entries.iter().zip(self.first.0..).map(|(entry, seq)| entry.clone().at_seq(Seq(seq)))
    }

    /// Whether a log that ends with it is closed.
    #[must_use]
    pub fn leaves_closed(&self) -> bool {
        self.entries.last().and_then(Entry::body).is_some_and(Body::leaves_closed)
    }

    /// Whether a log that ends with it is closed because its run waits for people.
    #[must_use]
    pub fn waits_for_people(&self) -> bool {
        self.entries.last().and_then(Entry::body).is_some_and(Body::waits_for_people)
    }
}
