//! The routes of webhooks and their deliveries.

use serde_json::json;

use super::{Call, Entry, entry, missing};
use crate::surface::Belongings;

pub(super) fn webhooks() -> Vec<Entry> {
    vec![
        entry("GET /api/webhooks", "", |_| vec![Call::to("/api/webhooks")]),
        entry("POST /api/webhooks", "url events description enabled", |_| {
            // Disabled: the other calls must not send anything to a stranger.
            let new = json!({"url": "https://example.com/", "events": ["run.failed"], "enabled": false});
            vec![Call::to("/api/webhooks").body(new)]
        }),
        entry("GET /api/webhooks/{id}", "id", |of| vec![missing(webhook(of, ""))]),
        entry("PATCH /api/webhooks/{id}", "id url events description enabled", |of| {
            vec![missing(webhook(of, "")).body(json!({"description": "theirs"}))]
        }),
        entry("DELETE /api/webhooks/{id}", "id", |of| vec![missing(webhook(of, ""))]),
        entry("POST /api/webhooks/{id}/secret", "id", |of| vec![missing(webhook(of, "/secret"))]),
        entry("POST /api/webhooks/{id}/test", "id", |of| vec![missing(webhook(of, "/test"))]),
        entry("GET /api/webhooks/{id}/deliveries", "id status limit cursor", |of| {
            let after = format!("/deliveries?cursor={}", of.cursors.deliveries);
            vec![missing(webhook(of, "/deliveries")), missing(webhook(of, &after))]
        }),
        entry("GET /api/webhooks/{id}/deliveries/{delivery}", "id delivery", |of| {
            vec![missing(webhook(of, &format!("/deliveries/{}", of.delivery)))]
        }),
        entry("POST /api/webhooks/{id}/deliveries/{delivery}/redeliver", "id delivery", |of| {
            vec![missing(webhook(of, &format!("/deliveries/{}/redeliver", of.delivery)))]
        }),
    ]
}

fn webhook(of: &Belongings, rest: &str) -> String {
    format!("/api/webhooks/{}{rest}", of.webhook)
}
