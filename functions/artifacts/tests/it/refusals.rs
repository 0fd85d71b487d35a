//! Requests that are refused, and the limits of a tenant.

use sequent_http::testing::deployment::{Person, golden, request};
use sequent_http::{Scope, testing::Answer};
use serde_json::{Value, json};

use crate::deployment::{ARTIFACT, Deployment, RUN};

const HTML: &[u8] = b"<script>alert(1)</script>";

fn outcome(answer: &Answer) -> (u16, String) {
    (answer.status.as_u16(), answer.code())
}

fn refused(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}

async fn post(deployment: &Deployment, path: &str, of: &Person, body: &Value) -> Answer {
    deployment.send(&request("POST", path, of).json(body)).await
}

#[tokio::test]
async fn another_tenant_finds_no_artifact_and_no_run() {
    let deployment = Deployment::new().await;
    let ada = deployment.sign_up("ada@example.com").await;
    let eve = deployment.sign_up("eve@example.com").await;
    deployment.create_run(&ada).await;
    deployment.save(&ada, "text/markdown", b"# Q3").await;
    for case in ["get", "content", "preview", "delete", "manifest", "export", "upload-complete"] {
        let answer = deployment.send(&golden("artifacts", case, &eve)).await;
        assert_eq!(outcome(&answer), refused(404, "not_found"), "{case}");
    }
    for case in ["list", "entities"] {
        let answer = deployment.send(&golden("artifacts", case, &eve)).await;
        assert_eq!(answer.json()["items"], json!([]), "{case}");
    }
    assert_eq!(deployment.send(&golden("artifacts", "get", &ada)).await.status, 200);
}

#[tokio::test]
async fn an_api_key_needs_the_scope_of_the_route() {
    let deployment = Deployment::new().await;
    let ada = deployment.sign_up("ada@example.com").await;
    for (case, scope) in [
        ("get", Scope::ArtifactsRead),
        ("list", Scope::ArtifactsRead),
        ("content", Scope::ArtifactsRead),
        ("preview", Scope::ArtifactsRead),
        ("entities", Scope::ArtifactsRead),
        ("manifest", Scope::ArtifactsRead),
        ("delete", Scope::ArtifactsWrite),
        ("upload", Scope::ArtifactsWrite),
        ("upload-complete", Scope::ArtifactsWrite),
        ("export", Scope::ArtifactsWrite),
    ] {
        let others = Scope::ALL.into_iter().filter(|other| *other != scope);
        let key = deployment.api_key(&ada, others).await;
        let answer = deployment.send(&golden("artifacts", case, &ada).bearer(&key)).await;
        assert_eq!(outcome(&answer), refused(403, "insufficient_scope"), "{case}");
        assert_eq!(answer.json()["scope"], scope.as_str(), "{case}");
    }
}

#[tokio::test]
async fn an_export_needs_the_scopes_that_read_its_source() {
    let deployment = Deployment::new().await;
    let ada = deployment.sign_up("ada@example.com").await;
    deployment.create_run(&ada).await;
    deployment.end_run(&ada).await;
    let key = deployment.api_key(&ada, [Scope::ArtifactsRead, Scope::ArtifactsWrite]).await;
    let project = "prj_01K9Z3T8Q4V7M2N5B6C8D9E0F1";
    for (body, scope) in [
        (json!({"run_id": RUN, "format": "jsonl"}), "runs:read"),
        (json!({"project_id": project, "format": "zip"}), "projects:read"),
    ] {
        let answer = deployment.send(&request("POST", "/api/exports", &ada).json(&body).bearer(&key)).await;
        assert_eq!(outcome(&answer), refused(403, "insufficient_scope"), "{body}");
        assert_eq!(answer.json()["scope"], scope, "{body}");
    }
    let writer = deployment.api_key(&ada, [Scope::ArtifactsWrite]).await;
    let body = json!({"artifact_id": ARTIFACT, "format": "html"});
    let answer = deployment.send(&request("POST", "/api/exports", &ada).json(&body).bearer(&writer)).await;
    assert_eq!(answer.json()["scope"], "artifacts:read");
}

#[tokio::test]
async fn a_wrong_query_is_one_error_on_both_lists() {
    let deployment = Deployment::new().await;
    let ada = deployment.sign_up("ada@example.com").await;
    for path in [
        "/api/artifacts?limit=0",
        "/api/artifacts?limit=101",
        "/api/artifacts?tag=Q3",
        "/api/artifacts?entity_type=a%23b",
        "/api/artifacts?page=2",
        "/api/entities",
        "/api/entities?type=A",
        "/api/entities?type=report&limit=0",
    ] {
        let answer = deployment.send(&request("GET", path, &ada)).await;
        assert_eq!(outcome(&answer), refused(400, "invalid_query"), "{path}");
    }
    for path in ["/api/artifacts?cursor=x", "/api/entities?type=report&cursor=x"] {
        let answer = deployment.send(&request("GET", path, &ada)).await;
        assert_eq!(outcome(&answer), refused(400, "invalid_cursor"), "{path}");
    }
}

