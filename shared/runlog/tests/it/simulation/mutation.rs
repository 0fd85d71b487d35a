//! Deliberately broken rules. Each is broken where the protocol meets the storage, so that the code under test stays
//! the code that ships: what a process without the rule would not look at is hidden from it.

use std::sync::atomic::Ordering;

use sequent_event::{Body, Entry, Payload};
use sequent_runlog::Segment;

use crate::process::Process;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mutation {
    /// The protocol as it is.
    None,
    /// A conflict with one's own earlier write is taken for somebody else's.
    NoBatchCheck,
    /// An owner does not see higher epochs and goes on.
    NoEpochCheck,
    /// The observer is told when a write is sent, not when it is acknowledged.
    ShowBeforeStore,
    /// A write does not ask whether its position is free: the position is guessed, not learnt.
    Overwrite,
    /// A terminal event is moved behind a cancel that its owner has not seen.
    RenumberOverCancel,
    /// The terminal event and the rows that repeat it are two writes.
    SplitTerminal,
}

impl Mutation {
    pub(crate) fn before_append(self, process: &Process, segment: &Segment) {
        if self == Self::ShowBeforeStore && segment.epoch > 0 {
            for event in segment.events() {
                process.table.show(&format!("observer of p{}", process.id), &event);
            }
        }
    }

    /// A segment that took the position `process` wanted.
    pub(crate) fn conflict(self, process: &Process, mut segment: Segment) -> Segment {
        if self == Self::NoBatchCheck {
            segment.batch = "somebody else's".to_owned();
        }
        self.seen(process, segment)
    }

    /// A segment that `process` reads.
    pub(crate) fn seen(self, process: &Process, mut segment: Segment) -> Segment {
        let own = process.epoch.load(Ordering::Relaxed);
        match self {
            Self::NoEpochCheck if own > 0 && segment.epoch > own => {
                segment.entries.iter_mut().for_each(hide);
                segment.epoch = 0;
            }
            Self::RenumberOverCancel => {
                segment.entries.iter_mut().filter(|entry| is_cancel(entry)).for_each(hide);
            }
            _ => {}
        }
        segment
    }
}

fn is_cancel(entry: &Entry) -> bool {
    matches!(entry.body(), Some(Body::CancelRequested { .. }))
}

/// Puts an event nobody understands in its place.
fn hide(entry: &mut Entry) {
    let fields = [("type".to_owned(), "HIDDEN".into()), ("v".to_owned(), 1.into())];
    entry.payload = Payload::Unknown(fields.into_iter().collect());
}
