//! Rules for the text of API descriptions.

use std::collections::HashSet;

use serde_json::Value;

/// The verbs that operations are named with.
const VERBS: [&str; 49] = [
    "add", "adjust", "answer", "buy", "call", "cancel", "change", "close", "complete", "continue", "create",
    "delete", "end", "enqueue", "export", "follow", "fork", "generate", "get", "list", "listen", "manage",
    "name", "offer", "open", "present", "preview", "receive", "redrive", "refresh", "register", "rename",
    "replace", "replay", "request", "reset", "resume", "revoke", "send", "sign", "start", "steer", "stream",
    "submit", "suspend", "unlock", "update", "upload", "verify",
];

/// Lists the violations of the rules, one per line; empty if there are none:
///
/// * An operation id is `verb_noun` in snake case, and unique.
/// * A summary is one imperative sentence that begins with a verb and ends with a full stop. Only a deprecated
///   operation may have the summary of another.
/// * Each operation documents its problems, and has a tag that the document describes.
#[must_use]
pub fn faults(document: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    let mut ids = HashSet::new();
    let mut summaries = HashSet::new();
    for (name, operation) in operations(document) {
        let id = operation["operationId"].as_str().unwrap_or_default();
        if !is_verb_noun(id) {
            faults.push(format!("{name}: the operation id `{id}` is not verb_noun"));
        }
        if !ids.insert(id) {
            faults.push(format!("{name}: the operation id `{id}` is not unique"));
        }
        let summary = operation["summary"].as_str().unwrap_or_default();
        if !is_imperative(summary) {
            faults.push(format!("{name}: the summary `{summary}` is not an imperative sentence"));
        }
        if operation["deprecated"] != true && !summaries.insert(summary) {
            faults.push(format!("{name}: the summary `{summary}` is not unique"));
        }
        if !operation["responses"]["default"].is_object() {
            faults.push(format!("{name}: the problems are not documented"));
        }
        let tag = operation["tags"][0].as_str().unwrap_or_default();
        if !is_described(document, tag) {
            faults.push(format!("{name}: the tag `{tag}` has no description"));
        }
    }
    faults
}

/// The operations of a document, each with its method and path.
fn operations(document: &Value) -> impl Iterator<Item = (String, &Value)> {
    let paths = document["paths"].as_object().into_iter().flatten();
    paths.flat_map(|(path, item)| {
        let members = item.as_object().into_iter().flatten();
        members
            .filter(|(_, member)| member["responses"].is_object())
            .map(move |(method, operation)| (format!("{method} {path}"), operation))
    })
}

fn is_verb_noun(id: &str) -> bool {
    let snake_case = id.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    snake_case && id.split_once('_').is_some_and(|(verb, noun)| VERBS.contains(&verb) && !noun.is_empty())
}

fn is_imperative(summary: &str) -> bool {
    let verb = summary.split(' ').next().unwrap_or_default().to_lowercase();
    VERBS.contains(&verb.as_str()) && summary.ends_with('.') && summary.matches('.').count() == 1
}

fn is_described(document: &Value, tag: &str) -> bool {
    let tags = document["tags"].as_array().into_iter().flatten();
    tags.filter(|known| known["name"] == tag).any(|known| known["description"].is_string())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn document(id: &str, summary: &str) -> Value {
        json!({
            "tags": [{ "name": "runs", "description": "Runs." }],
            "paths": { "/api/runs": { "get": {
                "operationId": id, "summary": summary, "tags": ["runs"], "responses": { "default": {} },
            } } },
        })
    }

    #[test]
    fn only_verb_noun_ids_and_imperative_summaries_pass() {
        assert_eq!(faults(&document("list_runs", "List the runs.")), Vec::<String>::new());
        for (id, summary) in [
            ("runs", "List the runs."),
            ("listRuns", "List the runs."),
            ("list_runs", "Lists the runs."),
            ("list_runs", "List the runs"),
            ("list_runs", "List the runs. Then stop."),
        ] {
            assert_eq!(faults(&document(id, summary)).len(), 1, "{id} {summary}");
        }
    }
}
