//! Announcements: events whose causes change no row that a stream could show.
//!
//! The cause writes the row in its own transaction, so an event exists if and only if its cause does. The stream of the
//! table carries the row to the function that tells webhooks, and the row expires two days later.

use std::time::Duration;

use sequent_core::TenantId;
use sequent_tables::{Error as TableError, Item, Key, Row, attributes::QUEUED_AT, decode, key};

use crate::WebhookEvent;

/// Longer than a stream keeps its records.
const KEPT: Duration = Duration::from_secs(48 * 3600);

/// Returns the row that announces an event. Put it: a cause that is met again makes the same row.
///
/// # Errors
/// If the data of the event is no plain data.
pub fn announcement(tenant: TenantId, event: &WebhookEvent) -> Result<Row, TableError> {
    let row = Row::new(&key::webhook_event(tenant, event.id), event)?;
    Ok(row.set(QUEUED_AT, event.at.millis()).expires_at(event.at + KEPT))
}

/// Returns the event that a row announces, or `None` if the row is another one.
#[must_use]
pub fn announced(row: &Item) -> Option<(TenantId, WebhookEvent)> {
    let tenant = key::parse_webhook_event(&Key::of_item(row)?)?;
    Some((tenant, decode(row.clone()).ok()?))
}

#[cfg(test)]
mod tests {
    use sequent_core::Timestamp;
    use serde_json::json;

    use super::*;
    use crate::EventType;

    #[test]
    fn an_announced_event_is_read_as_it_was_written() {
        let tenant = TenantId::new();
        let data = json!({"schedule_id": "sch_1", "count": 3, "share": 0.5, "none": null});
        let event = WebhookEvent::new(EventType::ScheduleMissed, Timestamp::from_millis(5), "sch_1", data);
        let row = announcement(tenant, &event).unwrap().into_item();
        assert_eq!(announced(&row), Some((tenant, event)));
    }
}
