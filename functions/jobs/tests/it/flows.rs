//! Who may see and steer which jobs.

use sequent_core::TenantId;
use sequent_http::Scope;
use serde_json::json;

use crate::deployment::{Deployment, JOB, Person, request};

const ADMIN_KEY: &str = "example-admin-key";

/// A request of whoever operates the deployment.
fn operators(method: &str, path: &str) -> sequent_http::testing::Event {
    sequent_http::testing::Event::new(method, path)
        .header("x-origin-verify", "example-origin-secret")
        .header("x-admin-key", ADMIN_KEY)
}

#[tokio::test]
async fn a_tenants_jobs_are_its_own_and_the_operators() {
    let deployment = Deployment::new().await;
    let (ada, eve) =
        (deployment.sign_up("ada@example.com").await, deployment.sign_up("eve@example.com").await);
    deployment.failed_job(&ada).await;
    let (job, ten) = (format!("/api/jobs/{JOB}"), ada.tenant());
    let (redrive, cancel) =
        (format!("/api/admin/jobs/{JOB}/redrive"), format!("/api/admin/jobs/{JOB}/cancel"));
    let of_ada = |path: &str| format!("{path}?tenant_id={ten}");

    for (method, path) in [("GET", &job), ("POST", &redrive), ("POST", &cancel)] {
        assert_eq!(deployment.send(&request(method, path, &eve)).await.status, 404, "{path}");
        assert_eq!(deployment.send(&request(method, &of_ada(path), &eve)).await.status, 404, "{path}");
        assert_eq!(deployment.send(&operators(method, path)).await.status, 404, "not the deployment's own");
    }
    let seen = deployment.send(&request("GET", &job, &ada)).await.json();
    assert_eq!(seen, deployment.send(&operators("GET", &of_ada(&job))).await.json());
    assert_eq!((&seen["status"], &seen["error"]["code"]), (&json!("error"), &json!("poison")));
    let list = deployment.send(&operators("GET", &of_ada("/api/jobs"))).await.json();
    assert_eq!(list, json!({"items": [seen], "next_cursor": null}));
    let elsewhere = deployment.send(&operators("GET", "/api/jobs")).await.json();
    assert_eq!(elsewhere, json!({"items": [], "next_cursor": null}));

    assert_eq!(deployment.send(&operators("POST", &of_ada(&redrive))).await.status, 202);
    let again = deployment.send(&request("POST", &redrive, &ada)).await;
    assert_eq!((again.status.as_u16(), &*again.code()), (409, "not_failed"));
    let cancelled = deployment.send(&request("POST", &cancel, &ada)).await.json();
    assert_eq!((&cancelled["error"]["code"], &cancelled["redrives"]), (&json!("cancelled"), &json!(1)));
}

#[tokio::test]
async fn steering_takes_the_scope_of_an_administrator() {
    let deployment = Deployment::new().await;
    let ada = deployment.sign_up("ada@example.com").await;
    deployment.failed_job(&ada).await;
    let reader = Person { token: deployment.api_key(&ada, [Scope::RunsRead]).await, ..ada };
    assert_eq!(deployment.send(&request("GET", "/api/jobs", &reader)).await.status, 200);
    for path in [format!("/api/admin/jobs/{JOB}/redrive"), "/v1/admin/jobs/hello".to_owned()] {
        let answer = deployment.send(&request("POST", &path, &reader)).await;
        assert_eq!((answer.status.as_u16(), &*answer.code()), (403, "insufficient_scope"), "{path}");
    }
}

#[tokio::test]
async fn a_greeting_is_the_same_job_for_the_same_key() {
    let deployment = Deployment::new().await;
    let ada = deployment.sign_up("ada@example.com").await;
    let hello =
        |key: &str| request("POST", "/v1/admin/jobs/hello", &ada).json(&json!({"name": "Ada", "key": key}));
    let first = deployment.send(&hello("one")).await;
    let job = first.json();
    assert_eq!(first.header("location"), format!("/api/jobs/{}", job["id"].as_str().unwrap()));
    assert_eq!(deployment.send(&hello("one")).await.json()["id"], job["id"]);
    assert_ne!(deployment.send(&hello("two")).await.json()["id"], job["id"]);
    deployment.work(ada.tenant(), job["id"].as_str().unwrap().parse().unwrap()).await;
    let done = deployment.send(&hello("one")).await.json();
    assert_eq!((&done["status"], &done["result"]), (&json!("success"), &json!("Hello, Ada!")));

    let long = "x".repeat(201);
    assert_eq!(deployment.send(&hello(&long)).await.code(), "validation_failed");
    let none = deployment.send(&operators("POST", "/v1/admin/jobs/hello")).await.json();
    let path = format!("/api/jobs/{}?tenant_id={}", none["id"].as_str().unwrap(), TenantId::SYSTEM);
    assert_eq!(deployment.send(&operators("GET", &path)).await.json()["id"], none["id"]);
}
