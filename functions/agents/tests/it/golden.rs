//! The answers to the golden events.

use sequent_agents_function::openapi;
use sequent_http::testing::golden::Golden;

use crate::deployment::{Deployment, Person, golden};

struct Bench {
    deployment: Deployment,
    ada: Person,
}

impl Bench {
    /// A deployment in which the agent and the prompt of the golden events are Ada's.
    async fn new() -> Self {
        let deployment = Deployment::new().await;
        let ada = deployment.sign_up("ada@example.com").await;
        deployment.furnish(&ada).await;
        Self { deployment, ada }
    }

    async fn answer(&self, case: &str) -> String {
        let event = golden(case, &self.ada);
        goldens().render(&event, &self.deployment.send(&event).await)
    }
}

fn goldens() -> Golden {
    Golden::new("agents", &openapi()).redact_member("instance")
}

#[test]
fn every_golden_event_has_a_test() {
    goldens().assert_all_tested(include_str!("golden.rs"));
}

#[tokio::test]
async fn the_starters_are_listed() {
    let bench = Bench::new().await;
    let answer = bench.answer("list-starters").await;
    assert!(answer.starts_with("200 application/json"), "{answer}");
    for name in ["assistant", "researcher", "report-writer", "data-extractor"] {
        assert!(answer.contains(&format!("\"name\": \"{name}\"")), "{name}: {answer}");
    }
}

#[tokio::test]
async fn what_is_deleted_is_not_found() {
    let bench = Bench::new().await;
    insta::assert_snapshot!(bench.answer("delete").await, @"204");
    insta::assert_snapshot!(bench.answer("delete-prompt").await, @"204");
    for case in ["get", "rename", "delete", "list-versions", "get-version", "set-label", "delete-label"] {
        let answer = bench.answer(case).await;
        assert!(answer.starts_with("404") && answer.contains("agent_not_found"), "{case}: {answer}");
    }
    for case in ["get-prompt", "delete-prompt", "list-prompt-versions", "diff", "set-prompt-label"] {
        let answer = bench.answer(case).await;
        assert!(answer.starts_with("404") && answer.contains("prompt_not_found"), "{case}: {answer}");
    }
}

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

#[tokio::test]
async fn prompts_are_listed_and_read() {
    let bench = Bench::new().await;
    insta::assert_snapshot!(bench.answer("list-prompts").await, @r#"
    200 application/json
    {
      "items": [
        {
          "name": "house-style",
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
    insta::assert_snapshot!(bench.answer("get-prompt").await, @r#"
    200 application/json
    {
      "name": "house-style",
      "latest_version": 2,
      "labels": {
        "production": 1
      },
      "user_id": "usr_1",
      "created_at": "[time]",
      "updated_at": "[time]"
    }
    "#);
    insta::assert_snapshot!(bench.answer("get-prompt-unknown").await, @r#"
    404 application/problem+json
    {
      "type": "/api/errors#prompt_not_found",
      "title": "Not Found",
      "status": 404,
      "code": "prompt_not_found",
      "detail": "There is no prompt with this name.",
      "instance": "[redacted]"
    }
    "#);
}

#[tokio::test]
async fn a_prompt_is_created() {
    let bench = Bench::new().await;
    insta::assert_snapshot!(bench.answer("create-prompt").await, @r#"
    201 application/json
    {
      "name": "greeting",
      "latest_version": 1,
      "labels": {},
      "user_id": "usr_1",
      "created_at": "[time]",
      "updated_at": "[time]"
    }
    "#);
    insta::assert_snapshot!(bench.answer("create-prompt-include").await, @r##"
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
          "pointer": "#/template",
          "detail": "must not include another prompt"
        }
      ],
      "line": 2
    }
    "##);
}

#[tokio::test]
async fn versions_of_a_prompt_are_listed_read_compared_and_added() {
    let bench = Bench::new().await;
    insta::assert_snapshot!(bench.answer("list-prompt-versions").await, @r#"
    200 application/json
    {
      "items": [
        {
          "version": 2,
          "change": "Exact answers.",
          "user_id": "usr_1",
          "created_at": "[time]"
        },
        {
          "version": 1,
          "change": null,
          "user_id": "usr_1",
          "created_at": "[time]"
        }
      ],
      "next_cursor": null
    }
    "#);
    insta::assert_snapshot!(bench.answer("get-prompt-version").await, @r#"
    200 application/json
    {
      "version": 1,
      "change": null,
      "user_id": "usr_1",
      "created_at": "[time]",
      "template": "Be kind.\nBe brief.",
      "variables": []
    }
    "#);
    insta::assert_snapshot!(bench.answer("diff").await, @r#"
    200 application/json
    {
      "from": 1,
      "to": 2,
      "lines": [
        {
          "change": "same",
          "text": "Be kind."
        },
        {
          "change": "removed",
          "text": "Be brief."
        },
        {
          "change": "added",
          "text": "Be exact, {{ user_name }}."
        }
      ]
    }
    "#);
    insta::assert_snapshot!(bench.answer("set-prompt-label").await, @r#"
    200 application/json
    {
      "name": "house-style",
      "latest_version": 2,
      "labels": {
        "production": 2
      },
      "user_id": "usr_1",
      "created_at": "[time]",
      "updated_at": "[time]"
    }
    "#);
    insta::assert_snapshot!(bench.answer("add-prompt-version").await, @r#"
    201 application/json
    {
      "name": "house-style",
      "latest_version": 3,
      "labels": {
        "production": 2
      },
      "user_id": "usr_1",
      "created_at": "[time]",
      "updated_at": "[time]"
    }
    "#);
}
