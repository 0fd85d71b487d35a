//! Agents, their versions and labels, and the default agent.

use super::Bench;

#[tokio::test]
async fn agents_are_listed_and_read() {
    let bench = Bench::new().await;
    insta::assert_snapshot!(bench.answer("list").await, @r#"
    200 application/json
    {
      "items": [
        {
          "id": "agt_1",
          "name": "support",
          "description": "Helps with tides.",
          "latest_version": 2,
          "labels": {
            "production": 1
          },
          "user_id": "usr_1",
          "created_at": "[time]",
          "updated_at": "[time]"
        }
      ],
      "next_cursor": null
    }
    "#);
    insta::assert_snapshot!(bench.answer("get").await, @r#"
    200 application/json
    {
      "id": "agt_1",
      "name": "support",
      "description": "Helps with tides.",
      "latest_version": 2,
      "labels": {
        "production": 1
      },
      "user_id": "usr_1",
      "created_at": "[time]",
      "updated_at": "[time]"
    }
    "#);
    insta::assert_snapshot!(bench.answer("get-unknown").await, @r#"
    404 application/problem+json
    {
      "type": "/api/errors#agent_not_found",
      "title": "Not Found",
      "status": 404,
      "code": "agent_not_found",
      "detail": "There is no agent with this id or name.",
      "instance": "[redacted]"
    }
    "#);
}

#[tokio::test]
async fn an_agent_is_created() {
    let bench = Bench::new().await;
    insta::assert_snapshot!(bench.answer("create").await, @r#"
    201 application/json
    {
      "id": "agt_1",
      "name": "tides",
      "description": "Answers questions about tides.",
      "latest_version": 1,
      "labels": {},
      "user_id": "usr_1",
      "created_at": "[time]",
      "updated_at": "[time]"
    }
    "#);
    insta::assert_snapshot!(bench.answer("create-name-taken").await, @r##"
    409 application/problem+json
    {
      "type": "/api/errors#name_taken",
      "title": "Conflict",
      "status": 409,
      "code": "name_taken",
      "detail": "There is an agent with this name.",
      "instance": "[redacted]",
      "errors": [
        {
          "pointer": "#/name",
          "detail": "is taken"
        }
      ]
    }
    "##);
    insta::assert_snapshot!(bench.answer("create-template-invalid").await, @r##"
    422 application/problem+json
    {
      "type": "/api/errors#template_invalid",
      "title": "Unprocessable Entity",
      "status": 422,
      "code": "template_invalid",
      "detail": "The template is not allowed.",
      "instance": "[redacted]",
      "errors": [
        {
          "pointer": "#/definition/instructions",
          "detail": "`for` is not allowed there; the words of tags are if, elif, else, endif, include and raw"
        }
      ],
      "line": 2
    }
    "##);
    insta::assert_snapshot!(bench.answer("create-invalid").await, @r##"
    422 application/problem+json
    {
      "type": "/api/errors#validation_failed",
      "title": "Unprocessable Entity",
      "status": 422,
      "code": "validation_failed",
      "detail": "The definition is not allowed.",
      "instance": "[redacted]",
      "errors": [
        {
          "pointer": "#/definition/persona/picture",
          "detail": "must be the id of an artifact, or an address of at most 2000 bytes that begins with https://"
        },
        {
          "pointer": "#/definition/history/turns",
          "detail": "must be at most 1000"
        },
        {
          "pointer": "#/definition/starters/0",
          "detail": "must not be empty"
        }
      ]
    }
    "##);
    insta::assert_snapshot!(bench.answer("create-unknown-field").await, @r##"
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
          "pointer": "#/definition/variables/harbour/type",
          "detail": "unknown variant `text`, expected one of `string`, `number`, `boolean`"
        }
      ]
    }
    "##);
    insta::assert_snapshot!(bench.answer("create-anonymous").await, @r#"
    401 application/problem+json
    {
      "type": "/api/errors#unauthenticated",
      "title": "Unauthorized",
      "status": 401,
      "code": "unauthenticated",
      "detail": "Sign in, or send a bearer token or an API key.",
      "instance": "[redacted]"
    }
    "#);
}

#[tokio::test]
async fn an_agent_is_renamed() {
    let bench = Bench::new().await;
    insta::assert_snapshot!(bench.answer("rename").await, @r#"
    200 application/json
    {
      "id": "agt_1",
      "name": "help",
      "description": "Helps with tides.",
      "latest_version": 2,
      "labels": {
        "production": 1
      },
      "user_id": "usr_1",
      "created_at": "[time]",
      "updated_at": "[time]"
    }
    "#);
}

#[tokio::test]
async fn versions_are_listed_added_and_read() {
    let bench = Bench::new().await;
    insta::assert_snapshot!(bench.answer("list-versions").await, @r#"
    200 application/json
    {
      "items": [
        {
          "version": 2,
          "change": null,
          "user_id": "usr_1",
          "created_at": "[time]"
        },
        {
          "version": 1,
          "change": "The first version.",
          "user_id": "usr_1",
          "created_at": "[time]"
        }
      ],
      "next_cursor": null
    }
    "#);
    insta::assert_snapshot!(bench.answer("get-version").await, @r#"
    200 application/json
    {
      "version": 1,
      "change": "The first version.",
      "user_id": "usr_1",
      "created_at": "[time]",
      "definition": {
        "description": "Helps.",
        "persona": {
          "display_name": null,
          "picture": null,
          "manner": null
        },
        "instructions": "",
        "prompts": [],
        "variables": {},
        "model": null,
        "fallbacks": [],
        "parameters": {},
        "tools": null,
        "client_tools": [],
        "orchestration": "direct",
        "deliverable_type": null,
        "output_schema": null,
        "budget": {
          "max_steps": null,
          "max_tokens": null,
          "max_cost_micro_usd": null,
          "max_seconds": null
        },
        "history": {
          "turns": null
        },
        "memory": null,
        "starters": []
      }
    }
    "#);
    insta::assert_snapshot!(bench.answer("get-version-unknown").await, @r#"
    404 application/problem+json
    {
      "type": "/api/errors#version_not_found",
      "title": "Not Found",
      "status": 404,
      "code": "version_not_found",
      "detail": "There is no version 7.",
      "instance": "[redacted]"
    }
    "#);
    insta::assert_snapshot!(bench.answer("add-version").await, @r#"
    201 application/json
    {
      "id": "agt_1",
      "name": "support",
      "description": "",
      "latest_version": 3,
      "labels": {
        "production": 1
      },
      "user_id": "usr_1",
      "created_at": "[time]",
      "updated_at": "[time]"
    }
    "#);
}

#[tokio::test]
async fn labels_are_moved_and_removed() {
    let bench = Bench::new().await;
    insta::assert_snapshot!(bench.answer("set-label-moved").await, @r#"
    409 application/problem+json
    {
      "type": "/api/errors#label_moved",
      "title": "Conflict",
      "status": 409,
      "code": "label_moved",
      "detail": "The label has the version 1, and not the expected one.",
      "instance": "[redacted]",
      "version": 1
    }
    "#);
    insta::assert_snapshot!(bench.answer("set-label").await, @r#"
    200 application/json
    {
      "id": "agt_1",
      "name": "support",
      "description": "Helps with tides.",
      "latest_version": 2,
      "labels": {
        "production": 2
      },
      "user_id": "usr_1",
      "created_at": "[time]",
      "updated_at": "[time]"
    }
    "#);
    insta::assert_snapshot!(bench.answer("delete-label-unknown").await, @r#"
    404 application/problem+json
    {
      "type": "/api/errors#label_not_found",
      "title": "Not Found",
      "status": 404,
      "code": "label_not_found",
      "detail": "There is no label `staging`.",
      "instance": "[redacted]"
    }
    "#);
    insta::assert_snapshot!(bench.answer("delete-label").await, @r#"
    200 application/json
    {
      "id": "agt_1",
      "name": "support",
      "description": "Helps with tides.",
      "latest_version": 2,
      "labels": {},
      "user_id": "usr_1",
      "created_at": "[time]",
      "updated_at": "[time]"
    }
    "#);
}

#[tokio::test]
async fn the_default_agent_is_chosen() {
    let bench = Bench::new().await;
    insta::assert_snapshot!(bench.answer("get-default").await, @r#"
    200 application/json
    {
      "default_agent": null
    }
    "#);
    insta::assert_snapshot!(bench.answer("set-default").await, @r#"
    200 application/json
    {
      "default_agent": {
        "agent": "agt_1@production",
        "name": "support",
        "version": 1,
        "agent_id": "agt_1"
      }
    }
    "#);
    insta::assert_snapshot!(bench.answer("clear-default").await, @r#"
    200 application/json
    {
      "default_agent": null
    }
    "#);
}
