//! Every golden event of this function, answered.

use crate::deployment::{Deployment, golden};
use serde_json::json;

/// All golden events there are, so that none is forgotten below.
fn names() -> Vec<String> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../events");
    let mut names: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().to_str()?.strip_suffix(".json").map(str::to_owned))
        .filter(|name| name.starts_with("mcp-"))
        .collect();
    names.sort();
    names
}

/// The status and, for a problem, its code.
fn expected(name: &str) -> (u16, &'static str) {
    match name {
        "mcp-initialize" | "mcp-list-tools" | "mcp-call-start-run" | "mcp-servers-list" => (200, ""),
        "mcp-notify-initialized" => (202, ""),
        "mcp-call-anonymous" => (401, "unauthenticated"),
        "mcp-listen" | "mcp-leave" => (405, "method_not_allowed"),
        "mcp-servers-create-private" | "mcp-servers-create-token-in-clear" => (422, "validation_failed"),
        "mcp-servers-delete" => (404, "not_found"),
        other => panic!("no expectation for {other}"),
    }
}

#[tokio::test]
async fn each_is_answered_as_expected() {
    let deployment = Deployment::new().await;
    let ada = deployment.sign_up("ada@example.com").await;
    let names = names();
    assert_eq!(names.len(), 11);
    for name in names {
        let answer = deployment.send(&golden(&name, &ada)).await;
        let found = (answer.status.as_u16(), answer.code());
        assert_eq!((found.0, found.1.as_str()), expected(&name), "{name}: {}", answer.text());
        assert!(!answer.text().contains("example-token"), "{name}");
    }
}

#[tokio::test]
async fn an_address_that_cannot_be_used_says_where_and_why() {
    let deployment = Deployment::new().await;
    let ada = deployment.sign_up("ada@example.com").await;
    for (name, why) in [
        ("mcp-servers-create-private", "the address is not on the public internet"),
        ("mcp-servers-create-token-in-clear", "must be https where a token is sent"),
    ] {
        let answer = deployment.send(&golden(name, &ada)).await.json();
        assert_eq!(answer["errors"], json!([{"pointer": "#/url", "detail": why}]));
    }
}
