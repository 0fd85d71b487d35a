//! The end of a stored log as chunks of the AI SDK's UI message stream.

use std::collections::VecDeque;

use sequent_event::{Event, Seq};
use sequent_protocol::ui_message::{Chunk, Projector, StartIndex};
use sequent_runlog::Segment;

/// The last chunks of a log, from which a stream goes on without reading the log again.
pub(crate) struct StoredTail {
    /// The projector of the events before the last one.
    pub(crate) projector: Projector,
    /// Chunks of the whole stream that are not sent.
    pub(crate) skip: u64,
    /// The chunks before those of the last event, without the first `skip`.
    pub(crate) opening: Vec<Chunk>,
    /// The position before the last event. The stream reads that event again, because it may close the log.
    pub(crate) after: Seq,
    /// Number of chunks of all events.
    pub(crate) stored: u64,
}

impl StoredTail {
    /// Projects a log, from its beginning. `start` counts the chunks from its end.
    pub(crate) fn of(mut projector: Projector, segments: Vec<Segment>, start: StartIndex) -> Self {
        let mut events: VecDeque<Event> = segments.iter().flat_map(Segment::events).collect();
        let last = events.pop_back();
        let chunks: Vec<Chunk> = events.iter().flat_map(|event| projector.push(event)).collect();
        let mut complete = projector.clone();
        let of_last = last.iter().flat_map(|last| complete.push(last)).count();
        let stored = u64::try_from(chunks.len() + of_last).unwrap_or(u64::MAX);
        let skip = start.resolve(stored);
        let skipped = usize::try_from(skip).unwrap_or(usize::MAX).min(chunks.len());
        let after = events.back().map_or(Seq::START, |event| event.seq);
        Self { projector, skip, opening: chunks.into_iter().skip(skipped).collect(), after, stored }
    }
}
