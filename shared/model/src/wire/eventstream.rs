//! AWS's event stream: bytes in pieces of any size become frames.
//!
//! A message has its length, headers, a payload and two checksums (<https://smithy.io/2.0/aws/amazon-eventstream.html>).
//! An exception is a message, too. It becomes an error frame whose document has the exception's name in `__type`, as the
//! documents of AWS's other errors have.

use aws_smithy_eventstream::frame::read_message_from;
use bytes::{Bytes, BytesMut};
use serde_json::Value;

use super::{Frame, json::Object};
use crate::Error;

/// The messages of a body.
#[derive(Debug, Default)]
pub(crate) struct MessageFraming {
    /// The beginning of the next message.
    buffer: BytesMut,
}

/// The length of a message and of its headers, and the checksum of both.
const PRELUDE: usize = 12;

/// Bytes of a message at most, as for server-sent events. AWS allows 24 MB, and Bedrock sends a few words in each.
const MAX_MESSAGE: usize = 16 << 20;

impl MessageFraming {
    /// Returns `true` if a message can begin with this byte, which no text has: the highest one of its length.
    pub(super) fn begins_with(first: u8) -> bool {
        usize::from(first) <= MAX_MESSAGE >> 24
    }

    /// Takes the next bytes of the body and gives each message that they complete to `sink`.
    ///
    /// # Errors
    /// The error of `sink`, or a message that is damaged, too large or not UTF-8.
    pub(super) fn push(
        &mut self,
        bytes: &[u8],
        sink: &mut impl FnMut(Frame<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.buffer.extend_from_slice(bytes);
        while let Some(length) = self.complete()? {
            take(self.buffer.split_to(length).freeze(), sink)?;
        }
        Ok(())
    }

    /// Takes the end of the body.
    ///
    /// # Errors
    /// [`Error::Truncated`] if it is in the middle of a message.
    pub(super) fn end(&mut self) -> Result<(), Error> {
        if self.buffer.is_empty() { Ok(()) } else { Err(Error::Truncated) }
    }

    /// Returns the length of the next message, or `None` if its end has not arrived. Its checksum is checked now, because a
    /// wrong length could be waited for until a timeout.
    fn complete(&self) -> Result<Option<usize>, Error> {
        let Some(prelude) = self.buffer.first_chunk::<PRELUDE>() else { return Ok(None) };
        let [a, b, c, d, .., e, f, g, h] = *prelude;
        if crc32fast::hash(&prelude[..8]) != u32::from_be_bytes([e, f, g, h]) {
            return Err(damaged(&"its checksum is wrong"));
        }
        let length = u32::from_be_bytes([a, b, c, d]) as usize;
        if length > MAX_MESSAGE {
            return Err(Error::InvalidAnswer("a message is too large".into()));
        }
        Ok((length <= self.buffer.len()).then_some(length))
    }
}

fn damaged(reason: &dyn std::fmt::Display) -> Error {
    Error::InvalidAnswer(format!("a message is damaged: {reason}"))
}

/// Gives the message in `bytes` to `sink`.
fn take(bytes: Bytes, sink: &mut impl FnMut(Frame<'_>) -> Result<(), Error>) -> Result<(), Error> {
    let message = read_message_from(bytes).map_err(|error| damaged(&error))?;
    let header = |name: &str| {
        let mut headers = message.headers().iter();
        headers.find(|header| header.name().as_str() == name)?.value().as_string().ok()
    };
    let payload = std::str::from_utf8(message.payload())
        .map_err(|_| Error::InvalidAnswer("a message is not UTF-8".into()))?;
    let is_failure =
        header(":message-type").is_some_and(|kind| matches!(kind.as_str(), "exception" | "error"));
    let name = header(":exception-type").or_else(|| header(":error-code"));
    if !is_failure && name.is_none() {
        let event = header(":event-type").map_or("", |event| event.as_str());
        return sink(Frame { event, data: payload, is_whole: true });
    }
    let said = header(":error-message").map(|text| text.as_str());
    let document = report(name.map_or("", |name| name.as_str()), said, payload);
    sink(Frame { event: "error", data: &document, is_whole: true })
}

/// Returns the document of an error with this name. Its text is in the payload or in a header.
fn report(name: &str, said: Option<&str>, payload: &str) -> String {
    let parsed: Option<Object> = serde_json::from_str(payload).ok();
    let said = said.or_else(|| parsed.is_none().then_some(payload));
    let mut document = parsed.unwrap_or_default();
    document.insert("__type".into(), name.into());
    if let Some(said) = said {
        document.insert("message".into(), said.into());
    }
    Value::Object(document).to_string()
}
