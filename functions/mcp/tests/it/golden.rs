//! The golden events of this function and their responses.

use insta::assert_snapshot;
use sequent_http::testing::golden::Golden;

use crate::deployment::{Deployment, golden};

async fn answer(case: &str) -> String {
    let deployment = Deployment::new().await;
    let ada = deployment.sign_up("ada@example.com").await;
    let event = golden(case, &ada);
    let answer = deployment.send(&event).await;
    assert!(!answer.text().contains("example-token"), "{case}");
    Golden::new("mcp", &sequent_mcp_function::openapi()).render(&event, &answer)
}

#[test]
fn every_golden_event_is_tested() {
    let sources = concat!(include_str!("golden.rs"), include_str!("endpoint.rs"));
    Golden::new("mcp", &sequent_mcp_function::openapi()).assert_all_tested(sources);
}

#[tokio::test]
async fn a_client_initializes() {
    assert_snapshot!(answer("initialize").await, @"");
}

#[tokio::test]
async fn a_notification_has_no_response() {
    assert_snapshot!(answer("notify-initialized").await, @"");
}

#[tokio::test]
async fn the_tools_have_schemas() {
    assert_snapshot!(answer("list-tools").await, @"");
}

#[tokio::test]
async fn a_call_starts_a_run() {
    assert_snapshot!(answer("call-start-run").await, @"");
}

#[tokio::test]
async fn a_call_needs_a_credential() {
    assert_snapshot!(answer("call-anonymous").await, @"");
}

#[tokio::test]
async fn there_is_no_stream() {
    assert_snapshot!(answer("listen").await, @"");
}

#[tokio::test]
async fn there_is_no_session() {
    assert_snapshot!(answer("leave").await, @"");
}

#[tokio::test]
async fn a_new_tenant_has_no_servers() {
    assert_snapshot!(answer("servers-list").await, @"");
}

#[tokio::test]
async fn a_server_in_a_private_network_is_refused() {
    assert_snapshot!(answer("servers-create-private").await, @"");
}

#[tokio::test]
async fn a_token_is_not_sent_in_clear_text() {
    assert_snapshot!(answer("servers-create-token-in-clear").await, @"");
}

#[tokio::test]
async fn an_unknown_server_is_not_found() {
    assert_snapshot!(answer("servers-delete").await, @"");
}
