//! The answers to the golden events.

use sequent_artifacts_function::openapi;
use sequent_http::testing::deployment::{Person, golden};
use sequent_http::testing::golden::Golden;

use crate::deployment::Deployment;

struct Bench {
    deployment: Deployment,
    ada: Person,
}

impl Bench {
    async fn new() -> Self {
        let deployment = Deployment::new().await;
        let ada = deployment.sign_up("ada@example.com").await;
        deployment.create_run(&ada).await;
        deployment.save(&ada, "text/markdown", b"# Q3").await;
        Self { deployment, ada }
    }

    async fn answer(&self, case: &str) -> String {
        let event = golden("artifacts", case, &self.ada);
        goldens().render(&event, &self.deployment.send(&event).await)
    }
}

fn goldens() -> Golden {
    Golden::new("artifacts", &openapi())
        .redact_member("url")
        .redact_member("job_key")
        .redact_member("version")
}

#[test]
fn every_golden_event_has_a_test() {
    goldens().assert_all_tested(include_str!("golden.rs"));
}

#[tokio::test]
async fn an_artifact_is_read() {
    let bench = Bench::new().await;
    insta::assert_snapshot!(bench.answer("get").await, @r#"
    200 application/json
    {
      "id": "art_1",
      "title": "Q3 report",
      "entity_type": "report",
      "tags": [
        "q3"
      ],
      "media_type": "text/markdown",
      "size": 4,
      "sha256": "877169d964f0458ec8c416b44ebe7b3c25a3d2906d4f8b3841a1c5130186e5e5",
      "run_id": "run_1",
      "tool_call_id": null,
      "job_id": null,
      "user_id": null,
      "created_at": "[time]"
    }
    "#);
    insta::assert_snapshot!(bench.answer("list").await, @r#"
    200 application/json
    {
      "items": [
        {
          "id": "art_1",
          "title": "Q3 report",
          "entity_type": "report",
          "tags": [
            "q3"
          ],
          "media_type": "text/markdown",
          "size": 4,
          "sha256": "877169d964f0458ec8c416b44ebe7b3c25a3d2906d4f8b3841a1c5130186e5e5",
          "run_id": "run_1",
          "tool_call_id": null,
          "job_id": null,
          "user_id": null,
          "created_at": "[time]"
        }
      ],
      "next_cursor": null
    }
    "#);
    insta::assert_snapshot!(bench.answer("manifest").await, @r#"
    200 application/json
    {
      "run_id": "run_1",
      "items": [
        {
          "id": "art_1",
          "title": "Q3 report",
          "entity_type": "report",
          "tags": [
            "q3"
          ],
          "media_type": "text/markdown",
          "size": 4,
          "sha256": "877169d964f0458ec8c416b44ebe7b3c25a3d2906d4f8b3841a1c5130186e5e5",
          "run_id": "run_1",
          "tool_call_id": null,
          "job_id": null,
          "user_id": null,
          "created_at": "[time]"
        }
      ],
      "complete": true
    }
    "#);
    insta::assert_snapshot!(bench.answer("entities").await, @r#"
    200 application/json
    {
      "items": [
        {
          "id": "ent_1",
          "entity_type": "report",
          "name": "Q3 report",
          "artifact_id": "art_1",
          "mentions": null,
          "run_id": "run_1",
          "job_id": null,
          "created_at": "[time]"
        }
      ],
      "next_cursor": null
    }
    "#);
    insta::assert_snapshot!(bench.answer("content").await, @"302");
    insta::assert_snapshot!(bench.answer("preview").await, @r#"
    201 application/json
    {
      "url": "[redacted]",
      "expires_at": "[time]"
    }
    "#);
}

#[tokio::test]
async fn an_artifact_is_deleted_once() {
    let bench = Bench::new().await;
    insta::assert_snapshot!(bench.answer("delete").await, @"204");
    insta::assert_snapshot!(bench.answer("delete").await, @r#"
    404 application/problem+json
    {
      "type": "/api/errors#not_found",
      "title": "Not Found",
      "status": 404,
      "code": "not_found",
      "detail": "There is no artifact with this id.",
      "instance": "req_1"
    }
    "#);
}

#[tokio::test]
async fn an_upload_is_offered_and_an_unknown_one_cannot_be_completed() {
    let deployment = Deployment::new().await;
    let ada = deployment.sign_up("ada@example.com").await;
    let bench = Bench { deployment, ada };
    insta::assert_snapshot!(bench.answer("upload").await, @r#"
    201 application/json
    {
      "id": "art_1",
      "artifact": null,
      "put": {
        "method": "PUT",
        "url": "[redacted]",
        "headers": {
          "content-length": "5",
          "content-type": "text/plain",
          "if-none-match": "*",
          "x-amz-checksum-sha256": "LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ="
        }
      }
    }
    "#);
    insta::assert_snapshot!(bench.answer("upload-complete").await, @r#"
    404 application/problem+json
    {
      "type": "/api/errors#not_found",
      "title": "Not Found",
      "status": 404,
      "code": "not_found",
      "detail": "There is no artifact with this id.",
      "instance": "req_1"
    }
    "#);
}

#[tokio::test]
async fn a_repeated_export_returns_the_same_job() {
    let bench = Bench::new().await;
    bench.deployment.end_run(&bench.ada).await;
    insta::assert_snapshot!(bench.answer("export").await, @r#"
    202 application/json
    {
      "id": "job_1",
      "job_type": "render_export",
      "job_key": "[redacted]",
      "queue": "exports",
      "status": "pending",
      "run_id": null,
      "tool_call_id": null,
      "input": {
        "source": {
          "run": "run_1"
        },
        "version": "[redacted]",
        "format": "markdown",
        "again": 0
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
    let event = golden("artifacts", "export", &bench.ada);
    let first = bench.deployment.send(&event).await;
    let second = bench.deployment.send(&event).await;
    assert_eq!(first.json()["id"], second.json()["id"]);
    let job = first.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(first.header("location"), format!("/api/jobs/{job}"));
}
