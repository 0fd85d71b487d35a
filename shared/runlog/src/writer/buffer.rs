//! The events that wait for the next write.

use std::collections::VecDeque;

use sequent_core::Timestamp;
use sequent_event::{Body, Entry, Payload};

use crate::{
    MAX_BYTES, MAX_EVENTS,
    size::{self, LARGEST, PIECE},
};

/// The waiting events in order, each with its size. None is larger than [`LARGEST`].
#[derive(Debug, Default)]
pub(super) struct Buffer {
    entries: VecDeque<(Entry, usize)>,
    bytes: usize,
}

/// The result of adding an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pushed {
    /// The event takes a position of its own.
    Added,
    /// The event was merged into the one before it.
    Merged,
}

impl Buffer {
    /// Adds an event at the end. If `merge` is set and it continues the stream of the last event, the two are
    /// merged.
    pub(super) fn push(&mut self, at: Timestamp, mut body: Body, merge: bool) -> Pushed {
        if merge && let Some((Entry { payload: Payload::Known(into), .. }, size)) = self.entries.back_mut() {
            let more = size::of_delta(&body);
            match into.merge(body, PIECE) {
                None => {
                    *size += more;
                    self.bytes += more;
                    return Pushed::Merged;
                }
                Some(separate) => body = separate,
            }
        }
        let size = body.encoded_bytes();
        self.bytes += size;
        self.entries.push_back((Entry::new(at, body), size));
        Pushed::Added
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Returns `true` if the events fill a segment, so waiting for more gains nothing.
    pub(super) fn is_full(&self) -> bool {
        self.entries.len() >= MAX_EVENTS || self.bytes >= LARGEST
    }

    /// Returns `true` if these events and `count` more, with at most [`LARGEST`] bytes together, fit one
    /// segment.
    pub(super) fn leaves_room_for(&self, count: usize) -> bool {
        self.entries.len() + count <= MAX_EVENTS && self.bytes <= LARGEST
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().map(|(entry, _)| entry)
    }

    /// Returns as many events from the front as fit one segment: at least one if there is one.
    pub(super) fn front(&self) -> Vec<Entry> {
        let mut bytes = 0;
        let fits = |(_, size): &&(Entry, usize)| {
            bytes += size;
            bytes <= MAX_BYTES
        };
        self.entries.iter().take(MAX_EVENTS).take_while(fits).map(|(entry, _)| entry.clone()).collect()
    }

    /// Drops the first `count` events after they are stored.
    pub(super) fn drop_front(&mut self, count: usize) {
        self.bytes -= self.entries.drain(..count).map(|(_, size)| size).sum::<usize>();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sequent_core::MessageId;

    use super::*;

    fn body() -> impl Strategy<Value = Body> {
        let id = (0_u128..3).prop_map(MessageId::from_bits);
        let text = prop_oneof![
            4 => "\\PC{0,12}",
            1 => "[\\x00-\\x1f\"]{1,30}",
            1 => (1_usize..60_000).prop_map(|length| "é\n".repeat(length / 3)),
        ];
        (id, text, 0_u8..5).prop_map(|(message_id, delta, kind)| match kind {
            0..=2 => Body::TextMessageContent { message_id, delta },
            3 => Body::ToolCallArgs { tool_call_id: message_id.to_string(), delta },
            _ => Body::StepStarted { step_name: delta.chars().take(20).collect() },
        })
    }

    /// Merges the consecutive pieces of each stream and leaves other events as they are.
    fn merged<'a>(bodies: impl IntoIterator<Item = &'a Body>) -> Vec<Body> {
        let mut all: Vec<Body> = Vec::new();
        for body in bodies {
            let separate = match all.last_mut() {
                None => Some(body.clone()),
                Some(last) => last.merge(body.clone(), usize::MAX),
            };
            all.extend(separate);
        }
        all
    }

    proptest! {
        // Each case is a whole session of a writer. This number of cases covers the limits and is still fast.
        #![proptest_config(ProptestConfig::with_cases(40))]

        #[test]
        fn nothing_is_lost_reordered_or_too_long(
            bodies in prop::collection::vec(body(), 1..150),
            merge: bool,
            writes in prop::collection::vec(1_usize..40, 1..10),
        ) {
            let mut buffer = Buffer::default();
            let mut stored = Vec::new();
            let mut counted = 0_usize;
            let mut writes = writes.into_iter().cycle();
            let mut until_write = 1;
            let write = |buffer: &mut Buffer, stored: &mut Vec<Body>| {
                let front = buffer.front();
                assert!(!front.is_empty(), "a waiting event can be written");
                assert!(front.len() <= MAX_EVENTS);
                let encoded = serde_json::to_string(&front).unwrap().len();
                assert!(encoded <= MAX_BYTES, "a segment of {encoded} bytes");
                buffer.drop_front(front.len());
                stored.extend(front.iter().filter_map(Entry::body).cloned());
            };
            for body in &bodies {
                for part in size::cut(body.clone()) {
                    let pushed = buffer.push(Timestamp::from_millis(1), part, merge);
                    counted += usize::from(pushed == Pushed::Added);
                    until_write -= 1;
                    if until_write == 0 || buffer.is_full() {
                        write(&mut buffer, &mut stored);
                        until_write = writes.next().unwrap();
                    }
                }
            }
            while !buffer.is_empty() {
                write(&mut buffer, &mut stored);
            }
            prop_assert_eq!(buffer.bytes, 0);
            prop_assert_eq!(stored.len(), counted, "every added event takes one position");
            prop_assert_eq!(merged(&stored), merged(&bodies));
        }
    }
}
