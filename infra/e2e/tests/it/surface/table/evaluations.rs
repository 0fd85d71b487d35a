//! The routes of feedback lists, statistics and datasets.

use serde_json::json;

use super::{Call, Entry, Foreign, entry, keyed, list, missing};
use crate::surface::Belongings;

pub(super) fn evaluations() -> Vec<Entry> {
    vec![
        entry("GET /api/feedback", "agent version limit cursor", |of| {
            let of_agent = Call::to(format!("/api/feedback?agent={}", of.agent)).is(Foreign::NoAgent);
            [vec![of_agent], list("/api/feedback", &of.cursors.feedback)].concat()
        }),
        entry("GET /api/agents/{id}/versions/{version}/statistics", "id version", |of| {
            let path = format!("/api/agents/{}/versions/1/statistics", of.agent);
            vec![Call::to(path).is(Foreign::NoAgent)]
        }),
        entry("GET /api/datasets", "limit cursor", |of| list("/api/datasets", &of.cursors.datasets)),
        entry(
            "POST /api/datasets",
            "Idempotency-Key name description items given runs rated agent version thumb input variables expected metadata run_id",
            |of| {
                let from = |items| Call::to("/api/datasets").body(json!({"name": "theirs", "items": items}));
                let run = from(json!({"runs": [of.run]})).is(Foreign::Missing);
                let rated = from(json!({"rated": {"agent": of.agent, "version": 1}})).is(Foreign::NoAgent);
                [vec![run, rated], keyed(of, "/api/datasets")].concat()
            },
        ),
        entry("GET /api/datasets/{id}", "id", |of| vec![dataset(of, "")]),
        entry("GET /api/datasets/{id}/items", "id limit cursor", |of| {
            vec![dataset(of, "/items"), dataset(of, &format!("/items?cursor={}", of.cursors.dataset_items))]
        }),
        entry(
            "POST /api/datasets/{id}/items",
            "Idempotency-Key id given runs rated agent version thumb input variables expected metadata run_id",
            |of| {
                let path = format!("/api/datasets/{}/items", of.dataset);
                let add = dataset(of, "/items").body(json!({"given": [{"input": "Why?"}]}));
                [vec![add], keyed(of, &path)].concat()
            },
        ),
        entry("DELETE /api/datasets/{id}", "id", |of| vec![dataset(of, "")]),
    ]
}

/// Returns the creations that are repeated with an `Idempotency-Key`.
pub(super) fn repeatable(of: &Belongings) -> [Call; 2] {
    let items = json!({"given": [{"input": "Why?"}]});
    [
        Call::to("/api/datasets").body(json!({"name": "keyed", "items": items})),
        dataset(of, "/items").body(items),
    ]
}

fn dataset(of: &Belongings, rest: &str) -> Call {
    missing(format!("/api/datasets/{}{rest}", of.dataset))
}
