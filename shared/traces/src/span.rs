//! A span, in the form in which OTLP's JSON has it.

use sequent_core::Timestamp;
use serde::{Serialize, Serializer};

use crate::SpanId;

/// A span of a trace.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "plain data")]
pub struct Span {
    pub span_id: SpanId,
    #[serde(rename = "parentSpanId", skip_serializing_if = "Option::is_none")]
    pub parent: Option<SpanId>,
    pub name: String,
    pub kind: SpanKind,
    #[serde(rename = "startTimeUnixNano", serialize_with = "nanoseconds")]
    pub start: Timestamp,
    #[serde(rename = "endTimeUnixNano", serialize_with = "nanoseconds")]
    pub end: Timestamp,
    pub attributes: Vec<Attribute>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<SpanEvent>,
    pub status: SpanStatus,
}

/// The role of a span in the communication between services.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpanKind {
    /// Work of this system.
    Internal,
    /// A request to another one.
    Client,
}

/// Something that happened during a span.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "plain data")]
pub struct SpanEvent {
    #[serde(rename = "timeUnixNano", serialize_with = "nanoseconds")]
    pub at: Timestamp,
    pub name: &'static str,
    pub attributes: Vec<Attribute>,
}

/// The status of a span.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum SpanStatus {
    /// No error is known.
    #[default]
    Unset,
    /// The work failed, for this reason.
    Error(String),
}

/// A named value of a span or an event.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[expect(missing_docs, reason = "plain data")]
pub struct Attribute {
    pub key: &'static str,
    pub value: AttributeValue,
}

/// The value of an attribute.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "named as in OTLP")]
pub enum AttributeValue {
    StringValue(String),
    #[serde(serialize_with = "decimal")]
    IntValue(i64),
    DoubleValue(f64),
    BoolValue(bool),
    ArrayValue {
        values: Vec<AttributeValue>,
    },
}

impl Span {
    /// A span that begins and ends now.
    pub(crate) fn new(span_id: SpanId, name: String, kind: SpanKind, now: Timestamp) -> Self {
        Self {
            span_id,
            parent: None,
            name,
            kind,
            start: now,
            end: now,
            attributes: Vec::new(),
            events: Vec::new(),
            status: SpanStatus::Unset,
        }
    }

    /// Adds an attribute to the span.
    pub(crate) fn set(&mut self, key: &'static str, value: impl Into<AttributeValue>) {
        self.attributes.push(Attribute::new(key, value));
    }

    /// Adds an attribute, unless it has no value.
    pub(crate) fn set_some(&mut self, key: &'static str, value: Option<impl Into<AttributeValue>>) {
        value.into_iter().for_each(|value| self.set(key, value));
    }

    /// Marks the work as failed. `code` is one of few names.
    pub(crate) fn fail(&mut self, code: &str, message: &str) {
        self.set("error.type", code);
        self.status = SpanStatus::Error(message.to_owned());
    }
}

impl Attribute {
    pub(crate) fn new(key: &'static str, value: impl Into<AttributeValue>) -> Self {
        Self { key, value: value.into() }
    }
}

impl From<&str> for AttributeValue {
    fn from(text: &str) -> Self {
        Self::StringValue(text.to_owned())
    }
}

impl From<String> for AttributeValue {
    fn from(text: String) -> Self {
        Self::StringValue(text)
    }
}

impl From<u64> for AttributeValue {
    fn from(number: u64) -> Self {
        Self::IntValue(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl From<u32> for AttributeValue {
    fn from(number: u32) -> Self {
        Self::IntValue(number.into())
    }
}

impl From<f64> for AttributeValue {
    fn from(number: f64) -> Self {
        Self::DoubleValue(number)
    }
}

impl From<bool> for AttributeValue {
    fn from(flag: bool) -> Self {
        Self::BoolValue(flag)
    }
}

impl From<Vec<String>> for AttributeValue {
    fn from(texts: Vec<String>) -> Self {
        Self::ArrayValue { values: texts.into_iter().map(Self::StringValue).collect() }
    }
}

/// Enumerations are numbers in OTLP's JSON.
impl Serialize for SpanKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(match self {
            Self::Internal => 1,
            Self::Client => 3,
        })
    }
}

impl Serialize for SpanStatus {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Error<'a> {
            code: u8,
            message: &'a str,
        }
        #[derive(Serialize)]
        struct Unset {}
        match self {
            Self::Unset => Unset {}.serialize(serializer),
            Self::Error(message) => Error { code: 2, message }.serialize(serializer),
        }
    }
}

/// Integers of 64 bits are decimal texts in the JSON of Protocol Buffers.
fn decimal<S: Serializer>(number: &i64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(number)
}

fn nanoseconds<S: Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&at.millis().max(0).saturating_mul(1_000_000))
}
