//! The golden events of this function and their responses.

mod creating;
mod rating;
mod replaying;

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
    Golden::new("runs", &sequent_runs_function::openapi()).assert_all_tested(concat!(
        include_str!("golden.rs"),
        include_str!("golden/creating.rs"),
        include_str!("golden/rating.rs"),
        include_str!("golden/replaying.rs"),
    ));
}

#[tokio::test]
async fn a_run_is_shown() {
    assert_snapshot!(answer("get").await, @r#"
    200 application/json
    {
      "id": "run_1",
      "project_id": "prj_1",
      "user_id": "usr_1",
      "parent_run_id": null,
      "after": null,
      "status": "success",
      "model": null,
      "orchestration": "direct",
      "deliverable_type": null,
      "tools": null,
      "budget": {
        "max_steps": null,
        "max_tokens": null,
        "max_cost_micro_usd": null,
        "max_seconds": null
      },
      "scopes": null,
      "interrupts": [],
      "usage": {
        "input_tokens": 589,
        "output_tokens": 39
      },
      "cost": {
        "micro_usd": 0,
        "incomplete": false
      },
      "error": null,
      "created_at": "[time]",
      "started_at": "[time]",
      "completed_at": "[time]"
    }
    "#);
}

#[tokio::test]
async fn the_context_of_a_call_is_what_the_model_was_sent() {
    let shown = answer("context").await;
    assert!(shown.starts_with("200 application/json"), "{shown}");
    for part in [
        r#""state": "exact""#,
        r#""purpose": "answer""#,
        r#""text": "When is high tide?""#,
        r#""name": "web_fetch""#,
    ] {
        assert!(shown.contains(part), "{part} is missing: {shown}");
    }
}

#[tokio::test]
async fn a_call_that_a_run_has_not_made_is_not_found() {
    assert_snapshot!(answer("context-no-such-call").await, @r#"
    404 application/problem+json
    {
      "type": "/api/errors#not_found",
      "title": "Not Found",
      "status": 404,
      "code": "not_found",
      "detail": "The run has made no such model call.",
      "instance": "req_1"
    }
    "#);
}

#[tokio::test]
async fn a_malformed_id_is_not_found() {
    assert_snapshot!(answer("get-malformed-id").await, @r#"
    404 application/problem+json
    {
      "type": "/api/errors#not_found",
      "title": "Not Found",
      "status": 404,
      "code": "not_found",
      "detail": "There is nothing with this id.",
      "instance": "req_1"
    }
    "#);
}

#[tokio::test]
async fn an_ended_run_is_not_cancelled_again() {
    assert_snapshot!(answer("cancel").await, @r#"
    200 application/json
    {
      "id": "run_1",
      "project_id": "prj_1",
      "user_id": "usr_1",
      "parent_run_id": null,
      "after": null,
      "status": "success",
      "model": null,
      "orchestration": "direct",
      "deliverable_type": null,
      "tools": null,
      "budget": {
        "max_steps": null,
        "max_tokens": null,
        "max_cost_micro_usd": null,
        "max_seconds": null
      },
      "scopes": null,
      "interrupts": [],
      "usage": {
        "input_tokens": 589,
        "output_tokens": 39
      },
      "cost": {
        "micro_usd": 0,
        "incomplete": false
      },
      "error": null,
      "created_at": "[time]",
      "started_at": "[time]",
      "completed_at": "[time]"
    }
    "#);
}

#[tokio::test]
async fn an_ended_run_cannot_be_steered() {
    assert_snapshot!(answer("steer").await, @r#"
    409 application/problem+json
    {
      "type": "/api/errors#run_closed",
      "title": "Conflict",
      "status": 409,
      "code": "run_closed",
      "detail": "The run has ended or waits for answers. Start a new run, or answer its questions.",
      "instance": "req_1"
    }
    "#);
}

#[tokio::test]
async fn a_forged_cursor_is_refused() {
    assert_snapshot!(answer("list-forged-cursor").await, @r#"
    400 application/problem+json
    {
      "type": "/api/errors#invalid_cursor",
      "title": "Bad Request",
      "status": 400,
      "code": "invalid_cursor",
      "detail": "The cursor was not issued by this list.",
      "instance": "req_1",
      "errors": [
        {
          "parameter": "cursor",
          "detail": "not valid for this list"
        }
      ]
    }
    "#);
}

#[tokio::test]
async fn a_limit_of_zero_is_refused() {
    assert_snapshot!(answer("list-limit-zero").await, @r#"
    400 application/problem+json
    {
      "type": "/api/errors#invalid_query",
      "title": "Bad Request",
      "status": 400,
      "code": "invalid_query",
      "detail": "A query parameter is unknown or has a value that is not allowed.",
      "instance": "req_1",
      "errors": [
        {
          "parameter": "limit",
          "detail": "must be 1 to 100"
        }
      ]
    }
    "#);
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
