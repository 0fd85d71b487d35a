//! Typed ids: a short prefix that names the kind, an underscore and a ULID, such as `run_01K9Z3...`.
//!
//! ULIDs sort by creation time, so a list can be paged newest first by the key alone. Because of the prefix, a run id in
//! the place of a project id is an error of the request and not an empty result.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use ulid::Ulid;

use crate::Timestamp;

/// The text is not an id of the expected kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a valid {kind} id: expected `{prefix}_` followed by 26 characters of Crockford base 32")]
pub struct ParseError {
    kind: &'static str,
    prefix: &'static str,
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident, $prefix:literal, $kind:literal;)+) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Ulid);

        impl $name {
            /// The text before the underscore.
            pub const PREFIX: &'static str = $prefix;

            /// A new id: 48 bits of the current time and 80 random bits.
            #[must_use]
            #[expect(clippy::new_without_default, reason = "a default id would hide that it is random")]
            pub fn new() -> Self {
                Self(Ulid::generate())
            }

            /// An id from its 128 bits, for derived ids (a deterministic retry, a simulation).
            #[must_use]
            pub const fn from_bits(bits: u128) -> Self {
                Self(Ulid(bits))
            }

            /// The 128 bits of the id.
            #[must_use]
            pub const fn bits(self) -> u128 {
                self.0.0
            }

            /// The time at which the id was created, in milliseconds.
            #[must_use]
            pub fn created_at(self) -> Timestamp {
                Timestamp::from_millis(self.0.timestamp_ms().cast_signed())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "_{}"), self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = ParseError;

            fn from_str(text: &str) -> Result<Self, ParseError> {
                text.strip_prefix(concat!($prefix, "_"))
                    .and_then(|rest| {
                        let ulid = Ulid::from_string(rest).ok()?;
                        // Crockford's alphabet has aliases and ignores case, and 26 characters hold 130 bits. Only
                        // one spelling of an id is accepted.
                        (ulid.to_string() == rest).then_some(ulid)
                    })
                    .map(Self)
                    .ok_or(ParseError { kind: $kind, prefix: $prefix })
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(de::Error::custom)
            }
        }

        #[cfg(feature = "openapi")]
        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
                utoipa::openapi::ObjectBuilder::new()
                    .schema_type(utoipa::openapi::schema::Type::String)
                    .pattern(Some(concat!("^", $prefix, "_[0-7][0-9A-HJKMNP-TV-Z]{25}$")))
                    .description(Some(concat!("Id of a ", $kind, ".")))
                    .into()
            }
        }

        #[cfg(feature = "openapi")]
        impl utoipa::ToSchema for $name {}
    )+};
}

ids! {
    /// The isolation and billing unit. Every key of every table begins with one.
    TenantId, "ten", "tenant";
    /// A person who signs in.
    UserId, "usr", "user";
    /// A refresh-token family: one signed-in device.
    SessionId, "ses", "session";
    /// A credential for programs.
    ApiKeyId, "key", "API key";
    /// An invitation to register.
    InvitationId, "inv", "invitation";
    /// A conversation. Protocol adapters call it chat or thread.
    ProjectId, "prj", "project";
    /// One user or assistant turn of a project.
    MessageId, "msg", "message";
    /// A dataset: inputs for agents with the answers that are expected.
    DatasetId, "dat", "dataset";
    /// The definition of an agent, in all its versions.
    AgentId, "agt", "agent";
    /// A schedule, which starts runs at the times that it names.
    ScheduleId, "sch", "schedule";
    /// A note that an agent keeps about a person.
    NoteId, "note", "note";
    /// One execution of the agent.
    RunId, "run", "run";
    /// One call of a tool within a run.
    ToolCallId, "call", "tool call";
    /// One question of a run to a person.
    InterruptId, "int", "interrupt";
    /// A named file that a run, a job or a person created.
    ArtifactId, "art", "artifact";
    /// A person, place or other named thing in a document.
    EntityId, "ent", "entity";
    /// A job: one background task.
    JobId, "job", "job";
    /// One entry of a tenant's ledger. Its amounts sum to zero.
    PostingId, "pst", "posting";
    /// Credits that were granted together.
    GrantId, "grt", "grant";
    /// An address that events are sent to.
    WebhookId, "whk", "webhook";
    /// A fact that webhooks tell.
    EventId, "evt", "event";
    /// The delivery of an event to a webhook.
    DeliveryId, "dlv", "delivery";
    /// An address at which other systems start runs.
    HookId, "hok", "hook";
    /// One HTTP request. The client or the pipeline creates the id.
    RequestId, "req", "request";
}

impl TenantId {
    /// The deployment itself. It owns what belongs to no customer, such as maintenance jobs and unreadable messages. A
    /// sign-up cannot get this id, because its time is in the year 1970, and no credential has it.
    pub const SYSTEM: Self = Self::from_bits(0);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn text_round_trips(bits: u128) {
            let id = RunId::from_bits(bits);
            prop_assert_eq!(id.to_string().parse::<RunId>().unwrap(), id);
            let json = serde_json::to_string(&id).unwrap();
            prop_assert_eq!(serde_json::from_str::<RunId>(&json).unwrap(), id);
        }

        #[test]
        fn arbitrary_text_never_panics_and_only_canonical_text_parses(text in ".{0,40}") {
            if let Ok(id) = text.parse::<RunId>() {
                prop_assert_eq!(id.to_string(), text);
            }
        }
    }

    #[test]
    fn an_id_of_another_kind_is_refused() {
        let project = ProjectId::new().to_string();
        let error = project.parse::<RunId>().unwrap_err();
        assert!(error.to_string().contains("run"), "{error}");
    }

    #[test]
    fn only_one_spelling_of_an_id_exists() {
        let id = RunId::new().to_string();
        assert!(id.to_lowercase().parse::<RunId>().is_err());
        assert!("run_ZZZZZZZZZZZZZZZZZZZZZZZZZZ".parse::<RunId>().is_err(), "over 128 bits");
    }
}
