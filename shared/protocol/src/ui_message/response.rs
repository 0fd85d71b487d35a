//! The parts of a response that are no chunks: its headers, and the frames that end it.

use super::{Chunk, FinishReason};
use crate::sse::Frame;

/// The headers of every response.
pub const HEADERS: [(&str, &str); 4] = [
    ("content-type", "text/event-stream"),
    ("cache-control", "no-store"),
    ("x-vercel-ai-ui-message-stream", "v1"),
    ("x-accel-buffering", "no"),
];

/// Returns the frame that ends a stream whose log is closed. It is not a chunk and is not counted.
#[must_use]
pub fn done() -> Frame {
    Frame::message(None, None, "[DONE]")
}

/// Returns the last frame of a stream that ends although its run goes on: an `error` without its `errorText`.
///
/// Every version of the SDK refuses the frame. `DefaultChatTransport` then reports an error, so the message is not
/// shown as complete, and `resumeStream()` fetches it whole. `WorkflowChatTransport` does not count the frame and
/// requests the rest. No valid chunk does both (checked against 5.0.277, 6.0.322 and 7.0.173): a valid `error` ends
/// the message for `WorkflowChatTransport`, too, `finish` ends it for both, and only version 7 knows the reason
/// `interrupted`.
#[must_use]
pub fn cut() -> Frame {
    Frame::message(None, None, r#"{"type":"error","code":"stream_cut"}"#)
}

/// Returns the last frames of a stream that ends although its run goes on, and that the client must not continue: an
/// `error`, which the SDK reports, and `finish`, after which no transport requests the rest.
#[must_use]
pub fn refused(code: &str, error_text: &str) -> Vec<Frame> {
    let error = Chunk::Error { error_text: error_text.to_owned(), code: code.to_owned() };
    let finish = Chunk::Finish { finish_reason: FinishReason::Error };
    vec![error.frame(), finish.frame(), done()]
}
