//! Deliberately broken rules. Each is broken between the protocol and the storage, so the code under test is
//! the code that ships: data that a process without the rule would ignore is hidden from it.

use std::sync::atomic::Ordering;

use sequent_event::{Body, Entry, Payload};
use sequent_runlog::Segment;

use crate::process::Process;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mutation {
    /// The protocol as it is.
    None,
    /// A conflict with an earlier write of the same process is treated like a foreign one.
    NoBatchCheck,
    /// An owner does not see higher epochs and continues.
    NoEpochCheck,
    /// The observer gets a segment when the write is sent, not when it is acknowledged.
    ShowBeforeStore,
    /// A write does not check that its position is free.
    Overwrite,
    /// A terminal event is moved after a cancel that its owner has not seen.
    RenumberOverCancel,
    /// The terminal event and the rows that repeat it are stored by two writes.
    SplitTerminal,
    /// Strongly consistent reads of the log are stale, too.
    StaleReads,
}

impl Mutation {
    pub(crate) fn before_append(self, process: &Process, segment: &Segment) {
        if self == Self::ShowBeforeStore && segment.epoch > 0 {
            for event in segment.events() {
                process.table.show(&format!("observer of p{}", process.id), &event);
            }
        }
    }

    /// Changes the segment that won a position, as `process` sees it.
    pub(crate) fn conflict(self, process: &Process, mut segment: Segment) -> Segment {
        if self == Self::NoBatchCheck {
            segment.batch = "a foreign batch".to_owned();
        }
        self.seen(process, segment)
    }

    /// Changes a segment, as `process` reads it.
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

/// Replaces the event by one of an unknown type.
fn hide(entry: &mut Entry) {
    let fields = [("type".to_owned(), "HIDDEN".into()), ("v".to_owned(), 1.into())];
    entry.payload = Payload::Unknown(fields.into_iter().collect());
}