#[tokio::test]
async fn a_wrong_upload_names_its_field() {
    let deployment = Deployment::new().await;
    let ada = deployment.sign_up("ada@example.com").await;
    let valid = json!({
        "sha256": "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824", "size": 5,
        "title": "Greeting", "media_type": "text/plain"
    });
    for (field, value) in [
        ("size", json!(0)),
        ("size", json!(268_435_457)),
        ("title", json!(" ")),
        ("media_type", json!("text")),
        ("entity_type", json!("A b")),
        ("tags", json!(["A"])),
        ("sha256", json!("2CF2")),
    ] {
        let mut upload = valid.clone();
        upload[field] = value.clone();
        let answer = post(&deployment, "/api/artifacts/uploads", &ada, &upload).await;
        assert_eq!(outcome(&answer), refused(422, "validation_failed"), "{field}: {value}");
        assert_eq!(answer.json()["errors"][0]["pointer"], format!("#/{field}"), "{field}: {value}");
    }
    let mut upload = valid;
    upload["run_id"] = json!(RUN);
    let answer = post(&deployment, "/api/artifacts/uploads", &ada, &upload).await;
    assert_eq!(outcome(&answer), refused(404, "not_found"));
}

#[tokio::test]
async fn an_upload_without_its_bytes_cannot_be_completed() {
    let deployment = Deployment::new().await;
    let ada = deployment.sign_up("ada@example.com").await;
    let offer = deployment.send(&golden("artifacts", "upload", &ada)).await.json();
    let path = format!("/api/artifacts/uploads/{}/complete", offer["id"].as_str().unwrap());
    let answer = deployment.send(&request("POST", &path, &ada)).await;
    assert_eq!(outcome(&answer), refused(409, "not_uploaded"));
}

#[tokio::test]
async fn an_export_needs_one_source_and_one_of_its_formats() {
    let deployment = Deployment::new().await;
    let ada = deployment.sign_up("ada@example.com").await;
    for body in [
        json!({"format": "pdf"}),
        json!({"artifact_id": ARTIFACT, "run_id": RUN, "format": "html"}),
        json!({"run_id": RUN, "format": "pdf"}),
        json!({"run_id": RUN, "format": "exe"}),
    ] {
        let answer = post(&deployment, "/api/exports", &ada, &body).await;
        assert_eq!(outcome(&answer), refused(422, "validation_failed"), "{body}");
    }
}

#[tokio::test]
async fn html_is_downloaded_as_octets_and_never_shown_by_the_bucket() {
    let deployment = Deployment::new().await;
    let ada = deployment.sign_up("ada@example.com").await;
    deployment.create_run(&ada).await;
    deployment.save(&ada, "text/html", HTML).await;
    let answer = deployment.send(&golden("artifacts", "content", &ada)).await;
    let location = answer.header("location").to_owned();
    assert!(location.contains("response-content-type=application%2Foctet-stream"), "{location}");
    assert!(location.contains("response-content-disposition=attachment"), "{location}");
}

#[tokio::test]
async fn a_damaged_archive_has_no_preview() {
    let deployment = Deployment::new().await;
    let ada = deployment.sign_up("ada@example.com").await;
    deployment.create_run(&ada).await;
    deployment.save(&ada, "application/zip", b"not an archive").await;
    let answer = deployment.send(&golden("artifacts", "preview", &ada)).await;
    assert_eq!(outcome(&answer), refused(422, "validation_failed"));
}

#[tokio::test]
async fn a_tenant_has_a_limited_number_of_exports_in_progress() {
    let deployment = Deployment::new().await;
    let ada = deployment.sign_up("ada@example.com").await;
    let project = deployment.create_run(&ada).await;
    // Each export of a project is a new one.
    let export = request("POST", "/api/exports", &ada).json(&json!({"project_id": project, "format": "zip"}));
    let mut jobs = Vec::new();
    for _ in 0..4 {
        let answer = deployment.send(&export).await;
        assert_eq!(answer.status, 202, "{}", answer.text());
        jobs.push(answer.json()["id"].as_str().unwrap().to_owned());
    }
    let full = deployment.send(&export).await;
    assert_eq!(outcome(&full), refused(429, "too_many_jobs"));
    assert_eq!(full.header("retry-after"), "10");
    deployment.end_job(&ada, &jobs[0]).await;
    assert_eq!(deployment.send(&export).await.status, 202);

    let template = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../template.yaml"));
    let source = template.split("\n  ExportWorkerSource:\n").nth(1).unwrap();
    let workers = source.split("MaximumConcurrency: ").nth(1).unwrap();
    let workers: String = workers.chars().take_while(char::is_ascii_digit).collect();
    assert!(workers.parse::<usize>().unwrap() > jobs.len(), "one tenant leaves a worker to others");
}

#[tokio::test]
async fn an_export_has_the_rate_limit_of_expensive_requests() {
    let deployment = Deployment::new().await;
    let ada = deployment.sign_up("ada@example.com").await;
    deployment.send(&golden("artifacts", "export", &ada)).await;
    assert_eq!(deployment.counted_classes().await, ["chat"]);
}
