//! Events that wait for the next write.

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

/// What became of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pushed {
    /// It takes a position of its own.
    Added,
    /// It became part of the event before it.
    Merged,
}

impl Buffer {
    /// Adds an event behind the others, into the last one if both are pieces of one stream and `merge` allows.
    pub(super) fn push(&mut self, at: Timestamp, body: Body, merge: bool) -> Pushed {
        let mut body = body;
        if merge && let Some((Entry { payload: Payload::Known(into), .. }, size)) = self.entries.back_mut() {
            let more = size::of_delta(&body);
            match into.merge(body, PIECE) {
                None => {
                    *size += more;
                    self.bytes += more;
                    return Pushed::Merged;
                }
                Some(apart) => body = apart,
            }
        }
        let size = size::of(&body);
        self.bytes += size;
        self.entries.push_back((Entry::new(at, body), size));
        Pushed::Added
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether the events fill a segment, so that waiting for more gains nothing.
    pub(super) fn is_full(&self) -> bool {
        self.entries.len() >= MAX_EVENTS || self.bytes >= LARGEST
    }

    /// Whether the events and `count` more of together at most [`LARGEST`] bytes fit one segment.
    pub(super) fn leaves_room_for(&self, count: usize) -> bool {
        self.entries.len() + count <= MAX_EVENTS && self.bytes <= LARGEST
    }

    /// All waiting events.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().map(|(entry, _)| entry)
    }

    /// As many events from the front as one segment takes; at least one if there is one.
    pub(super) fn front(&self) -> Vec<Entry> {
        let mut bytes = 0;
        let fits = |(_, size): &&(Entry, usize)| {
            bytes += size;
            bytes <= MAX_BYTES
        };
        self.entries.iter().take(MAX_EVENTS).take_while(fits).map(|(entry, _)| entry.clone()).collect()
    }

    /// Drops the first `count` events: they are stored.
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

    /// One text per unbroken stretch of one stream, and every other event as it is.
    fn stretches<'a>(bodies: impl IntoIterator<Item = &'a Body>) -> Vec<Body> {
        let mut all: Vec<Body> = Vec::new();
        for body in bodies {
            let apart = match all.last_mut() {
                None => Some(body.clone()),
                Some(last) => last.merge(body.clone(), usize::MAX),
            };
            all.extend(apart);
        }
        all
    }

    proptest! {
        // A case is a whole session of a writer; these many cover the limits well and stay quick.
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
            prop_assert_eq!(stored.len(), counted, "every event that was added took one position");
            prop_assert_eq!(stretches(&stored), stretches(&bodies));
        }
    }
}
