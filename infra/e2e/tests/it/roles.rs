//! The functions' roles. Every test fails if a function is denied something; these add what the others leave out.

use std::time::Duration;

use bytes::Bytes;
use http::Method;
use sequent_local::runtime::Reply;
use sequent_tables::testing::all_rows;
use serde_json::{Value, json};

use crate::{
    surface::{Call, Person},
    system::{PATIENCE, System},
};

/// A route of each function of the HTTP API that a person may read.
const ROUTES: [&str; 11] = [
    "/api/auth/me",
    "/api/projects",
    "/api/runs",
    "/api/agents",
    "/api/datasets",
    "/api/mcp-servers",
    "/api/artifacts",
    "/api/billing/credits",
    "/api/jobs",
    "/api/webhooks",
    "/api/health",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_function_may_count_requests_and_the_use_of_keys() {
    // The other tests have no limits.
    let limits = "read=1000000,write=1000000,chat=1000000,auth=1000000".to_owned();
    let with_limits = |options: &mut sequent_local::Options| {
        options.env.insert("RATE_LIMIT_PER_MINUTE".into(), limits);
    };
    let system = System::start_with(&[], with_limits).await;
    let person = Person::sign_up(&system, "counted@example.com").await;
    let scopes = ["account", "projects:read", "runs:read", "runs:write", "chat", "artifacts:read"];
    let key = Call::to("/api/auth/api-keys").body(json!({"name": "counted", "scopes": scopes}));
    let key = person.post(key).await.json()["key"].as_str().unwrap().to_owned();
    let credentials = [person.bearer(), vec![("authorization", format!("Bearer {key}"))]];
    for (route, credential) in ROUTES.iter().flat_map(|route| credentials.iter().map(move |one| (route, one)))
    {
        let answer = person.read("GET", &Call::to(*route), credential).await;
        // A key may lack a scope. Its use is noted before that is found out.
        assert!(!answer.status.is_server_error(), "{route}: {answer:?}");
    }
    assert_eq!(system.stack.denials().list(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_function_is_denied_what_its_role_does_not_allow() {
    let system = System::start(&[]).await;
    let stack = &system.stack;
    let deployed = stack.deployed();
    let [chat, preview] = ["ChatFunction", "PreviewFunction"].map(|name| stack.endpoint_of(name).unwrap());
    let key = json!({"run": {"S": "any"}, "seq": {"N": "1"}});
    let delete = json!({"TableName": deployed.outputs["EventsTableName"], "Key": key});
    let refused = chat.json("dynamodb", "DynamoDB_20120810.DeleteItem", &delete).await.unwrap_err();
    assert_eq!(refused.code(), Some("AccessDeniedException"), "only job-worker may delete events");
    let secret = |name: &str| {
        let key = json!({"pk": {"S": format!("secret#{name}")}, "sk": {"S": "secret"}});
        json!({"TableName": deployed.outputs["SecretsTableName"], "Key": key})
    };
    let get = "DynamoDB_20120810.GetItem";
    let refused = preview.json("dynamodb", get, &secret("pipeline")).await.unwrap_err();
    assert_eq!(refused.code(), Some("AccessDeniedException"), "previews have a key of their own");
    let refused = chat.json("dynamodb", get, &secret("signing")).await.unwrap_err();
    assert_eq!(refused.code(), Some("AccessDeniedException"), "what verifies tokens cannot make them");
    assert!(chat.json("dynamodb", get, &secret("pipeline")).await.is_ok());

    let object = format!("/{}/any", deployed.outputs["ArtifactsBucketName"]);
    let refused = preview.rest("s3", Method::DELETE, &object, Bytes::new()).await.unwrap_err();
    assert_eq!(refused.code(), Some("AccessDenied"));
    let refused = chat.rest("s3", Method::PUT, &object, Bytes::new()).await.unwrap_err();
    assert_eq!(refused.code(), Some("AccessDenied"), "the bucket's policy denies an unconditional put");
    assert_eq!(stack.denials().take().len(), 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn periodic_work_and_the_audit_are_denied_nothing() {
    let system = System::start(&[("BILLING", "on"), ("BILLING_WELCOME", "10000000")]).await;
    let person = Person::sign_up(&system, "periodic@example.com").await;
    // It lives long enough for the audit to read its log.
    person.post(Call::to("/api/runs").body(json!({"input": "/demo tokens=2000 rate=20"}))).await;
    for part in 0..24 {
        invoke(&system, "AuditFunction", json!({"part": part})).await;
    }
    for task in
        ["sweep", "rotate_signing_key", "collect_garbage", "enqueue_hourly_jobs", "enqueue_daily_jobs"]
    {
        invoke(&system, "SchedulerFunction", json!({"task": task})).await;
    }
    let jobs_end = async {
        while !have_jobs_ended(&system).await {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(PATIENCE, jobs_end).await.expect("the periodic jobs end");
    assert_eq!(system.stack.denials().list(), [""; 0]);
}

async fn invoke(system: &System, name: &str, event: Value) {
    let function = system.stack.runtime().function(name).expect("the template has it").clone();
    let reply = function.invoke(event.to_string().into()).await.unwrap();
    assert!(matches!(reply, Reply::Buffered(_)), "{name} {event}: {reply:?}");
}

/// Returns `true` if there are jobs and all have ended.
async fn have_jobs_ended(system: &System) -> bool {
    let rows = all_rows(&system.store()).await;
    let jobs = rows.iter().filter(|row| row.contains_key("job_type") && row.contains_key("status"));
    let statuses: Vec<&str> = jobs.filter_map(|row| row["status"].as_s().ok().map(String::as_str)).collect();
    let is_end = |status: &&str| matches!(*status, "success" | "error" | "cancelled");
    !statuses.is_empty() && statuses.iter().all(is_end)
}
