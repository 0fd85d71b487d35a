//! `application/vnd.amazon.eventstream`, the framing of InvokeWithResponseStream.

use std::pin::Pin;
use std::task::{Context, Poll};

use aws_smithy_eventstream::frame::write_message_to;
use aws_smithy_types::event_stream::{Header, HeaderValue, Message};
use bytes::Bytes;
use http_body::Frame;
use serde_json::json;

use crate::runtime::{Cut, FunctionError, Stream};

/// A payload as event-stream messages, ended by `InvokeComplete`.
#[derive(Debug)]
pub(super) struct Frames {
    stream: Option<Stream>,
    /// Messages that wait to be read, the next one last.
    ready: Vec<Message>,
}

impl Frames {
    /// Frames a whole payload.
    pub(super) fn of(payload: Bytes) -> Self {
        Self { stream: None, ready: vec![complete(None), chunk(payload)] }
    }

    /// Frames a failure before the first chunk.
    pub(super) fn failed(error: &FunctionError) -> Self {
        Self { stream: None, ready: vec![complete(Some(&String::from_utf8_lossy(&error.payload)))] }
    }
}

impl From<Stream> for Frames {
    fn from(stream: Stream) -> Self {
        Self { stream: Some(stream), ready: Vec::new() }
    }
}

impl http_body::Body for Frames {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        let this = self.get_mut();
        let message = match &mut this.stream {
            None => this.ready.pop(),
            Some(stream) => match std::task::ready!(stream.poll_next(cx)) {
                Some(Ok(data)) => Some(chunk(data)),
                end => {
                    this.stream = None;
                    Some(complete(end.map(|_| "the function's response was cut")))
                }
            },
        };
        Poll::Ready(message.map(|message| encode(&message).map(Frame::data)))
    }
}

fn chunk(data: Bytes) -> Message {
    message("PayloadChunk", "application/octet-stream", data)
}

fn complete(error: Option<&str>) -> Message {
    let body = match error {
        None => json!({}),
        Some(details) => json!({"ErrorCode": "Unhandled", "ErrorDetails": details}),
    };
    message("InvokeComplete", "application/json", Bytes::from(body.to_string()))
}

fn message(event_type: &'static str, content_type: &'static str, payload: Bytes) -> Message {
    let header = |name, value: &'static str| Header::new(name, HeaderValue::String(value.into()));
    Message::new(payload)
        .add_header(header(":message-type", "event"))
        .add_header(header(":event-type", event_type))
        .add_header(header(":content-type", content_type))
}

fn encode(message: &Message) -> Result<Bytes, Cut> {
    let mut bytes = Vec::new();
    // Fails only for messages of 4 GiB and more.
    write_message_to(message, &mut bytes).map_err(|_| Cut)?;
    Ok(bytes.into())
}
