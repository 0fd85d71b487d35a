//! The committed API document equals the one that the code generates, and both documents are served.

use std::path::Path;

use sequent_http::{
    openapi,
    testing::{Event, document::faults},
};
use sequent_meta_function::OPENAPI;
use sequent_tables::testing;
use serde_json::Value;

use crate::deployment::{Manager, app, environment, secrets, send};

pub(crate) fn generated() -> String {
    let document = openapi::merge([
        sequent_auth_function::openapi(),
        sequent_chat_function::openapi(),
        sequent_billing_function::openapi(),
        sequent_stripe_webhook_function::openapi(),
        sequent_jobs_function::openapi(),
        sequent_mcp_function::openapi(),
        sequent_projects_function::openapi(),
        sequent_runs_function::openapi(),
        sequent_agents_function::openapi(),
        sequent_schedules_function::openapi(),
        sequent_evaluations_function::openapi(),
        sequent_artifacts_function::openapi(),
        sequent_webhooks_function::openapi(),
        sequent_meta_function::openapi(),
    ]);
    let mut text = document.to_pretty_json().unwrap();
    text.push('\n');
    text
}

#[test]
fn the_committed_openapi_document_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi.json");
    let generated = generated();
    if std::env::var_os("UPDATE_OPENAPI").is_some() {
        std::fs::write(&path, &generated).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap();
    assert!(committed == generated, "openapi.json is out of date. Run the tests once with UPDATE_OPENAPI=1.");
}

/// Collects every `$ref` of the document as a JSON pointer.
fn references(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            if let Some(Value::String(reference)) = members.get("$ref") {
                found.push(reference.trim_start_matches('#').to_owned());
            }
            members.values().for_each(|value| references(value, found));
        }
        Value::Array(values) => values.iter().for_each(|value| references(value, found)),
        _ => {}
    }
}

#[test]
fn every_operation_has_the_documented_form() {
    let document: Value = serde_json::from_str(&generated()).unwrap();
    assert_eq!(faults(&document), Vec::<String>::new());
}

#[test]
fn references_resolve_and_operations_are_complete() {
    let document: Value = serde_json::from_str(&generated()).unwrap();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    let mut pointers = Vec::new();
    references(&document, &mut pointers);
    for pointer in pointers {
        assert!(document.pointer(&pointer).is_some(), "{pointer} does not resolve");
    }
    let mut ids = std::collections::HashSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        assert!(path == "/" || !path.ends_with('/'), "{path}: trailing slashes are removed before routing");
        for (method, operation) in
            item.as_object().unwrap().iter().filter(|(_, value)| value["responses"].is_object())
        {
            let name = format!("{method} {path}");
            let id = operation["operationId"].as_str().unwrap_or_else(|| panic!("{name} has no operationId"));
            assert!(ids.insert(id.to_owned()), "{name}: the operationId {id} is not unique");
            assert!(operation["responses"]["default"].is_object(), "{name} does not name its problems");
            assert!(operation["summary"].is_string(), "{name} has no summary");
        }
    }
}

async fn deployed() -> sequent_http::App {
    app(testing::store().await, Manager::new(secrets()).client(), environment)
}

#[tokio::test]
async fn the_api_document_is_served() {
    let app = deployed().await;
    let with_slash = Event::new("GET", "/api/openapi.json/").send(&app).await;
    for answer in [send(&app, "openapi").await, with_slash] {
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("content-type"), "application/json");
        assert_eq!(answer.header("cache-control"), "public, max-age=60");
        assert_eq!(answer.json(), serde_json::from_str::<Value>(OPENAPI).unwrap());
    }
    assert_eq!(Event::new("GET", "/api/other.json").send(&app).await.code(), "route_not_found");
}

#[tokio::test]
async fn the_error_codes_are_served_as_markdown() {
    let answer = send(&deployed().await, "errors").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), "text/markdown; charset=utf-8");
    assert!(answer.text().starts_with("# Errors\n"), "{}", answer.text());
    assert!(
        answer.text().contains("\n### `route_not_found`\n"),
        "the type of a problem links to its section"
    );
}
