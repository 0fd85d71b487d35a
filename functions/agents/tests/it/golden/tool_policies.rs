//! The routes of policies of tools.

use super::Bench;

#[tokio::test]
async fn policies_are_changed_from_the_revision_that_they_have() {
    let bench = Bench::new().await;
    insta::assert_snapshot!(bench.answer("list-tool-policies").await, @r#"
    200 application/json
    {
      "revision": 0,
      "items": []
    }
    "#);
    insta::assert_snapshot!(bench.answer("change-tool-policies").await, @r#"
    200 application/json
    {
      "revision": 1,
      "items": [
        {
          "tool": "find_order",
          "policy": "ask",
          "max_calls_per_run": 5,
          "max_calls_per_day": 1000
        },
        {
          "tool": "web_fetch",
          "policy": "never",
          "max_calls_per_run": null,
          "max_calls_per_day": null
        }
      ]
    }
    "#);
    let changed = bench.answer("list-tool-policies").await;
    assert_eq!(bench.answer("change-tool-policies").await, changed, "a repeated change succeeds");
    insta::assert_snapshot!(bench.answer("change-tool-policies-changed").await, @r#"
    409 application/problem+json
    {
      "type": "/api/errors#tool_policies_changed",
      "title": "Conflict",
      "status": 409,
      "code": "tool_policies_changed",
      "detail": "The policies have the revision 1, and not the expected one.",
      "instance": "[redacted]",
      "revision": 1
    }
    "#);
    insta::assert_snapshot!(bench.answer("change-tool-policies-invalid").await, @r##"
    422 application/problem+json
    {
      "type": "/api/errors#validation_failed",
      "title": "Unprocessable Entity",
      "status": 422,
      "code": "validation_failed",
      "detail": "The policies are not allowed.",
      "instance": "[redacted]",
      "errors": [
        {
          "pointer": "#/items/0/tool",
          "detail": "is a tool by which runs write their plans and documents"
        }
      ]
    }
    "##);
}
