//! The result of an invocation, in the forms in which Lambda reports it.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use serde_json::json;
use tokio::sync::mpsc;

/// The result of one invocation that reached an instance.
#[derive(Debug)]
pub enum Reply {
    /// The whole payload at once.
    Buffered(Bytes),
    /// A streamed payload, passed on as it arrives.
    Stream(Stream),
    /// The function failed, crashed or ran out of time.
    Error(FunctionError),
}

/// A streamed payload. Dropping it does not stop the function: the rest of its output is read and discarded.
#[derive(Debug)]
pub struct Stream {
    /// The function's `Content-Type`. HTTP functions use the integration type with a prelude.
    pub content_type: String,
    chunks: mpsc::Receiver<Bytes>,
    complete: Arc<AtomicBool>,
    ended: bool,
}

/// The writing end of a [`Stream`].
#[derive(Debug)]
pub(super) struct Pump {
    chunks: mpsc::Sender<Bytes>,
    complete: Arc<AtomicBool>,
}

impl Stream {
    pub(super) fn new(content_type: String) -> (Pump, Self) {
        // Room for a burst. Beyond it a slow reader slows the function down, as a full socket does.
        let (sender, chunks) = mpsc::channel(16);
        let complete = Arc::new(AtomicBool::new(false));
        let pump = Pump { chunks: sender, complete: complete.clone() };
        (pump, Self { content_type, chunks, complete, ended: false })
    }

    /// Returns the next chunk. If the rest is lost, returns [`Cut`] once.
    pub async fn next(&mut self) -> Option<Result<Bytes, Cut>> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// Polls for the next chunk, as [`Stream::next`] does.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Cut>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        self.chunks.poll_recv(cx).map(|chunk| match chunk {
            Some(chunk) => Some(Ok(chunk)),
            None => {
                self.ended = true;
                (!self.complete.load(Ordering::Acquire)).then_some(Err(Cut))
            }
        })
    }
}

impl Pump {
    /// Forwards a chunk. Without a reader, drops it.
    pub(super) async fn send(&self, chunk: Bytes) {
        let _ = self.chunks.send(chunk).await;
    }

    /// Marks the response as whole. A pump that is dropped without this is a cut.
    pub(super) fn complete(self) {
        self.complete.store(true, Ordering::Release);
    }
}

/// The instance ended or failed during a streamed response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the function's response was cut")]
pub struct Cut;

/// A failed invocation: `X-Amz-Function-Error` and its JSON payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FunctionError {
    /// `{"errorType": ..., "errorMessage": ...}`.
    pub payload: Bytes,
}

impl FunctionError {
    /// Wraps an error that the runtime reported through the Runtime API.
    pub(super) fn reported(payload: Bytes) -> Self {
        Self { payload }
    }

    /// Creates an error of the platform, in Lambda's wording.
    pub(super) fn platform(kind: &str, request_id: &str, message: &str) -> Self {
        let message = format!("RequestId: {request_id} Error: {message}");
        Self { payload: Bytes::from(json!({"errorType": kind, "errorMessage": message}).to_string()) }
    }

    /// Creates the error for a process that ended before it had answered.
    pub(super) fn exited(request_id: &str, status: &str) -> Self {
        Self::platform("Runtime.ExitError", request_id, &format!("Runtime exited with error: {status}"))
    }

    /// Creates the error for an invocation that exceeded `Timeout`.
    pub(super) fn timed_out(request_id: &str, seconds: f64) -> Self {
        Self::platform("Sandbox.Timedout", request_id, &format!("Task timed out after {seconds:.2} seconds"))
    }
}
