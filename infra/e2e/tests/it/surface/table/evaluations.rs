//! The routes of feedback lists, statistics, datasets and evaluations.

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
        entry("GET /api/evaluations", "dataset limit cursor", |of| {
            let cursors = &of.cursors;
            let with_dataset = format!("/api/evaluations?dataset={}", of.dataset);
            // A cursor belongs to the list without a dataset.
            [list("/api/evaluations", &cursors.evaluations), vec![Call::to(with_dataset)]].concat()
        }),
        entry(
            "POST /api/evaluations",
            "Idempotency-Key dataset_id agent scorers type schema pointer criteria repetitions name budget max_steps max_tokens max_cost_micro_usd max_seconds",
            |of| [vec![evaluate(of)], keyed(of, "/api/evaluations")].concat(),
        ),
        entry("GET /api/evaluations/{id}", "id", |of| vec![evaluation(of, "")]),
        entry("GET /api/evaluations/{id}/results", "id limit cursor", |of| {
            vec![evaluation(of, "/results"), evaluation(of, "/results?cursor=1.1")]
        }),
    ]
}

/// Returns the creations that are repeated with an `Idempotency-Key`.
pub(super) fn repeatable(of: &Belongings) -> [Call; 3] {
    let items = json!({"given": [{"input": "Why?"}]});
    [
        Call::to("/api/datasets").body(json!({"name": "keyed", "items": items})),
        dataset(of, "/items").body(items),
        evaluate(of),
    ]
}

/// A request for an evaluation. An unknown dataset is found out before an unknown agent.
fn evaluate(of: &Belongings) -> Call {
    let scorers = json!([{"type": "exact"}]);
    missing("/api/evaluations".to_owned())
        .body(json!({"dataset_id": of.dataset, "agent": of.agent, "scorers": scorers}))
}

fn evaluation(of: &Belongings, rest: &str) -> Call {
    missing(format!("/api/evaluations/{}{rest}", of.evaluation))
}

fn dataset(of: &Belongings, rest: &str) -> Call {
    missing(format!("/api/datasets/{}{rest}", of.dataset))
}
