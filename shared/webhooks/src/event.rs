//! Events: the facts that webhooks tell, and the form in which they are sent.

use std::fmt;

use sequent_core::{EventId, Timestamp};
use sequent_tables::derived_id_at;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The version of the form of events. A webhook keeps the version that it was created with.
pub const API_VERSION: &str = "2026-12-01";

/// The type of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum EventType {
    /// The first execution of a run has begun.
    #[serde(rename = "run.started")]
    RunStarted,
    /// A run has ended with a complete answer, or was cancelled.
    #[serde(rename = "run.finished")]
    RunFinished,
    /// A run has ended with a failure.
    #[serde(rename = "run.failed")]
    RunFailed,
    /// A run waits for the answer of a person or of a client.
    #[serde(rename = "run.interrupted")]
    RunInterrupted,
    /// An artifact was stored.
    #[serde(rename = "artifact.created")]
    ArtifactCreated,
    /// A job has failed for good.
    #[serde(rename = "job.failed")]
    JobFailed,
    /// Due times of a schedule passed without a run.
    #[serde(rename = "schedule.missed")]
    ScheduleMissed,
    /// The credits of the tenant have become low.
    #[serde(rename = "credits.low")]
    CreditsLow,
    /// A test that a caller asked for. Each webhook receives its own.
    #[serde(rename = "webhook.test")]
    Test,
}

impl EventType {
    /// The name in requests and payloads.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RunStarted => "run.started",
            Self::RunFinished => "run.finished",
            Self::RunFailed => "run.failed",
            Self::RunInterrupted => "run.interrupted",
            Self::ArtifactCreated => "artifact.created",
            Self::JobFailed => "job.failed",
            Self::ScheduleMissed => "schedule.missed",
            Self::CreditsLow => "credits.low",
            Self::Test => "webhook.test",
        }
    }
}

impl fmt::Display for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A fact that webhooks tell.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WebhookEvent {
    /// Derived from the type, the time and the cause, so that the same fact always has the same id.
    pub id: EventId,
    /// The type, by which webhooks choose.
    pub event_type: EventType,
    /// The time of the fact.
    pub at: Timestamp,
    /// Ids and small facts. The receiver reads the rest with its own credential.
    pub data: Value,
}

impl WebhookEvent {
    /// An event. `cause` is what distinguishes it from others of its type, such as the id of the run. It must be the same
    /// whenever the fact is met again.
    #[must_use]
    pub fn new(event_type: EventType, at: Timestamp, cause: impl fmt::Display, data: Value) -> Self {
        let id = EventId::from_bits(derived_id_at(at.millis(), format!("{event_type} {cause}")));
        Self { id, event_type, at, data }
    }

    /// The body of each attempt to deliver the event. Its bytes are signed, so they are made once and stored.
    pub(crate) fn body(&self, api_version: &str, seq: u64) -> String {
        let payload = Payload {
            id: self.id,
            event_type: self.event_type,
            api_version,
            created_at: self.at,
            seq,
            data: &self.data,
        };
        serde_json::to_string(&payload).expect("a payload is plain data")
    }
}

#[derive(Serialize)]
struct Payload<'a> {
    id: EventId,
    #[serde(rename = "type")]
    event_type: EventType,
    api_version: &'a str,
    created_at: Timestamp,
    seq: u64,
    data: &'a Value,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_same_fact_has_the_same_id_and_another_cause_another() {
        let at = Timestamp::from_millis(1_700_000_000_123);
        let event = |cause: &str| WebhookEvent::new(EventType::RunFinished, at, cause, json!({}));
        assert_eq!(event("run_1").id, event("run_1").id);
        assert_ne!(event("run_1").id, event("run_2").id);
        let started = WebhookEvent::new(EventType::RunStarted, at, "run_1", json!({}));
        assert_ne!(event("run_1").id, started.id);
    }

    #[test]
    fn a_payload_has_the_fields_of_the_documentation_in_their_order() {
        let at = Timestamp::from_millis(1_700_000_000_123);
        let event = WebhookEvent {
            id: EventId::from_bits(7),
            ..WebhookEvent::new(EventType::Test, at, 1, json!({"a": 1}))
        };
        let expected = concat!(
            r#"{"id":"evt_00000000000000000000000007","type":"webhook.test","api_version":"2026-12-01","#,
            r#""created_at":"2023-11-14T22:13:20.123Z","seq":3,"data":{"a":1}}"#
        );
        assert_eq!(event.body(API_VERSION, 3), expected);
    }

    #[test]
    fn each_type_is_written_as_it_is_named() {
        for event_type in [EventType::RunStarted, EventType::CreditsLow, EventType::Test] {
            assert_eq!(serde_json::to_value(event_type).unwrap(), event_type.as_str());
        }
    }
}
