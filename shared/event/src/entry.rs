//! The form in which events are stored and sent.

use sequent_core::Timestamp;
use serde::{Deserialize, Serialize, Serializer, de, ser::SerializeMap};
use serde_json::{Map, Value};

use crate::{Body, Seq};

/// An event that this build understands, or an unchanged one from a newer writer.
#[derive(Debug, Clone, PartialEq)]
pub enum Payload {
    /// An event of a type and version that this build knows.
    Known(Body),
    /// All fields of any other event, `type` and `v` included.
    Unknown(Map<String, Value>),
}

/// An event without its position, as a writer passes it to the log.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The time of the event, by the writer's clock.
    pub at: Timestamp,
    #[expect(missing_docs, reason = "plain data")]
    pub payload: Payload,
}

/// A stored text that is not an event.
#[derive(Debug, thiserror::Error)]
#[error("not an event: {0}")]
pub struct Malformed(#[from] serde_json::Error);

impl Entry {
    /// Creates an entry that this build understands.
    #[must_use]
    pub const fn new(at: Timestamp, body: Body) -> Self {
        Self { at, payload: Payload::Known(body) }
    }

    /// The body. Returns `None` if this build does not understand the event.
    #[must_use]
    pub const fn body(&self) -> Option<&Body> {
        match &self.payload {
            Payload::Known(body) => Some(body),
            Payload::Unknown(_) => None,
        }
    }

    /// The name of the type on the wire.
    #[must_use]
    pub fn type_name(&self) -> &str {
        match &self.payload {
            Payload::Known(body) => body.type_name(),
            Payload::Unknown(fields) => fields.get("type").and_then(Value::as_str).unwrap_or_default(),
        }
    }

    /// Gives the entry a position in the log.
    #[must_use]
    pub const fn at_seq(self, seq: Seq) -> Event {
        Event { seq, entry: self }
    }
}

/// Serialises as `{type, v, timestamp, ...fields}`. Unknown entries keep the stored order of fields.
impl Serialize for Entry {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Envelope { seq: None, entry: self }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Entry {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut fields = Map::deserialize(deserializer)?;
        let at = fields
            .get("timestamp")
            .and_then(Value::as_i64)
            .map(Timestamp::from_millis)
            .ok_or_else(|| de::Error::missing_field("timestamp"))?;
        let name =
            fields.get("type").and_then(Value::as_str).ok_or_else(|| de::Error::missing_field("type"))?;
        let v = fields.get("v").and_then(Value::as_u64).unwrap_or(1);
        let known = u16::try_from(v).is_ok_and(|v| Body::understands(name, v));
        fields = without(fields, "timestamp");
        let payload = if known {
            fields = without(fields, "v");
            Payload::Known(Body::deserialize(Value::Object(fields)).map_err(de::Error::custom)?)
        } else {
            Payload::Unknown(fields)
        };
        Ok(Self { at, payload })
    }
}

/// An entry with its position in the log. Serialises as `{seq, type, v, timestamp, ...fields}`, the form that
/// SSE data and JSON lists share.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "plain data")]
pub struct Event {
    pub seq: Seq,
    pub entry: Entry,
}

impl Event {
    /// The body. Returns `None` if this build does not understand the event.
    #[must_use]
    pub const fn body(&self) -> Option<&Body> {
        self.entry.body()
    }

    /// Returns `true` if the event ends an execution and so closes the log.
    #[must_use]
    pub fn is_terminal(&self) -> bool {
        self.body().is_some_and(Body::is_terminal)
    }

    /// Returns `true` if a log that ends with this event is closed: see [`Body::leaves_closed`].
    #[must_use]
    pub fn leaves_closed(&self) -> bool {
        self.body().is_some_and(Body::leaves_closed)
    }
}

impl Serialize for Event {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Envelope { seq: Some(self.seq), entry: &self.entry }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Event {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let fields = Map::deserialize(deserializer)?;
        let seq = fields.get("seq").ok_or_else(|| de::Error::missing_field("seq"))?;
        let seq = Seq::deserialize(seq).map_err(de::Error::custom)?;
        let entry = Entry::deserialize(Value::Object(without(fields, "seq"))).map_err(de::Error::custom)?;
        Ok(Self { seq, entry })
    }
}

/// Returns the other fields in their order. `Map::remove` would move the last field into the gap if any crate
/// of the build enables serde_json's `preserve_order`, and an unknown event would no longer replay byte for
/// byte.
fn without(fields: Map<String, Value>, name: &str) -> Map<String, Value> {
    fields.into_iter().filter(|(field, _)| field != name).collect()
}

/// Fixes the order of the envelope's fields, in this place only: a replay must give the same bytes as the
/// live stream.
struct Envelope<'a> {
    seq: Option<Seq>,
    entry: &'a Entry,
}

impl Serialize for Envelope<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Known<'a> {
            #[serde(skip_serializing_if = "Option::is_none")]
            seq: Option<Seq>,
            v: u16,
            timestamp: i64,
            #[serde(flatten)]
            body: &'a Body,
        }
        let timestamp = self.entry.at.millis();
        match &self.entry.payload {
            Payload::Known(body) => {
                Known { seq: self.seq, v: body.version(), timestamp, body }.serialize(serializer)
            }
            Payload::Unknown(fields) => {
                let mut map = serializer.serialize_map(None)?;
                if let Some(seq) = self.seq {
                    map.serialize_entry("seq", &seq)?;
                }
                map.serialize_entry("timestamp", &timestamp)?;
                for (name, value) in fields {
                    map.serialize_entry(name, value)?;
                }
                map.end()
            }
        }
    }
}

#[cfg(test)]
#[path = "entry/tests.rs"]
mod tests;
