//! The routes of hooks.

use serde_json::json;

use super::{Call, Entry, Foreign, as_agents, entry, missing};
use crate::surface::Belongings;

pub(super) fn hooks() -> Vec<Entry> {
    vec![
        entry("GET /api/hooks", "", |_| vec![Call::to("/api/hooks")]),
        entry(
            "POST /api/hooks",
            "name agent input variables project on_conflict enabled signed secret",
            |of| {
                let new = json!({"name": "theirs", "input": "theirs", "signed": true});
                let own = Call::to("/api/hooks").body(new.clone());
                [vec![own], as_agents(of, "/api/hooks", &new)].concat()
            },
        ),
        entry("GET /api/hooks/{id}", "id", |of| vec![one(of, "")]),
        entry(
            "PATCH /api/hooks/{id}",
            "id name agent input variables project on_conflict enabled signed secret",
            |of| {
                vec![one(of, "").body(json!({"enabled": true})), one(of, "").body(json!({"input": "theirs"}))]
            },
        ),
        // The token is the credential of this route, and the id of a hook is not its token.
        entry(
            "POST /api/hooks/{id}",
            "Idempotency-Key id webhook-id webhook-timestamp webhook-signature",
            |of| vec![one(of, "").body(json!({"ticket": 17})).is(Foreign::Same)],
        ),
        entry("POST /api/hooks/{id}/token", "id", |of| vec![one(of, "/token")]),
        entry("DELETE /api/hooks/{id}", "id", |of| vec![one(of, "")]),
    ]
}

fn one(of: &Belongings, rest: &str) -> Call {
    missing(format!("/api/hooks/{}{rest}", of.hook))
}
