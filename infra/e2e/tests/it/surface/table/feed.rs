//! The routes of the feed.

use super::{Call, Entry, entry};

pub(super) fn feed() -> Vec<Entry> {
    vec![
        entry("GET /api/feed", "after types limit Last-Event-ID", |_| {
            let json = |call: Call| call.header("accept", "application/json");
            vec![
                json(Call::to("/api/feed?limit=1000")),
                json(Call::to("/api/feed?types=run.created,run.ended&after=1")),
                json(Call::to("/api/feed?limit=1000")).header("last-event-id", "1"),
            ]
        }),
        entry("GET /api/feed/snapshot", "", |_| vec![Call::to("/api/feed/snapshot")]),
    ]
}
