//! Runs that are created, and requests that create none.

use insta::assert_snapshot;

use super::answer;

#[tokio::test]
async fn a_created_run_is_pending() {
    assert_snapshot!(answer("create").await, @r#"
    202 application/json
    {
      "id": "run_1",
      "project_id": "prj_1",
      "user_id": "usr_1",
      "parent_run_id": null,
      "after": null,
      "status": "pending",
      "model": null,
      "orchestration": "plan",
      "deliverable_type": "report",
      "tools": [
        "web_fetch",
        "cite_source"
      ],
      "budget": {
        "max_steps": 20,
        "max_tokens": null,
        "max_cost_micro_usd": 500000,
        "max_seconds": null
      },
      "scopes": null,
      "interrupts": [],
      "usage": {
        "input_tokens": 0,
        "output_tokens": 0
      },
      "cost": {
        "micro_usd": 0,
        "incomplete": false
      },
      "error": null,
      "created_at": "[time]",
      "started_at": null,
      "completed_at": null
    }
    "#);
}

#[tokio::test]
async fn a_created_run_has_the_parameters_and_the_schema_of_its_request() {
    assert_snapshot!(answer("create-structured").await, @r#"
    202 application/json
    {
      "id": "run_1",
      "project_id": "prj_1",
      "user_id": "usr_1",
      "parent_run_id": null,
      "after": null,
      "status": "pending",
      "model": null,
      "orchestration": "direct",
      "deliverable_type": null,
      "tools": null,
      "output_schema": {
        "type": "object"
      },
      "parameters": {
        "temperature": 0.2,
        "max_output_tokens": 500,
        "stop": [
          "END"
        ],
        "reasoning_effort": "low",
        "seed": 7
      },
      "budget": {
        "max_steps": null,
        "max_tokens": null,
        "max_cost_micro_usd": null,
        "max_seconds": null
      },
      "scopes": null,
      "interrupts": [],
      "usage": {
        "input_tokens": 0,
        "output_tokens": 0
      },
      "cost": {
        "micro_usd": 0,
        "incomplete": false
      },
      "error": null,
      "created_at": "[time]",
      "started_at": null,
      "completed_at": null
    }
    "#);
}

#[tokio::test]
async fn a_run_cannot_be_created_in_the_project_of_another_tenant() {
    assert_snapshot!(answer("create-in-project").await, @r#"
    404 application/problem+json
    {
      "type": "/api/errors#not_found",
      "title": "Not Found",
      "status": 404,
      "code": "not_found",
      "detail": "There is no project with this id.",
      "instance": "req_1"
    }
    "#);
}

#[tokio::test]
async fn a_run_needs_an_input() {
    assert_snapshot!(answer("create-no-input").await, @r##"
    422 application/problem+json
    {
      "type": "/api/errors#validation_failed",
      "title": "Unprocessable Entity",
      "status": 422,
      "code": "validation_failed",
      "detail": "The body is JSON, but not of the form that the route accepts.",
      "instance": "req_1",
      "errors": [
        {
          "pointer": "#/input",
          "detail": "must not be empty"
        }
      ]
    }
    "##);
}
