//! Parsing of events into the object that they are about.
//!
//! Both forms are accepted: snapshot events (`"object": "event"`), whose copy of the object is ignored, and thin events
//! (`"object": "v2.core.event"`), which have no copy.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Longest accepted id and type. Stripe's ids have at most 255 characters.
const LONGEST: usize = 255;

/// An event with a verified signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The same for every delivery of the event.
    pub id: String,
    /// Type such as `invoice.paid`. An event without a type is ignored.
    pub event_type: Option<String>,
    /// API version of the event. Any version is accepted, because only ids are used.
    pub api_version: Option<String>,
    /// The object that the event is about. `None` if we do not process objects of this kind.
    pub subject: Option<Subject>,
}

/// An object at Stripe.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[expect(missing_docs, reason = "plain data")]
pub struct Subject {
    pub kind: Kind,
    pub id: String,
}

/// Kind of an object at Stripe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the variants are Stripe's names")]
pub enum Kind {
    Customer,
    Subscription,
    Invoice,
    Session,
    Charge,
    Refund,
    Dispute,
}

/// The body is not an event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unreadable(&'static str);

/// The part of the JSON that we read.
#[derive(Deserialize)]
struct Body {
    id: Option<String>,
    #[serde(rename = "type")]
    event_type: Option<String>,
    api_version: Option<String>,
    data: Option<Data>,
    related_object: Option<Related>,
}

#[derive(Deserialize)]
struct Data {
    #[serde(default)]
    object: Value,
}

#[derive(Deserialize)]
struct Related {
    id: Option<String>,
}

impl Event {
    /// Parses the body of a webhook.
    ///
    /// # Errors
    /// Fails if the body is not a JSON object with an id.
    pub fn read(payload: &[u8]) -> Result<Self, Unreadable> {
        let body: Body =
            serde_json::from_slice(payload).map_err(|_| Unreadable("The body is not an event."))?;
        let id = body.id.filter(|id| is_id(id)).ok_or(Unreadable("The event has no id."))?;
        let event_type = body.event_type.filter(|name| !name.is_empty() && name.len() <= LONGEST);
        let about = match body.related_object {
            Some(related) => related.id,
            None => body.data.and_then(|data| data.object["id"].as_str().map(str::to_owned)),
        };
        let kind = event_type.as_deref().and_then(Kind::of_type);
        let subject = kind.zip(about.filter(|id| is_id(id))).map(|(kind, id)| Subject { kind, id });
        Ok(Self { id, event_type, api_version: body.api_version, subject })
    }
}

impl Kind {
    /// Returns the kind of object that events of this type are about, or `None` if we do not process it.
    fn of_type(event_type: &str) -> Option<Self> {
        // Thin events about objects of API v1 have the prefix `v1.`.
        let name = event_type.strip_prefix("v1.").unwrap_or(event_type);
        let kinds = [
            ("customer.subscription.", Self::Subscription),
            ("checkout.session.", Self::Session),
            ("charge.dispute.", Self::Dispute),
            ("charge.refund.", Self::Refund),
            ("refund.", Self::Refund),
            ("charge.", Self::Charge),
            ("invoice.", Self::Invoice),
        ];
        match name {
            "customer.deleted" => Some(Self::Customer),
            _ => kinds.iter().find(|(beginning, _)| name.starts_with(beginning)).map(|(_, kind)| *kind),
        }
    }
}

/// Returns `true` if the text can be an id of Stripe's. Such an id is safe in a URL path.
#[must_use]
pub fn is_id(text: &str) -> bool {
    (1..=LONGEST).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::VERSION;

    fn read(body: &Value) -> Event {
        Event::read(body.to_string().as_bytes()).unwrap()
    }

    fn about(event_type: &str, id: &str) -> Option<Subject> {
        read(&json!({"id": "evt_1", "object": "event", "type": event_type, "data": {"object": {"id": id}}}))
            .subject
    }

    #[test]
    fn an_event_names_its_object() {
        for (event_type, kind) in [
            ("customer.subscription.created", Kind::Subscription),
            ("customer.subscription.trial_will_end", Kind::Subscription),
            ("customer.deleted", Kind::Customer),
            ("invoice.paid", Kind::Invoice),
            ("checkout.session.async_payment_succeeded", Kind::Session),
            ("charge.refunded", Kind::Charge),
            ("charge.refund.updated", Kind::Refund),
            ("refund.failed", Kind::Refund),
            ("charge.dispute.funds_withdrawn", Kind::Dispute),
        ] {
            assert_eq!(
                about(event_type, "x_1"),
                Some(Subject { kind, id: "x_1".to_owned() }),
                "{event_type}"
            );
        }
        for unknown in
            ["customer.updated", "terminal.reader.action_failed", "account.external_account.created", "x"]
        {
            assert_eq!(about(unknown, "x_1"), None, "{unknown}");
        }
        assert_eq!(about("invoice.upcoming", ""), None, "an upcoming invoice has no id");
        assert_eq!(about("invoice.paid", "../refunds"), None, "an id is not a path");
    }

    #[test]
    fn a_thin_event_names_its_object_too() {
        let thin = json!({
            "id": "evt_234", "object": "v2.core.event", "type": "v1.customer.subscription.updated", "livemode": true,
            "created": "2025-10-04T15:13:32.232083866Z",
            "related_object": {"id": "sub_1", "type": "subscription", "url": "/v1/subscriptions/sub_1"},
        });
        let event = read(&thin);
        assert_eq!(event.subject, Some(Subject { kind: Kind::Subscription, id: "sub_1".to_owned() }));
        let other = json!({
            "id": "evt_234", "object": "v2.core.event", "type": "v1.billing.meter.error_report_triggered",
            "created": "2022-02-15T00:27:45.330Z",
        });
        assert_eq!(read(&other).subject, None);
    }

    #[test]
    fn other_versions_and_missing_fields_are_accepted() {
        for version in [json!(VERSION), json!("2020-01-01"), json!("2099-10-10.the_larch"), Value::Null] {
            let event = read(&json!({
                "id": "evt_test_webhook", "object": "event", "api_version": version, "type": "invoice.paid",
                "data": {"object": {"id": "in_1"}},
            }));
            assert!(event.subject.is_some() && event.api_version.as_deref() == version.as_str(), "{version}");
        }
        let bare = read(&json!({"id": "evt_test_webhook", "object": "event"}));
        assert_eq!((bare.event_type, bare.subject), (None, None));
        for none in [
            "",
            "null",
            "[]",
            "{}",
            r#"{"id": 5}"#,
            r#"{"id": "../x"}"#,
            r#"{"id": ""}"#,
            "{\"id\": \"evt_1\"}[",
        ] {
            assert!(Event::read(none.as_bytes()).is_err(), "{none}");
        }
    }
}
