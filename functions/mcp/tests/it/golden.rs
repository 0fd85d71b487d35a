//! The golden events of this function and their responses.

use crate::deployment::{Deployment, golden};
use sequent_core::golden::cases;
use serde_json::json;

/// The status and, for a problem, its code.
fn expected(name: &str) -> (u16, &'static str) {
    match name {
        "initialize" | "list-tools" | "call-start-run" | "servers-list" => (200, ""),
        "notify-initialized" => (202, ""),
        "call-anonymous" => (401, "unauthenticated"),
        "listen" | "leave" => (405, "method_not_allowed"),
        "servers-create-private" | "servers-create-token-in-clear" => (422, "validation_failed"),
        "servers-delete" => (404, "not_found"),
        other => panic!("add the expected status of {other}"),
    }
}

#[tokio::test]
async fn every_golden_event_has_its_status_and_code() {
    let deployment = Deployment::new().await;
    let ada = deployment.sign_up("ada@example.com").await;
    let names = cases("mcp");
    assert_eq!(names.len(), 11);
    for name in names {
        let answer = deployment.send(&golden(&name, &ada)).await;
        let found = (answer.status.as_u16(), answer.code());
        assert_eq!((found.0, found.1.as_str()), expected(&name), "{name}: {}", answer.text());
        assert!(!answer.text().contains("example-token"), "{name}");
    }
}

#[tokio::test]
async fn an_address_that_is_not_allowed_is_refused_with_the_reason() {
    let deployment = Deployment::new().await;
    let ada = deployment.sign_up("ada@example.com").await;
    for (name, why) in [
        ("servers-create-private", "the address is not on the public internet"),
        ("servers-create-token-in-clear", "must be https if a token is sent"),
    ] {
        let answer = deployment.send(&golden(name, &ada)).await.json();
        assert_eq!(answer["errors"], json!([{"pointer": "#/url", "detail": why}]));
    }
}
