//! The limits of a segment, and the cutting of pieces that are too long for an event.

use sequent_event::{Body, size};

use crate::{MAX_BYTES, MAX_EVENTS};

/// Pieces of one stream are merged up to this number of bytes, and longer pieces are cut. Even if JSON
/// escapes every byte to six, a piece stays below [`LARGEST`].
pub(crate) const PIECE: usize = 16_000;

/// Limit of the size of one event in bytes: half a segment, so that any two events fit into one.
pub(crate) const LARGEST: usize = size::MAX_EVENT_BYTES;

const _: () = assert!(2 * LARGEST <= MAX_BYTES);

/// Limit of the segments that one transaction stores. It leaves room for rows: DynamoDB allows 4 MB and 100 writes.
pub const MAX_SEGMENTS: usize = 4;

/// Limit of the segments with which a log begins, and of their bytes. They leave room for the few rows of a new run.
pub const MAX_FIRST_SEGMENTS: usize = 56;
/// As [`MAX_FIRST_SEGMENTS`], in bytes.
pub const MAX_FIRST_BYTES: usize = 3_200_000;

/// Events are too large to be stored. None of them was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "{events} events of {bytes} bytes cannot be stored together: at most {MAX_EVENTS} events and {max_bytes} bytes"
)]
#[expect(missing_docs, reason = "plain data")]
pub struct EventsTooLarge {
    pub events: usize,
    /// Their size, as [`Body::encoded_bytes`] counts it.
    pub bytes: usize,
    pub max_bytes: usize,
}

/// Checks that the events can be stored by one write of an owner: [`Writer::append`](crate::Writer::append)
/// for one event, [`Writer::finish`](crate::Writer::finish) for several. A single long delta counts as cut.
///
/// # Errors
/// [`EventsTooLarge`] with the limits.
pub fn check_size(bodies: &[Body]) -> Result<(), EventsTooLarge> {
    let bytes = match bodies {
        [one] => cut(one.clone()).iter().map(Body::encoded_bytes).max().unwrap_or(0),
        several => several.iter().map(Body::encoded_bytes).sum(),
    };
    check(bodies.len(), bytes, LARGEST)
}

/// Checks that the events fit a segment of their own.
pub(crate) fn check_segment<'a>(bodies: impl IntoIterator<Item = &'a Body>) -> Result<(), EventsTooLarge> {
    let sizes: Vec<usize> = bodies.into_iter().map(Body::encoded_bytes).collect();
    check(sizes.len(), sizes.iter().sum(), MAX_BYTES)
}

/// The limits of the segments that one transaction stores.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TransactionLimits {
    segments: usize,
    bytes: usize,
}

impl TransactionLimits {
    /// For events that are added to a log.
    pub(crate) const ADDED: Self = Self { segments: MAX_SEGMENTS, bytes: MAX_SEGMENTS * MAX_BYTES };
    /// For the events with which a log begins.
    pub(crate) const FIRST: Self = Self { segments: MAX_FIRST_SEGMENTS, bytes: MAX_FIRST_BYTES };
}

/// Distributes the events of a transaction to segments. There is at least one.
///
/// # Errors
/// [`EventsTooLarge`] if an event is too large for a log, or there are too many.
pub(crate) fn into_segments(
    bodies: Vec<Body>,
    limits: TransactionLimits,
) -> Result<Vec<Vec<Body>>, EventsTooLarge> {
    let mut segments = vec![Vec::new()];
    let mut bytes_of_last = 0;
    let mut all = EventsTooLarge { events: bodies.len(), bytes: 0, max_bytes: limits.bytes };
    for body in bodies {
        let bytes = body.encoded_bytes();
        check(1, bytes, LARGEST)?;
        all.bytes += bytes;
        let last = segments.last_mut().filter(|last| {
            last.is_empty() || (last.len() < MAX_EVENTS && bytes_of_last + bytes <= MAX_BYTES)
        });
        match last {
            Some(last) => last.push(body),
            None => {
                bytes_of_last = 0;
                segments.push(vec![body]);
            }
        }
        bytes_of_last += bytes;
    }
    let fits = segments.len() <= limits.segments && all.bytes <= limits.bytes;
    if fits { Ok(segments) } else { Err(all) }
}

fn check(events: usize, bytes: usize, max_bytes: usize) -> Result<(), EventsTooLarge> {
    let fits = events <= MAX_EVENTS && bytes <= max_bytes;
    if fits { Ok(()) } else { Err(EventsTooLarge { events, bytes, max_bytes }) }
}

/// Returns the bytes that `more` adds to the event that it is merged into.
pub(crate) fn of_delta(more: &Body) -> usize {
    text(more).map_or(0, size::encoded_bytes)
}

/// Cuts a long piece of a stream into pieces of at most [`PIECE`] bytes. Returns any other event unchanged.
pub(crate) fn cut(body: Body) -> Vec<Body> {
    let Some(whole) = text(&body).filter(|text| text.len() > PIECE) else { return vec![body] };
    let mut parts = Vec::with_capacity(whole.len() / PIECE + 1);
    let mut rest = whole;
    while !rest.is_empty() {
        let (part, after) = rest.split_at(rest.floor_char_boundary(PIECE));
        parts.push(with_text(&body, part));
        rest = after;
    }
    parts
}

/// Returns the text of a piece of a stream. Returns `None` for any other event.
fn text(body: &Body) -> Option<&str> {
    match body {
        Body::TextMessageContent { delta, .. }
        | Body::ReasoningMessageContent { delta, .. }
        | Body::ToolCallArgs { delta, .. } => Some(delta),
        _ => None,
    }
}

fn with_text(of: &Body, part: &str) -> Body {
    let delta = part.to_owned();
    match of {
        Body::TextMessageContent { message_id, .. } => {
            Body::TextMessageContent { message_id: *message_id, delta }
        }
        Body::ReasoningMessageContent { message_id, .. } => {
            Body::ReasoningMessageContent { message_id: *message_id, delta }
        }
        Body::ToolCallArgs { tool_call_id, .. } => {
            Body::ToolCallArgs { tool_call_id: tool_call_id.clone(), delta }
        }
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sequent_core::MessageId;

    use super::*;

    fn piece(kind: u8, delta: String) -> Body {
        let message_id = MessageId::from_bits(u128::MAX >> 1);
        match kind {
            0 => Body::TextMessageContent { message_id, delta },
            1 => Body::ReasoningMessageContent { message_id, delta },
            _ => Body::ToolCallArgs { tool_call_id: "call_\u{1}\"é".repeat(9), delta },
        }
    }

    fn joined(parts: &[Body]) -> String {
        parts.iter().filter_map(text).collect()
    }

    proptest! {
        #[test]
        fn cutting_loses_nothing(kind in 0_u8..3, unit in "[\\x00-\\x7f]|é|語|🦀", length in 0_usize..70_000) {
            let delta = unit.repeat(length / unit.len());
            let parts = cut(piece(kind, delta.clone()));
            prop_assert_eq!(joined(&parts), delta);
            prop_assert!(parts.iter().all(|part| part.encoded_bytes() <= LARGEST));
            prop_assert!(!parts.is_empty());
        }
    }

    #[test]
    fn control_characters_count_as_encoded() {
        let worst = piece(0, "\u{1}".repeat(PIECE));
        assert!(worst.encoded_bytes() > 6 * PIECE);
        assert!(worst.encoded_bytes() <= LARGEST, "even the worst piece fits");
    }
}
