//! The golden events of this function and their responses.

use crate::deployment::{Deployment, RUN, golden};
use sequent_core::golden::cases;
use serde_json::{Value, json};

/// The status and, for a problem, its code.
fn expected(name: &str) -> (u16, &'static str) {
    match name {
        "cancel" | "get" | "list" | "list-mine" => (200, ""), // the run has ended
        "create" => (202, ""),
        "create-in-project" => (404, "not_found"), // the project belongs to another tenant
        "create-no-input" => (422, "validation_failed"),
        "steer" => (409, "run_closed"), // the run has ended
        "get-malformed-id" => (404, "not_found"),
        "list-forged-cursor" => (400, "invalid_cursor"),
        "list-limit-zero" => (400, "invalid_query"),
        other => panic!("add the expected status of {other}"),
    }
}

#[tokio::test]
async fn every_golden_event_has_its_status_and_code() {
    let deployment = Deployment::new().await;
    let ada = deployment.sign_up("ada@example.com").await;
    deployment.complete(&ada, RUN.parse().unwrap()).await;
    for name in cases("runs") {
        let answer = deployment.send(&golden(&name, &ada)).await;
        let found = (answer.status.as_u16(), answer.code());
        assert_eq!((found.0, found.1.as_str()), expected(&name), "{name}: {}", answer.text());
        assert!(!answer.header("x-request-id").is_empty(), "{name}");
    }
}

#[tokio::test]
async fn a_run_has_the_documented_shape() {
    let deployment = Deployment::new().await;
    let ada = deployment.sign_up("ada@example.com").await;
    deployment.complete(&ada, RUN.parse().unwrap()).await;
    let run = deployment.send(&golden("get", &ada)).await.json();
    let mut fields: Vec<_> = run.as_object().unwrap().keys().map(String::as_str).collect();
    fields.sort_unstable();
    let documented = [
        "budget",
        "completed_at",
        "cost",
        "created_at",
        "deliverable_type",
        "error",
        "id",
        "interrupts",
        "model",
        "orchestration",
        "parent_run_id",
        "project_id",
        "scopes",
        "started_at",
        "status",
        "tools",
        "usage",
        "user_id",
    ];
    assert_eq!(fields, documented);
    assert_eq!(
        (&run["id"], &run["status"], &run["user_id"]),
        (&json!(RUN), &json!("success"), &json!(ada.user()))
    );
    assert_eq!(run["cost"], json!({ "micro_usd": 0, "incomplete": false }));
    assert!(run["usage"]["output_tokens"].as_u64().unwrap() > 10, "{run}");
    assert_eq!((&run["parent_run_id"], &run["error"]), (&Value::Null, &Value::Null));
    for time in ["created_at", "started_at", "completed_at"] {
        assert!(run[time].as_str().unwrap().ends_with('Z'), "{time}: {run}");
    }
    let list = deployment.send(&golden("list", &ada)).await.json();
    assert_eq!(list, json!({ "items": [run], "next_cursor": null }));
}
