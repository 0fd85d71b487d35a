//! The wire protocols of model servers, without any input or output of their own.
//!
//! A [`Decoder`] is a state machine from frames to chunks. It is **lenient in form**: whatever can be understood in one way
//! only is understood, such as fields that are absent, null, repeated, of another type or under another server's name,
//! pings, whole answers in place of a stream, and errors in any frame or status. It is **strict in meaning**: what would be
//! guessed at is an error that names the frame, and an answer is complete only if the server has said that the model
//! stopped, and why.
//!
//! Servers that claim the same protocol differ in dozens of ways. `tests/wire` has a recorded answer for each deviation
//! that was found in public reports, with its source and with what is made of it.

mod answer;
mod anthropic;
mod bedrock;
mod blocks;
mod cache_points;
mod calls;
mod eventstream;
mod failure;
mod framing;
mod json;
mod omitted;
mod openai;
mod output_limit;
mod provider_data;
mod schema;
mod sse;
mod surrogates;
mod tool_names;
mod turns;

pub(crate) use failure::{Redact, of_response, of_transport};
pub(crate) use framing::Framing;
pub(crate) use omitted::{Omitted, Parameter, sent};
pub(crate) use output_limit::stated_limit;
pub(crate) use sse::Frame;

use std::borrow::Cow;

use reqwest::header::{HeaderMap, HeaderValue};
use serde_json::Value;

use crate::{Error, Provider, Request, Usage, chunk::Raw, config::Endpoint};
use answer::AnswerState;
use json::{Document, Object};

/// A protocol between this crate and model servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    OpenAi,
    Anthropic,
    Bedrock,
}

/// An HTTP request, without the parts that all have.
#[derive(Debug)]
pub(crate) struct HttpCall {
    /// The path below the address of the server.
    pub(crate) path: Cow<'static, str>,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Protocol {
    /// Returns the protocol of a provider. The demo has none.
    pub(crate) fn of(provider: Provider) -> Option<Self> {
        match provider {
            Provider::Demo => None,
            Provider::OpenAi => Some(Self::OpenAi),
            Provider::Anthropic => Some(Self::Anthropic),
            Provider::Bedrock => Some(Self::Bedrock),
        }
    }

    /// Encodes `request` for `model`, the provider's name of the model, without what is `omitted`.
    ///
    /// # Errors
    /// If the key cannot be sent in a header.
    pub(crate) fn encode(
        self,
        endpoint: &Endpoint,
        model: &str,
        request: &Request,
        omitted: &Omitted,
    ) -> Result<HttpCall, Error> {
        match self {
            Self::OpenAi => openai::encode(endpoint, model, request, omitted),
            Self::Anthropic => anthropic::encode(endpoint, model, request, omitted),
            Self::Bedrock => Ok(bedrock::encode(model, request, omitted)),
        }
    }
}

/// The value of a header with a secret.
fn secret_header(value: &str) -> Result<HeaderValue, Error> {
    let mut value = HeaderValue::from_str(value)
        .map_err(|_| Error::BadRequest("the provider's key has characters that no header can have".into()))?;
    value.set_sensitive(true);
    Ok(value)
}

/// The part of an answer that is still to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// The model has not stopped.
    Open,
    /// The model has stopped. The usage may follow.
    Stopped,
    /// Nothing of use can follow.
    Complete,
}

/// The decoder of one answer.
#[derive(Debug)]
pub(crate) struct Decoder {
    reader: ProtocolReader,
    answer: AnswerState,
    /// The frames so far.
    frames: u32,
    /// The server has said that nothing follows.
    is_done: bool,
    /// The usage that was passed on last.
    usage: Option<Usage>,
}

/// The part of a decoder that knows a protocol.
#[derive(Debug)]
enum ProtocolReader {
    OpenAi(openai::ChunkReader),
    Anthropic(anthropic::EventReader),
    Bedrock(bedrock::StreamReader),
}

