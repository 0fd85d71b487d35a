//! A stranger costs little: a deployment that is closed, and the limits of a tenant.

use reqwest::{Client, StatusCode};
use serde_json::{Value, json};

use crate::system::System;

async fn register(system: &System, email: &str, invitation: Option<&Value>) -> (StatusCode, Value) {
    let mut body = json!({"email": email, "password": "correct horse battery staple"});
    if let Some(code) = invitation {
        body["invitation"] = code.clone();
    }
    let url = format!("{}/api/auth/register", system.stack.origin_url());
    let answer = Client::new().post(url).json(&body).send().await.unwrap();
    (answer.status(), answer.json().await.unwrap())
}

/// Invokes the scheduler as an operator does.
async fn setup_code(system: &System) -> Value {
    let name = &system.stack.deployed().resources["SchedulerFunction"];
    let url = format!("{}/2015-03-31/functions/{name}/invocations", system.stack.control_url());
    let event = include_str!("../../../../events/scheduler/create-setup-code.json");
    let answer = Client::new().post(url).body(event).send().await.unwrap();
    assert!(!answer.headers().contains_key("x-amz-function-error"), "{}", answer.text().await.unwrap());
    answer.json::<Value>().await.unwrap()["setup_code"]["code"].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_closed_deployment_gets_its_first_account_with_a_setup_code() {
    let system = System::start(&[("REGISTRATION", "closed")]).await;
    let (status, refused) = register(&system, "eve@example.com", None).await;
    assert_eq!((status, &refused["code"]), (StatusCode::FORBIDDEN, &json!("registration_closed")));
    let code = setup_code(&system).await;
    let (status, made) = register(&system, "ada@example.com", Some(&code)).await;
    assert_eq!(status, StatusCode::CREATED, "{made}");
    let (status, refused) = register(&system, "eve@example.com", Some(&code)).await;
    assert_eq!((status, &refused["code"]), (StatusCode::FORBIDDEN, &json!("invitation_invalid")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn abandoned_runs_of_a_tenant_hold_no_more_instances_than_it_may_have_runs() {
    let system = System::start(&[("TENANT_LIMITS", "runs=3,streams=3,daily_usd=none")]).await;
    let caller = system.sign_up("ada@example.com").await;
    let long = json!({"message": {"content": "/demo tokens=100000 rate=1"}});
    let mut answers = Vec::new();
    for _ in 0..8 {
        // The client leaves when the headers have arrived.
        answers.push(caller.send(&long).await.status());
    }
    let accepted = answers.iter().filter(|status| **status == StatusCode::OK).count();
    assert_eq!(accepted, 3, "{answers:?}");
    assert!(answers[3..].iter().all(|status| *status == StatusCode::TOO_MANY_REQUESTS), "{answers:?}");
    let background = caller.request("POST", "/api/runs").json(&json!({"input": "/demo tokens=1"}));
    assert_eq!(background.send().await.unwrap().status(), StatusCode::TOO_MANY_REQUESTS);
    let other = system.sign_up("bob@example.com").await;
    let short = json!({"message": {"content": "/demo tokens=1 rate=0"}});
    assert_eq!(other.send(&short).await.status(), StatusCode::OK, "another tenant has its own limit");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn storage_is_limited_before_an_upload_is_signed() {
    let system = System::start(&[("TENANT_LIMITS", "storage_bytes=1000,runs=none,daily_usd=none")]).await;
    let caller = system.sign_up("ada@example.com").await;
    let offer = async |digit: char, size: u64| {
        let body = json!({"sha256": digit.to_string().repeat(64), "size": size, "title": "File", "media_type": "text/plain"});
        let answer = caller.request("POST", "/api/artifacts/uploads").json(&body).send().await.unwrap();
        (answer.status(), answer.json::<Value>().await.unwrap())
    };
    assert_eq!(offer('a', 600).await.0, StatusCode::CREATED);
    let (status, refused) = offer('b', 600).await;
    assert_eq!((status, &refused["code"]), (StatusCode::FORBIDDEN, &json!("storage_limit_reached")));
    assert_eq!(offer('b', 400).await.0, StatusCode::CREATED);
}
