//! The answers to the golden events of hooks.

use insta::assert_snapshot;
use serde_json::json;

use crate::{
    deployment::{Deployment, golden_of_hook},
    golden::goldens,
};

/// Sends the event in a deployment with a hook, and renders the response.
async fn answer(case: &str) -> String {
    let deployment = Deployment::new().await;
    let ada = deployment.sign_up("ada@example.com").await;
    let hook = deployment.hook(&ada, json!({})).await;
    let event = golden_of_hook(case, &ada, &hook);
    goldens().redact("hk_[A-Za-z0-9_-]+", "[token]").render(&event, &deployment.send(&event).await)
}

#[tokio::test]
async fn hooks_are_listed_and_read_without_their_addresses() {
    assert_snapshot!(answer("get-hook").await, @r#"
    200 application/json
    {
      "id": "hok_1",
      "name": "New tickets",
      "enabled": true,
      "agent": null,
      "input": "Sort the ticket.",
      "variables": {},
      "project": "new",
      "on_conflict": "enqueue",
      "signed": false,
      "token_prefix": "[token]",
      "project_id": null,
      "user_id": "usr_1",
      "calls": 0,
      "last_called_at": null,
      "runs": [],
      "refusals": 0,
      "last_refusal": null,
      "created_at": "[time]",
      "updated_at": "[time]"
    }
    "#);
    let list = answer("list-hooks").await;
    assert!(list.starts_with("200") && list.contains("hok_1") && !list.contains("url"), "{list}");
}

#[tokio::test]
async fn a_hook_is_created_with_its_address_and_its_secret() {
    assert_snapshot!(answer("create-hook").await, @r#"
    201 application/json
    {
      "id": "hok_1",
      "name": "New tickets",
      "enabled": true,
      "agent": null,
      "input": "Sort the ticket into one of our queues.",
      "variables": {},
      "project": "same",
      "on_conflict": "enqueue",
      "signed": true,
      "token_prefix": "[token]",
      "project_id": null,
      "user_id": "usr_1",
      "calls": 0,
      "last_called_at": null,
      "runs": [],
      "refusals": 0,
      "last_refusal": null,
      "created_at": "[time]",
      "updated_at": "[time]",
      "url": "https://chat.example.com/api/hooks/[token]",
      "secret": "[secret]"
    }
    "#);
}

#[tokio::test]
async fn a_hook_that_is_not_allowed_is_refused_at_its_place() {
    for (case, status, at) in [
        ("create-hook-unused-secret", "422", "#/secret"),
        ("create-hook-unknown-field", "422", "variable"),
        ("create-hook-unknown-agent", "404", "agent_not_found"),
    ] {
        let answer = answer(case).await;
        assert!(answer.starts_with(status) && answer.contains(at), "{case}: {answer}");
    }
}

#[tokio::test]
async fn a_hook_is_changed_deleted_and_given_another_address() {
    let changed = answer("change-hook").await;
    for part in
        [r#""name": "Old tickets""#, r#""enabled": false"#, r#""on_conflict": "reject""#, r#""signed": true"#]
    {
        assert!(changed.starts_with("200") && changed.contains(part), "{changed}");
    }
    let rotated = answer("replace-hook-token").await;
    let url = r#""url": "https://chat.example.com/api/hooks/[token]""#;
    assert!(rotated.starts_with("200") && rotated.contains(url), "{rotated}");
    assert_snapshot!(answer("delete-hook").await, @"204");
}

#[tokio::test]
async fn a_call_starts_a_run() {
    assert_snapshot!(answer("call-hook").await, @r#"
    202 application/json
    {
      "run_id": "run_1"
    }
    "#);
    assert!(answer("call-hook-form").await.starts_with("202"));
    assert!(answer("call-hook-image").await.starts_with("415"));
    assert_snapshot!(answer("call-hook-unknown").await, @r#"
    404 application/problem+json
    {
      "type": "/api/errors#not_found",
      "title": "Not Found",
      "status": 404,
      "code": "not_found",
      "detail": "There is no hook at this address.",
      "instance": "[redacted]"
    }
    "#);
}
