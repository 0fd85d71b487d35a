//! `application/vnd.amazon.eventstream`, the framing of InvokeWithResponseStream: length-prefixed messages with
//! string headers, each part guarded by a CRC-32.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{BufMut, Bytes, BytesMut};
use http_body::Frame;
use serde_json::json;

use crate::runtime::{Cut, FunctionError, Stream};

/// The type number of a string header.
const STRING: u8 = 7;

/// A streamed payload as event-stream messages, ended by `InvokeComplete`.
#[derive(Debug)]
pub(super) struct Frames {
    stream: Option<Stream>,
    ready: Vec<Bytes>,
}

impl Frames {
    /// A payload that is there already.
    pub(super) fn of(payload: Bytes) -> Self {
        Self { stream: None, ready: vec![complete(None), chunk(&payload)] }
    }

    /// A failure before the first chunk.
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
        let frame = match &mut this.stream {
            None => this.ready.pop(),
            Some(stream) => match std::task::ready!(stream.poll_next(cx)) {
                Some(Ok(data)) => Some(chunk(&data)),
                end => {
                    this.stream = None;
                    Some(complete(end.map(|_| "the function's response was cut")))
                }
            },
        };
        Poll::Ready(frame.map(|frame| Ok(Frame::data(frame))))
    }
}

fn chunk(data: &[u8]) -> Bytes {
    message("PayloadChunk", "application/octet-stream", data)
}

fn complete(error: Option<&str>) -> Bytes {
    let body = match error {
        None => json!({}),
        Some(details) => json!({"ErrorCode": "Unhandled", "ErrorDetails": details}),
    };
    message("InvokeComplete", "application/json", body.to_string().as_bytes())
}

fn message(event_type: &str, content_type: &str, payload: &[u8]) -> Bytes {
    let mut headers = BytesMut::new();
    for (name, value) in
        [(":message-type", "event"), (":event-type", event_type), (":content-type", content_type)]
    {
        headers.put_u8(short(name.len()));
        headers.put_slice(name.as_bytes());
        headers.put_u8(STRING);
        headers.put_u16(u16::from(short(value.len())));
        headers.put_slice(value.as_bytes());
    }
    // Prelude of 12 bytes and a trailing checksum of 4.
    let total = 12 + headers.len() + payload.len() + 4;
    let mut out = BytesMut::with_capacity(total);
    out.put_u32(u32::try_from(total).unwrap_or(u32::MAX));
    out.put_u32(u32::try_from(headers.len()).unwrap_or(u32::MAX));
    out.put_u32(crc32fast::hash(&out));
    out.put_slice(&headers);
    out.put_slice(payload);
    out.put_u32(crc32fast::hash(&out));
    out.freeze()
}

/// Our header names and values are short constants.
fn short(len: usize) -> u8 {
    u8::try_from(len).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_has_the_published_layout() {
        let frame = chunk(b"hi");
        assert_eq!(u32::from_be_bytes(frame[..4].try_into().unwrap()) as usize, frame.len());
        assert_eq!(u32::from_be_bytes(frame[8..12].try_into().unwrap()), crc32fast::hash(&frame[..8]));
        let end = frame.len() - 4;
        assert_eq!(u32::from_be_bytes(frame[end..].try_into().unwrap()), crc32fast::hash(&frame[..end]));
        assert_eq!(&frame[end - 2..end], b"hi");
        assert_eq!(&frame[12..27], b"\x0d:message-type\x07");
    }
}