impl Decoder {
    pub(crate) fn new(protocol: Protocol) -> Self {
        let reader = match protocol {
            Protocol::OpenAi => ProtocolReader::OpenAi(openai::ChunkReader::default()),
            Protocol::Anthropic => ProtocolReader::Anthropic(anthropic::EventReader::default()),
            Protocol::Bedrock => ProtocolReader::Bedrock(bedrock::StreamReader::default()),
        };
        Self { reader, answer: AnswerState::default(), frames: 0, is_done: false, usage: None }
    }

    /// Takes the next frame and adds what it says to `out`.
    ///
    /// # Errors
    /// If the frame reports an error, or cannot be understood. What came before the error is in `out`.
    pub(crate) fn push(&mut self, frame: Frame<'_>, out: &mut Vec<Raw>) -> Result<(), Error> {
        self.frames += 1;
        if self.is_done || self.answer.is_over() {
            return Ok(());
        }
        if frame.event == "error" && !frame.data.trim_start().starts_with(['{', '[']) {
            return Err(Error::Unavailable(frame.data.to_owned()));
        }
        let number = self.frames;
        let taken = json::documents(frame, |document| self.take(frame.event, document, out));
        self.report_usage(out);
        taken.map_err(|error| match error {
            Error::InvalidAnswer(problem) => Error::InvalidAnswer(format!("frame {number}: {problem}")),
            other => other,
        })
    }

    /// Passes on the usage as soon as it is known, because the answer may be cut.
    fn report_usage(&mut self, out: &mut Vec<Raw>) {
        let usage = self.answer.usage();
        if usage != self.usage {
            out.extend(usage.map(Raw::Usage));
            self.usage = usage;
        }
    }

    /// Ends the answer, because it is complete or the connection is over.
    ///
    /// # Errors
    /// If the answer is not complete.
    pub(crate) fn finish(&mut self, out: &mut Vec<Raw>) -> Result<(), Error> {
        self.answer.finish(out)
    }

    pub(crate) fn progress(&self) -> Progress {
        if self.is_done || (self.answer.has_stopped() && self.answer.has_final_usage()) {
            Progress::Complete
        } else if self.answer.has_stopped() {
            Progress::Stopped
        } else {
            Progress::Open
        }
    }

    fn take(&mut self, event: &str, document: Document, out: &mut Vec<Raw>) -> Result<(), Error> {
        match document {
            Document::Done => {
                self.is_done = true;
                Ok(())
            }
            Document::Json(Value::Object(object)) => self.take_object(event, &object, out),
            // Google's servers wrap an error in a list.
            Document::Json(Value::Array(list)) => {
                list.into_iter().try_for_each(|element| self.take(event, Document::Json(element), out))
            }
            Document::Json(Value::Null) => Ok(()),
            Document::Json(Value::String(text)) if text == "[DONE]" => self.take(event, Document::Done, out),
            Document::Json(_) => Err(Error::InvalidAnswer("it is neither an object nor a list".into())),
        }
    }

    fn take_object(&mut self, event: &str, object: &Object, out: &mut Vec<Raw>) -> Result<(), Error> {
        let Some(error) = failure::in_document(event, object) else { return self.read(event, object, out) };
        // An answer that has ended is complete, whatever fails afterwards.
        if self.answer.has_stopped() {
            return Ok(());
        }
        // Some servers send the rest of the answer in the frame that reports its failure.
        let _ = self.read(event, object, out);
        Err(error)
    }

    fn read(&mut self, event: &str, object: &Object, out: &mut Vec<Raw>) -> Result<(), Error> {
        match &mut self.reader {
            ProtocolReader::OpenAi(reader) => reader.read(object, &mut self.answer, out),
            ProtocolReader::Anthropic(reader) => {
                self.is_done |= reader.read(event, object, &mut self.answer, out)?;
                Ok(())
            }
            ProtocolReader::Bedrock(reader) => reader.read(event, object, &mut self.answer, out),
        }
    }
}

#[cfg(test)]
mod tests;
