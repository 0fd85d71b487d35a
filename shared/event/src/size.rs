//! The size of an event as it is stored: the size of its JSON, not of its text.
//!
//! A quotation mark takes two bytes in JSON and a control character six. A limit that counted the bytes of the text would
//! let events pass that no log can store. Every bound of a text that becomes an event is derived from this module.

use crate::Body;

/// Largest event that a log stores, as [`Body::encoded_bytes`] counts it.
pub const MAX_EVENT_BYTES: usize = 100_000;

/// Largest text of an event, as [`encoded_bytes`] counts it. It leaves room for the names, ids and short fields beside
/// the text.
pub const MAX_TEXT_BYTES: usize = 96_000;

/// Bytes of an event besides its own fields: version, time and punctuation.
const ENVELOPE: usize = 256;

/// Returns the bytes that `text` takes inside a JSON string (RFC 8259, section 7, as `serde_json` writes it).
#[must_use]
pub fn encoded_bytes(text: &str) -> usize {
    text.bytes().map(width).sum()
}

/// Returns the longest beginning of `text` that takes at most `max_bytes` bytes inside a JSON string.
#[must_use]
pub fn encoded_prefix(text: &str, max_bytes: usize) -> &str {
    let mut bytes = 0;
    let end = text.bytes().position(|byte| {
        bytes += width(byte);
        bytes > max_bytes
    });
    end.map_or(text, |end| &text[..text.floor_char_boundary(end)])
}

const fn width(byte: u8) -> usize {
    match byte {
        b'"' | b'\\' | b'\n' | b'\r' | b'\t' | 0x08 | 0x0c => 2,
        0..0x20 => 6,
        _ => 1,
    }
}

impl Body {
    /// Returns an upper bound of the bytes that the event takes in the log.
    #[must_use]
    pub fn encoded_bytes(&self) -> usize {
        match self {
            Self::TextMessageContent { delta, .. } | Self::ReasoningMessageContent { delta, .. } => {
                ENVELOPE + encoded_bytes(delta)
            }
            Self::ToolCallArgs { tool_call_id, delta } => {
                ENVELOPE + encoded_bytes(tool_call_id) + encoded_bytes(delta)
            }
            // An event that cannot be encoded cannot be stored either.
            other => serde_json::to_vec(other).map_or(2 * MAX_EVENT_BYTES, |text| ENVELOPE + text.len()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sequent_core::{MessageId, Timestamp};

    use super::*;
    use crate::Entry;

    fn piece(kind: u8, delta: String) -> Body {
        let message_id = MessageId::from_bits(u128::MAX >> 1);
        match kind {
            0 => Body::TextMessageContent { message_id, delta },
            1 => Body::ReasoningMessageContent { message_id, delta },
            2 => Body::ToolCallArgs { tool_call_id: "call_\u{1}\"é".repeat(9), delta },
            _ => Body::UserMessage {
                message_id,
                content: delta.into(),
                by: None,
                model: Some("m".repeat(200)),
            },
        }
    }

    proptest! {
        #[test]
        fn the_size_bounds_the_encoded_form(kind in 0_u8..4, delta in "\\PC{0,40}|[\\x00-\\x7f]{0,200}") {
            let body = piece(kind, delta);
            let entry = Entry::new(Timestamp::from_millis(i64::MAX / 1_000_000), body.clone());
            let encoded = serde_json::to_string(&entry).unwrap();
            let computed = body.encoded_bytes();
            prop_assert!(encoded.len() < computed, "{} bytes, computed {}", encoded.len(), computed);
        }

        #[test]
        fn a_prefix_is_the_longest_that_fits(text in "([\\x00-\\x7f]|é|語|🦀){0,60}", max_bytes in 0_usize..200) {
            let prefix = encoded_prefix(&text, max_bytes);
            prop_assert!(text.starts_with(prefix) && encoded_bytes(prefix) <= max_bytes);
            let longer = text[prefix.len()..].chars().next().map(|next| format!("{prefix}{next}"));
            prop_assert!(longer.is_none_or(|longer| encoded_bytes(&longer) > max_bytes));
        }
    }

    #[test]
    fn the_largest_text_fits_an_event() {
        let quotes = "\"".repeat(MAX_TEXT_BYTES / 2);
        assert!(piece(3, quotes).encoded_bytes() <= MAX_EVENT_BYTES);
    }
}
