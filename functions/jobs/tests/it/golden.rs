//! The answers to the golden events.

use sequent_http::testing::golden::Golden;
use sequent_jobs_function::openapi;

use crate::deployment::{Deployment, Person, golden};

struct Bench {
    deployment: Deployment,
    ada: Person,
}

impl Bench {
    async fn new() -> Self {
        let deployment = Deployment::new().await;
        let ada = deployment.sign_up("ada@example.com").await;
        deployment.failed_job(&ada).await;
        Self { deployment, ada }
    }

    async fn answer(&self, case: &str) -> String {
        let event = golden(case, &self.ada);
        goldens().render(&event, &self.deployment.send(&event).await)
    }
}

fn goldens() -> Golden {
    Golden::new("jobs", &openapi())
}

#[test]
fn every_golden_event_has_a_test() {
    goldens().assert_all_tested(include_str!("golden.rs"));
}

#[tokio::test]
async fn a_failed_job_is_read_and_redriven() {
    let bench = Bench::new().await;
    insta::assert_snapshot!(bench.answer("get").await, @r#"
    200 application/json
    {
      "id": "job_1",
      "job_type": "from_the_future",
      "job_key": null,
      "queue": "jobs",
      "status": "error",
      "run_id": null,
      "tool_call_id": null,
      "input": {
        "name": "Ada"
      },
      "attempt": 1,
      "failures": 1,
      "lost": 0,
      "redrives": 0,
      "lease_until": null,
      "not_before": null,
      "progress": null,
      "result": null,
      "warnings": [],
      "artifacts": [],
      "usage": {
        "input_tokens": 0,
        "output_tokens": 0,
        "cost_micro_usd": 0,
        "incomplete": false
      },
      "error": {
        "code": "poison",
        "message": "There is no type of job `from_the_future`."
      },
      "created_at": "[time]",
      "started_at": "[time]",
      "completed_at": "[time]"
    }
    "#);
    insta::assert_snapshot!(bench.answer("list").await, @r#"
    200 application/json
    {
      "items": [
        {
          "id": "job_1",
          "job_type": "from_the_future",
          "job_key": null,
          "queue": "jobs",
          "status": "error",
          "run_id": null,
          "tool_call_id": null,
          "input": {
            "name": "Ada"
          },
          "attempt": 1,
          "failures": 1,
          "lost": 0,
          "redrives": 0,
          "lease_until": null,
          "not_before": null,
          "progress": null,
          "result": null,
          "warnings": [],
          "artifacts": [],
          "usage": {
            "input_tokens": 0,
            "output_tokens": 0,
            "cost_micro_usd": 0,
            "incomplete": false
          },
          "error": {
            "code": "poison",
            "message": "There is no type of job `from_the_future`."
          },
          "created_at": "[time]",
          "started_at": "[time]",
          "completed_at": "[time]"
        }
      ],
      "next_cursor": null
    }
    "#);
    insta::assert_snapshot!(bench.answer("list-admin").await, @r#"
    200 application/json
    {
      "items": [],
      "next_cursor": null
    }
    "#);
    insta::assert_snapshot!(bench.answer("redrive").await, @r#"
    202 application/json
    {
      "id": "job_1",
      "job_type": "from_the_future",
      "job_key": null,
      "queue": "jobs",
      "status": "pending",
      "run_id": null,
      "tool_call_id": null,
      "input": {
        "name": "Ada"
      },
      "attempt": 1,
      "failures": 0,
      "lost": 0,
      "redrives": 1,
      "lease_until": null,
      "not_before": null,
      "progress": null,
      "result": null,
      "warnings": [],
      "artifacts": [],
      "usage": {
        "input_tokens": 0,
        "output_tokens": 0,
        "cost_micro_usd": 0,
        "incomplete": false
      },
      "error": {
        "code": "poison",
        "message": "There is no type of job `from_the_future`."
      },
      "created_at": "[time]",
      "started_at": "[time]",
      "completed_at": null
    }
    "#);
    insta::assert_snapshot!(bench.answer("redrive").await, @r#"
    409 application/problem+json
    {
      "type": "/api/errors#not_failed",
      "title": "Conflict",
      "status": 409,
      "code": "not_failed",
      "detail": "The job has not failed, so it cannot be redriven.",
      "instance": "req_1"
    }
    "#);
}

#[tokio::test]
async fn a_job_that_has_ended_stays_as_it_is_when_it_is_cancelled() {
    let bench = Bench::new().await;
    insta::assert_snapshot!(bench.answer("cancel").await, @r#"
    200 application/json
    {
      "id": "job_1",
      "job_type": "from_the_future",
      "job_key": null,
      "queue": "jobs",
      "status": "error",
      "run_id": null,
      "tool_call_id": null,
      "input": {
        "name": "Ada"
      },
      "attempt": 1,
      "failures": 1,
      "lost": 0,
      "redrives": 0,
      "lease_until": null,
      "not_before": null,
      "progress": null,
      "result": null,
      "warnings": [],
      "artifacts": [],
      "usage": {
        "input_tokens": 0,
        "output_tokens": 0,
        "cost_micro_usd": 0,
        "incomplete": false
      },
      "error": {
        "code": "poison",
        "message": "There is no type of job `from_the_future`."
      },
      "created_at": "[time]",
      "started_at": "[time]",
      "completed_at": "[time]"
    }
    "#);
    insta::assert_snapshot!(bench.answer("cancel-wrong-admin-key").await, @r#"
    401 application/problem+json
    {
      "type": "/api/errors#invalid_credential",
      "title": "Unauthorized",
      "status": 401,
      "code": "invalid_credential",
      "detail": "The credential is not valid.",
      "instance": "req_1"
    }
    "#);
}

#[tokio::test]
async fn a_greeting_needs_no_body() {
    let bench = Bench::new().await;
    insta::assert_snapshot!(bench.answer("hello").await, @r#"
    202 application/json
    {
      "id": "job_1",
      "job_type": "hello_world",
      "job_key": null,
      "queue": "jobs",
      "status": "pending",
      "run_id": null,
      "tool_call_id": null,
      "input": {
        "name": "Ada",
        "key": null,
        "pause_ms": 0
      },
      "attempt": 0,
      "failures": 0,
      "lost": 0,
      "redrives": 0,
      "lease_until": null,
      "not_before": null,
      "progress": null,
      "result": null,
      "warnings": [],
      "artifacts": [],
      "usage": {
        "input_tokens": 0,
        "output_tokens": 0,
        "cost_micro_usd": 0,
        "incomplete": false
      },
      "error": null,
      "created_at": "[time]",
      "started_at": null,
      "completed_at": null
    }
    "#);
    insta::assert_snapshot!(bench.answer("hello-no-body").await, @r#"
    202 application/json
    {
      "id": "job_1",
      "job_type": "hello_world",
      "job_key": null,
      "queue": "jobs",
      "status": "pending",
      "run_id": null,
      "tool_call_id": null,
      "input": {
        "name": null,
        "key": null,
        "pause_ms": 0
      },
      "attempt": 0,
      "failures": 0,
      "lost": 0,
      "redrives": 0,
      "lease_until": null,
      "not_before": null,
      "progress": null,
      "result": null,
      "warnings": [],
      "artifacts": [],
      "usage": {
        "input_tokens": 0,
        "output_tokens": 0,
        "cost_micro_usd": 0,
        "incomplete": false
      },
      "error": null,
      "created_at": "[time]",
      "started_at": null,
      "completed_at": null
    }
    "#);
}
