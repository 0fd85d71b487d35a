//! The golden events of this function and their responses.

use insta::assert_snapshot;
use sequent_http::testing::golden::Golden;
use serde_json::json;

use crate::deployment::{Deployment, RUN, golden};

/// Sends the event in a deployment with one run that has ended, and renders the response.
async fn answer(case: &str) -> String {
    let deployment = Deployment::new().await;
    let ada = deployment.sign_up("ada@example.com").await;
    deployment.complete(&ada, RUN.parse().unwrap()).await;
    let event = golden(case, &ada);
    let answer = deployment.send(&event).await;
    assert!(!answer.header("x-request-id").is_empty(), "{case}");
    Golden::new("runs", &sequent_runs_function::openapi()).render(&event, &answer)
}

#[test]
fn every_golden_event_is_tested() {
    Golden::new("runs", &sequent_runs_function::openapi()).assert_all_tested(include_str!("golden.rs"));
}

#[tokio::test]
async fn a_created_run_is_pending() {
    assert_snapshot!(answer("create").await, @"");
}

#[tokio::test]
async fn a_run_cannot_be_created_in_the_project_of_another_tenant() {
    assert_snapshot!(answer("create-in-project").await, @"");
}

#[tokio::test]
async fn a_run_needs_an_input() {
    assert_snapshot!(answer("create-no-input").await, @"");
}

#[tokio::test]
async fn a_run_is_shown() {
    assert_snapshot!(answer("get").await, @"");
}

#[tokio::test]
async fn a_malformed_id_is_not_found() {
    assert_snapshot!(answer("get-malformed-id").await, @"");
}

#[tokio::test]
async fn an_ended_run_is_not_cancelled_again() {
    assert_snapshot!(answer("cancel").await, @"");
}

#[tokio::test]
async fn an_ended_run_cannot_be_steered() {
    assert_snapshot!(answer("steer").await, @"");
}

#[tokio::test]
async fn a_forged_cursor_is_refused() {
    assert_snapshot!(answer("list-forged-cursor").await, @"");
}

#[tokio::test]
async fn a_limit_of_zero_is_refused() {
    assert_snapshot!(answer("list-limit-zero").await, @"");
}

#[tokio::test]
async fn a_list_contains_runs_as_they_are_shown() {
    let deployment = Deployment::new().await;
    let ada = deployment.sign_up("ada@example.com").await;
    deployment.complete(&ada, RUN.parse().unwrap()).await;
    let run = deployment.send(&golden("get", &ada)).await.json();
    for case in ["list", "list-mine"] {
        let event = golden(case, &ada);
        let answer = deployment.send(&event).await;
        Golden::new("runs", &sequent_runs_function::openapi()).check(&event, &answer);
        assert_eq!(answer.json(), json!({ "items": [run], "next_cursor": null }), "{case}");
    }
}
