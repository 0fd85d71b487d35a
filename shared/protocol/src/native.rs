//! The unchanged log: `id: seq`, `event: TYPE`, `data: {the event}`. A stream that its client must not continue ends with
//! `event: problem`.

use sequent_event::{Event, Seq};
use serde::Serialize;

use crate::sse::Frame;

/// A cursor that is not a position in a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a cursor is the number of the last event received, in decimal digits")]
pub struct InvalidCursor;

/// Returns the frame of one event.
#[must_use]
pub fn frame(event: &Event) -> Frame {
    Frame::json(Some(&event.seq), Some(event.entry.type_name()), event)
}

/// Returns the last frame of a stream that ends although its run goes on, and that the client must not continue. It is no
/// event of the log, so it has no id. `problem` is what the next request would get (RFC 9457).
#[must_use]
pub fn refused(problem: &impl Serialize) -> Frame {
    Frame::json(None, Some("problem"), problem)
}

/// Parses a cursor that a client sends in `Last-Event-ID` or `?after=`. The stream continues with the event
/// after it.
///
/// # Errors
/// If the text is not a number in decimal digits.
pub fn parse_cursor(text: &str) -> Result<Seq, InvalidCursor> {
    if !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(InvalidCursor); // `u64` would accept a plus sign
    }
    text.parse().map(Seq).map_err(|_| InvalidCursor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_decimal_digits_are_a_cursor() {
        assert_eq!(parse_cursor("0"), Ok(Seq::START));
        assert_eq!(parse_cursor("18446744073709551615"), Ok(Seq(u64::MAX)));
        for text in ["", "+1", "-1", "1.0", " 1", "x", "18446744073709551616", "run_1:2"] {
            assert_eq!(parse_cursor(text), Err(InvalidCursor), "{text:?}");
        }
    }
}
