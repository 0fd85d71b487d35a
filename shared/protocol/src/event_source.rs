//! The text of the answer for the browser's `EventSource` and a few lines of script.
//!
//! | frame | meaning |
//! |---|---|
//! | `event: start`, `data: {"run_id":"..."}` | the run that writes the answer |
//! | `data: {"delta":"..."}` | append to the text |
//! | `event: reset`, `data: {"content":"..."}` | replace the text: the last message was cut off by a crash and is written again, or the answer follows the steps of a plan |
//! | `event: error`, `data: {"code":"...","message":"..."}` | the run failed; `end` follows |
//! | `event: error` with the code `invalid_credential` | the session or API key has ended, and nothing follows: the source gets 401 when it reconnects, which makes it stop |
//! | `event: end`, `data: {"content":"..."}` | the whole answer; close the source. `"cancelled":true` when it was cut short |
//!
//! **Resume.** `EventSource` reconnects by itself, to the same address, with the last `id` that it received.
//! Ids are [`Cursor`]s: they contain the run as well as the position, because the address contains only the
//! message, and sending it again would start another run. `start` belongs to the first event of the log, so
//! the client knows its run before the first word. It has data because some parsers drop a frame that has
//! only an id. `error` has no id: it belongs to the same event as `end`, and a disconnect between them must
//! not lose `end`. After `end` the source may reconnect once more. If the log is closed and has no frame
//! after the cursor, the response is 204, which makes `EventSource` stop.

use std::{fmt, str::FromStr};

use sequent_core::RunId;
use sequent_event::{AnswerChange, AnswerText, Body, Event, RunOutcome, Seq};
use serde::Serialize;

use crate::{
    native::{self, InvalidCursor},
    sse::Frame,
};

/// A position in the stream of one run: `run_...:42`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    #[expect(missing_docs, reason = "plain data")]
    pub run: RunId,
    /// The position of the last event received.
    pub after: Seq,
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.run, self.after)
    }
}

impl FromStr for Cursor {
    type Err = InvalidCursor;

    fn from_str(text: &str) -> Result<Self, InvalidCursor> {
        let (run, after) = text.split_once(':').ok_or(InvalidCursor)?;
        let run = run.parse().map_err(|_| InvalidCursor)?;
        Ok(Self { run, after: native::parse_cursor(after)? })
    }
}

/// Projects one log. Push every event from the first, even to resume: the answer depends on all of them.
#[derive(Debug, Clone)]
pub struct Projector {
    /// The client has received the frames up to this position.
    cursor: Cursor,
    /// The text so far.
    answer: AnswerText,
}

#[derive(Serialize)]
struct Start {
    run_id: RunId,
}

#[derive(Serialize)]
struct Delta<'a> {
    delta: &'a str,
}

#[derive(Serialize)]
struct Content<'a> {
    content: &'a str,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    cancelled: bool,
}

#[derive(Serialize)]
struct ErrorData<'a> {
    code: &'a str,
    message: &'a str,
}

/// Returns the last frame of a stream that ends although its run goes on, and that the client must not continue.
#[must_use]
pub fn refused(code: &str, message: &str) -> Frame {
    Frame::json(None, Some("error"), &ErrorData { code, message })
}

impl Projector {
    /// Creates a projector for a client that has received nothing yet.
    #[must_use]
    pub fn new(run: RunId) -> Self {
        Self::resume(Cursor { run, after: Seq::START })
    }

    /// Creates a projector for a client that has received the frames up to `cursor`.
    #[must_use]
    pub fn resume(cursor: Cursor) -> Self {
        Self { cursor, answer: AnswerText::default() }
    }

    /// Applies the next event and returns its frames. Returns none if the client has received them.
    #[must_use]
    pub fn push(&mut self, event: &Event) -> Vec<Frame> {
        let id = Cursor { run: self.cursor.run, after: event.seq };
        let frames = event.body().map(|body| self.project(id, body)).unwrap_or_default();
        if event.seq <= self.cursor.after {
            return Vec::new();
        }
        if frames.is_empty() && event.seq == Seq::START.next() {
            return vec![Frame::json(Some(&id), Some("start"), &Start { run_id: id.run })];
        }
        frames
    }

    fn project(&mut self, id: Cursor, body: &Body) -> Vec<Frame> {
        let change = match self.answer.apply(body) {
            AnswerChange::None => None,
            AnswerChange::Appended(piece) => Some(delta(id, &piece)),
            AnswerChange::Replaced => Some(self.content(id, "reset", false)),
        };
        match body {
            Body::RunFinished { outcome, .. } => {
                vec![self.content(id, "end", *outcome == RunOutcome::Cancelled)]
            }
            Body::RunError { message, code } => {
                let failure = Frame::json(None, Some("error"), &ErrorData { code, message });
                vec![failure, self.content(id, "end", false)]
            }
            _ => change.into_iter().collect(),
        }
    }

    fn content(&self, id: Cursor, name: &str, cancelled: bool) -> Frame {
        let content = &self.answer.text();
        Frame::json(Some(&id), Some(name), &Content { content, cancelled })
    }
}

fn delta(id: Cursor, delta: &str) -> Frame {
    Frame::json(Some(&id), None, &Delta { delta })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_round_trips_and_nothing_else_parses() {
        let cursor = Cursor { run: RunId::from_bits(9), after: Seq(42) };
        assert_eq!(cursor.to_string(), "run_00000000000000000000000009:42");
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
        for text in ["", "42", "run_00000000000000000000000009", "run_00000000000000000000000009:", "run_x:1"]
        {
            assert_eq!(text.parse::<Cursor>(), Err(InvalidCursor), "{text:?}");
        }
    }
}
