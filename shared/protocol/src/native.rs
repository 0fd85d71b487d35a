//! The log as it is: `id: seq`, `event: TYPE`, `data: {the event}`.

use sequent_event::{Event, Seq};

use crate::sse::Frame;

/// Not a position in a log: the client sent something it did not get from us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a cursor is the whole number of the last event received")]
pub struct InvalidCursor;

/// The frame of one event.
#[must_use]
pub fn frame(event: &Event) -> Frame {
    Frame::json(Some(&event.seq), Some(event.entry.type_name()), event)
}

/// A cursor as clients send it, in `Last-Event-ID` or `?after=`. The stream goes on at the event after it.
///
/// # Errors
/// When the text is anything but decimal digits.
pub fn parse_cursor(text: &str) -> Result<Seq, InvalidCursor> {
    if !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(InvalidCursor); // `u64` would let a plus sign pass
    }
    text.parse().map(Seq).map_err(|_| InvalidCursor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_we_sent_is_a_cursor() {
        assert_eq!(parse_cursor("0"), Ok(Seq::START));
        assert_eq!(parse_cursor("18446744073709551615"), Ok(Seq(u64::MAX)));
        for text in ["", "+1", "-1", "1.0", " 1", "x", "18446744073709551616", "run_1:2"] {
            assert_eq!(parse_cursor(text), Err(InvalidCursor), "{text:?}");
        }
    }
}
