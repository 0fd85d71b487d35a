//! Callers and the jobs that they may read and manage.

use sequent_core::TenantId;
use sequent_http::{
    Scope,
    testing::{Answer, Event},
};
use serde_json::json;

use crate::deployment::{Deployment, JOB, request};

fn outcome(answer: &Answer) -> (u16, String) {
    (answer.status.as_u16(), answer.code())
}

/// A request of the operator of the deployment.
fn by_operator(method: &str, path: &str) -> Event {
    Event::new(method, path)
        .header("x-origin-verify", "example-origin-secret")
        .header("x-admin-key", "example-admin-key-of-32-characters")
}

#[tokio::test]
async fn only_the_tenant_and_the_operator_reach_a_tenants_jobs() {
    let deployment = Deployment::new().await;
    let ada = deployment.sign_up("ada@example.com").await;
    let eve = deployment.sign_up("eve@example.com").await;
    deployment.failed_job(&ada).await;
    let job = format!("/api/jobs/{JOB}");
    let redrive = format!("/api/admin/jobs/{JOB}/redrive");
    let cancel = format!("/api/admin/jobs/{JOB}/cancel");
    let of_ada = |path: &str| format!("{path}?tenant_id={}", ada.tenant());

    for (method, path) in [("GET", &job), ("POST", &redrive), ("POST", &cancel)] {
        assert_eq!(deployment.send(&request(method, path, &eve)).await.status, 404, "{path}");
        assert_eq!(deployment.send(&request(method, &of_ada(path), &eve)).await.status, 404, "{path}");
        let answer = deployment.send(&by_operator(method, path)).await;
        assert_eq!(answer.status, 404, "{path} is not a job of the deployment itself");
    }
    let found = deployment.send(&request("GET", &job, &ada)).await.json();
    assert_eq!(found, deployment.send(&by_operator("GET", &of_ada(&job))).await.json());
    assert_eq!(found["status"], "error");
    assert_eq!(found["error"]["code"], "poison");
    let list = deployment.send(&by_operator("GET", &of_ada("/api/jobs"))).await.json();
    assert_eq!(list, json!({"items": [found], "next_cursor": null}));
    let own = deployment.send(&by_operator("GET", "/api/jobs")).await.json();
    assert_eq!(own, json!({"items": [], "next_cursor": null}));

    assert_eq!(deployment.send(&by_operator("POST", &of_ada(&redrive))).await.status, 202);
    let again = deployment.send(&request("POST", &redrive, &ada)).await;
    assert_eq!(outcome(&again), (409, "not_failed".to_owned()));
    let cancelled = deployment.send(&request("POST", &cancel, &ada)).await.json();
    assert_eq!(cancelled["error"]["code"], "cancelled");
    assert_eq!(cancelled["redrives"], 1);
}

#[tokio::test]
async fn a_job_that_serves_the_deployment_is_listed_for_the_operator_only() {
    let deployment = Deployment::new().await;
    let ada = deployment.sign_up("ada@example.com").await;
    deployment.internal_job(&ada).await;
    let own = deployment.send(&request("GET", "/api/jobs", &ada)).await.json();
    assert_eq!(own, json!({"items": [], "next_cursor": null}));
    let path = format!("/api/jobs?tenant_id={}", ada.tenant());
    let all = deployment.send(&by_operator("GET", &path)).await.json();
    assert_eq!(all["items"][0]["internal"], true, "{all}");
}

#[tokio::test]
async fn only_the_operator_redrives_a_job_that_a_run_would_have_paid_for() {
    let deployment = Deployment::new().await;
    let ada = deployment.sign_up("ada@example.com").await;
    deployment.failed_job_of_run(&ada).await;
    let redrive = format!("/api/admin/jobs/{JOB}/redrive");
    let refused = deployment.send(&request("POST", &redrive, &ada)).await;
    assert_eq!(outcome(&refused), (409, "job_of_run".to_owned()));
    let of_ada = format!("{redrive}?tenant_id={}", ada.tenant());
    assert_eq!(deployment.send(&by_operator("POST", &of_ada)).await.status, 202);
}

#[tokio::test]
async fn managing_jobs_needs_the_scope_of_an_account() {
    let deployment = Deployment::new().await;
    let ada = deployment.sign_up("ada@example.com").await;
    deployment.failed_job(&ada).await;
    let key = deployment.api_key(&ada, [Scope::RunsRead]).await;
    let list = request("GET", "/api/jobs", &ada).bearer(&key);
    assert_eq!(deployment.send(&list).await.status, 200);
    for path in [format!("/api/admin/jobs/{JOB}/redrive"), "/v1/admin/jobs/hello".to_owned()] {
        let answer = deployment.send(&request("POST", &path, &ada).bearer(&key)).await;
        assert_eq!(outcome(&answer), (403, "insufficient_scope".to_owned()), "{path}");
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
    assert_eq!(done["status"], "success");
    assert_eq!(done["result"], "Hello, Ada!");

    let long = "x".repeat(201);
    assert_eq!(deployment.send(&hello(&long)).await.code(), "validation_failed");
    let none = request("POST", "/v1/admin/jobs/hello", &ada).json(&json!(null));
    assert_eq!(deployment.send(&none).await.status, 202, "`null` is no input");
    let greeting = deployment.send(&by_operator("POST", "/v1/admin/jobs/hello")).await.json();
    let path = format!("/api/jobs/{}?tenant_id={}", greeting["id"].as_str().unwrap(), TenantId::SYSTEM);
    assert_eq!(deployment.send(&by_operator("GET", &path)).await.json()["id"], greeting["id"]);
}

#[tokio::test]
async fn a_wrong_query_is_refused() {
    let deployment = Deployment::new().await;
    let ada = deployment.sign_up("ada@example.com").await;
    for (query, code) in
        [("limit=0", "invalid_query"), ("limit=101", "invalid_query"), ("cursor=x", "invalid_cursor")]
    {
        let answer = deployment.send(&request("GET", &format!("/api/jobs?{query}"), &ada)).await;
        assert_eq!(outcome(&answer), (400, code.to_owned()), "{query}");
    }
}
