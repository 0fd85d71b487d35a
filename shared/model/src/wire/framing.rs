//! The frames of a body: server-sent events, or the messages of AWS's event stream.

use super::{Frame, Protocol, eventstream::MessageFraming, sse::SseFraming};
use crate::Error;

/// Divides a body into frames.
#[derive(Debug)]
pub(crate) enum Framing {
    Events(SseFraming),
    Messages(MessageFraming),
    /// A body of Bedrock before its first byte. Gateways and their errors send text in place of messages.
    Unknown,
}

impl Framing {
    pub(crate) fn new(protocol: Protocol) -> Self {
        match protocol {
            Protocol::OpenAi | Protocol::Anthropic => Self::Events(SseFraming::default()),
            Protocol::Bedrock => Self::Unknown,
        }
    }

    /// Takes the next bytes of the body and gives each frame that they complete to `sink`.
    ///
    /// # Errors
    /// The error of `sink`, or a frame that is damaged, too large or not UTF-8.
    pub(crate) fn push(
        &mut self,
        bytes: &[u8],
        sink: &mut impl FnMut(Frame<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let Some(first) = bytes.first() else { return Ok(()) };
        if matches!(self, Self::Unknown) {
            *self = if MessageFraming::begins_with(*first) {
                Self::Messages(MessageFraming::default())
            } else {
                Self::Events(SseFraming::default())
            };
        }
        match self {
            Self::Events(framing) => framing.push(bytes, sink),
            Self::Messages(framing) => framing.push(bytes, sink),
            Self::Unknown => Ok(()),
        }
    }

    /// Takes the end of the body.
    ///
    /// # Errors
    /// As [`push`](Self::push), or a message that is cut.
    pub(crate) fn end(&mut self, sink: &mut impl FnMut(Frame<'_>) -> Result<(), Error>) -> Result<(), Error> {
        match self {
            Self::Events(framing) => framing.end(sink),
            Self::Messages(framing) => framing.end(),
            Self::Unknown => Ok(()),
        }
    }

    /// Returns `true` if the body contains text but no frame, like a web page.
    pub(crate) fn is_only_noise(&self) -> bool {
        matches!(self, Self::Events(framing) if framing.is_only_noise())
    }
}
