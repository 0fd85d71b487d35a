//! The size of an event in a stored segment, and the cutting of events that are too long.
//!
//! Sizes are upper bounds of the encoded form, not of the text. A quotation mark takes two bytes in JSON and
//! a control character six, so a segment measured by its text could exceed DynamoDB's 400 KB although the
//! text is half as long.

use sequent_event::Body;

use crate::MAX_BYTES;

/// Pieces of one stream are merged up to this number of bytes, and longer pieces are cut. Even if JSON
/// escapes every byte to six, a piece stays below [`LARGEST`].
pub(crate) const PIECE: usize = 16_000;

/// Limit of the size of one event in bytes: half a segment, so that any two events fit into one.
pub(crate) const LARGEST: usize = MAX_BYTES / 2;

/// Bytes of an event besides the text of its fields: names, ids, version and time.
const ENVELOPE: usize = 256;

/// Returns an upper bound of the bytes that `body` takes in a segment.
pub(crate) fn of(body: &Body) -> usize {
    match body {
        Body::TextMessageContent { delta, .. } | Body::ReasoningMessageContent { delta, .. } => {
            ENVELOPE + escaped(delta)
        }
        Body::ToolCallArgs { tool_call_id, delta } => ENVELOPE + escaped(tool_call_id) + escaped(delta),
        // An event that cannot be encoded cannot be stored either.
        other => serde_json::to_vec(other).map_or(MAX_BYTES, |text| ENVELOPE + text.len()),
    }
}

/// Returns the bytes that `more` adds to the event that it is merged into.
pub(crate) fn of_delta(more: &Body) -> usize {
    text(more).map_or(0, escaped)
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

/// Returns the bytes of `text` inside a JSON string (RFC 8259, section 7, as `serde_json` writes it).
fn escaped(text: &str) -> usize {
    let width = |byte: u8| match byte {
        b'"' | b'\\' | b'\n' | b'\r' | b'\t' | 0x08 | 0x0c => 2,
        0..0x20 => 6,
        _ => 1,
    };
    text.bytes().map(width).sum()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sequent_core::{MessageId, Timestamp};
    use sequent_event::Entry;

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
        fn the_size_bounds_the_encoded_form(kind in 0_u8..3, delta in "\\PC{0,40}|[\\x00-\\x7f]{0,200}") {
            let body = piece(kind, delta);
            let entry = Entry::new(Timestamp::from_millis(i64::MAX / 1_000_000), body.clone());
            let encoded = serde_json::to_string(&entry).unwrap();
            prop_assert!(encoded.len() < of(&body), "{} bytes, computed {}", encoded.len(), of(&body));
        }

        #[test]
        fn cutting_loses_nothing(kind in 0_u8..3, unit in "[\\x00-\\x7f]|é|語|🦀", length in 0_usize..70_000) {
            let delta = unit.repeat(length / unit.len());
            let parts = cut(piece(kind, delta.clone()));
            prop_assert_eq!(joined(&parts), delta);
            prop_assert!(parts.iter().all(|part| of(part) <= LARGEST));
            prop_assert!(!parts.is_empty());
        }
    }

    #[test]
    fn control_characters_count_as_encoded() {
        let worst = piece(0, "\u{1}".repeat(PIECE));
        assert!(of(&worst) > 6 * PIECE);
        assert!(of(&worst) <= LARGEST, "even the worst piece fits");
    }
}
