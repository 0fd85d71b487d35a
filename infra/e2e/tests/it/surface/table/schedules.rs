//! The routes of schedules.

use serde_json::{Value, json};

use super::{Call, Entry, QUESTION, as_agents, entry, keyed, list, missing};
use crate::surface::Belongings;

/// Returns the names of a route whose body is a schedule.
macro_rules! with_schedule {
    ($others:literal) => {
        concat!(
            $others,
            " name cron every_seconds time_zone agent input variables project overlap catch_up starts_at ends_at jitter_seconds"
        )
    };
}

pub(super) fn schedules() -> Vec<Entry> {
    vec![
        entry("GET /api/schedules", "limit cursor", |of| list("/api/schedules", &of.cursors.schedules)),
        entry("POST /api/schedules", with_schedule!("Idempotency-Key"), |of| {
            [keyed(of, "/api/schedules"), as_agents(of, "/api/schedules", &schedule())].concat()
        }),
        entry("GET /api/schedules/{id}", "id", |of| vec![one(of, "")]),
        entry("PATCH /api/schedules/{id}", with_schedule!("id paused"), |of| {
            vec![one(of, "").body(json!({"paused": false})), one(of, "").body(json!({"input": QUESTION}))]
        }),
        entry("POST /api/schedules/{id}/run", "Idempotency-Key id", |of| {
            let run = one(of, "/run");
            let path = format!("/api/schedules/{}/run", of.schedule);
            [vec![run], keyed(of, &path)].concat()
        }),
        entry("DELETE /api/schedules/{id}", "id", |of| vec![one(of, "")]),
    ]
}

/// Returns the creations that are repeated with an `Idempotency-Key`.
pub(super) fn repeatable(of: &Belongings) -> [Call; 2] {
    [Call::to("/api/schedules").body(schedule()), one(of, "/run")]
}

/// A schedule that is not due in this century.
fn schedule() -> Value {
    json!({"name": "theirs", "input": QUESTION, "every_seconds": 60, "starts_at": "2120-01-01T00:00:00Z"})
}

fn one(of: &Belongings, rest: &str) -> Call {
    missing(format!("/api/schedules/{}{rest}", of.schedule))
}
