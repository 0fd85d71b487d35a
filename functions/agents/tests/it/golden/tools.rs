//! The routes of HTTP tools.

use super::Bench;

#[tokio::test]
async fn tools_are_listed_and_read_without_their_secrets() {
    let bench = Bench::new().await;
    insta::assert_snapshot!(bench.answer("list-tools").await, @r#"
    200 application/json
    {
      "items": [
        {
          "name": "find_order",
          "description": "Finds an order by its number.",
          "input_schema": {
            "type": "object",
            "properties": {
              "id": {
                "type": "string"
              }
            },
            "required": [
              "id"
            ]
          },
          "method": "GET",
          "url": "https://api.example.com/orders/{id}",
          "headers": [
            {
              "name": "authorization",
              "value": null,
              "secret": true
            }
          ],
          "timeout_seconds": 30,
          "idempotent": true,
          "policy": "always",
          "result_pointer": "",
          "max_result_bytes": 65536,
          "user_id": "usr_1",
          "created_at": "[time]",
          "updated_at": "[time]"
        }
      ]
    }
    "#);
    let answer = bench.answer("get-tool").await;
    assert!(answer.starts_with("200") && !answer.contains("golden-secret"), "{answer}");
    insta::assert_snapshot!(bench.answer("get-tool-unknown").await, @r#"
    404 application/problem+json
    {
      "type": "/api/errors#not_found",
      "title": "Not Found",
      "status": 404,
      "code": "not_found",
      "detail": "There is no tool with this name.",
      "instance": "[redacted]"
    }
    "#);
}

#[tokio::test]
async fn a_tool_is_created_with_a_secret_that_is_shown_once() {
    let bench = Bench::new().await;
    insta::assert_snapshot!(bench.answer("create-tool").await, @r#"
    201 application/json
    {
      "name": "refund_order",
      "description": "Refunds an order.",
      "input_schema": {
        "type": "object",
        "properties": {
          "id": {
            "type": "string"
          },
          "reason": {
            "type": "string"
          }
        },
        "required": [
          "id"
        ]
      },
      "method": "POST",
      "url": "https://api.example.com/orders/{id}/refunds",
      "headers": [
        {
          "name": "authorization",
          "value": null,
          "secret": true
        },
        {
          "name": "x-shop",
          "value": "7",
          "secret": false
        }
      ],
      "timeout_seconds": 10,
      "idempotent": false,
      "policy": "ask",
      "result_pointer": "/refund",
      "max_result_bytes": 2000,
      "user_id": "usr_1",
      "created_at": "[time]",
      "updated_at": "[time]",
      "signing_secret": "[signing secret]"
    }
    "#);
    insta::assert_snapshot!(bench.answer("create-tool-name-taken").await, @r##"
    409 application/problem+json
    {
      "type": "/api/errors#tool_exists",
      "title": "Conflict",
      "status": 409,
      "code": "tool_exists",
      "detail": "There is a tool with this name. Change it, or choose another name.",
      "instance": "[redacted]",
      "errors": [
        {
          "pointer": "#/name",
          "detail": "is taken"
        }
      ]
    }
    "##);
    insta::assert_snapshot!(bench.answer("create-tool-private").await, @r##"
    422 application/problem+json
    {
      "type": "/api/errors#validation_failed",
      "title": "Unprocessable Entity",
      "status": 422,
      "code": "validation_failed",
      "detail": "The tool is not allowed.",
      "instance": "[redacted]",
      "errors": [
        {
          "pointer": "#/url",
          "detail": "the address is not on the public internet"
        }
      ]
    }
    "##);
    insta::assert_snapshot!(bench.answer("create-tool-invalid").await, @r##"
    422 application/problem+json
    {
      "type": "/api/errors#validation_failed",
      "title": "Unprocessable Entity",
      "status": 422,
      "code": "validation_failed",
      "detail": "The body is JSON, but not of the form that the route accepts.",
      "instance": "[redacted]",
      "errors": [
        {
          "pointer": "#/name",
          "detail": "the name of a tool must have 1 to 64 letters, digits, `_` or `-`, without `__`, and no tool of the deployment may have it"
        }
      ]
    }
    "##);
}

#[tokio::test]
async fn a_tool_is_changed_and_its_secret_headers_stay_with_their_host() {
    let bench = Bench::new().await;
    let answer = bench.answer("change-tool").await;
    assert!(answer.starts_with("200") && answer.contains(r#""policy": "ask""#), "{answer}");
    insta::assert_snapshot!(bench.answer("change-tool-host").await, @r##"
    422 application/problem+json
    {
      "type": "/api/errors#validation_failed",
      "title": "Unprocessable Entity",
      "status": 422,
      "code": "validation_failed",
      "detail": "The tool is not allowed.",
      "instance": "[redacted]",
      "errors": [
        {
          "pointer": "#/headers/0/value",
          "detail": "is missing"
        }
      ]
    }
    "##);
}

#[tokio::test]
async fn a_trial_and_a_rotation_answer_with_their_outcome() {
    let bench = Bench::new().await;
    insta::assert_snapshot!(bench.answer("test-tool").await, @r#"
    200 application/json
    {
      "succeeded": false,
      "content": "The arguments of `find_order` do not match its parameters: at /id: want string, but got number.",
      "error": "tool_refused",
      "latency_ms": 1
    }
    "#);
    insta::assert_snapshot!(bench.answer("rotate-tool-secret").await, @r#"
    200 application/json
    {
      "signing_secret": "[signing secret]"
    }
    "#);
}

#[tokio::test]
async fn a_tool_that_is_deleted_is_not_found() {
    let bench = Bench::new().await;
    insta::assert_snapshot!(bench.answer("delete-tool").await, @"204");
    for case in ["get-tool", "change-tool", "delete-tool", "test-tool", "rotate-tool-secret"] {
        let answer = bench.answer(case).await;
        assert!(answer.starts_with("404") && answer.contains("\"not_found\""), "{case}: {answer}");
    }
}
