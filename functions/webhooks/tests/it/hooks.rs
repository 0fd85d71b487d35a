//! Sequences of requests to hooks and about them, and requests that are refused.

use sequent_core::Timestamp;
use sequent_http::{
    Scope,
    testing::{
        Answer, Event,
        deployment::{request, with_token},
    },
};
use sequent_webhooks::signature::{SigningSecret, headers};
use serde_json::{Value, json};

use crate::deployment::{Deployment, Person, token};

async fn with_hook(more: Value) -> (Deployment, Person, Value) {
    let deployment = Deployment::new().await;
    let ada = deployment.sign_up("ada@example.com").await;
    let hook = deployment.hook(&ada, more).await;
    (deployment, ada, hook)
}

/// A request of another system to a hook.
fn call(hook: &Value) -> Event {
    Event::new("POST", &format!("/api/hooks/{}", token(hook)))
        .header("x-origin-verify", "example-origin-secret")
        .json(&json!({"ticket": 17}))
}

fn told(answer: &Answer) -> (u16, String) {
    (answer.status.as_u16(), answer.code())
}

async fn shown(deployment: &Deployment, of: &Person, hook: &Value) -> Value {
    let path = format!("/api/hooks/{}", hook["id"].as_str().unwrap());
    deployment.send(&request("GET", &path, of)).await.json()
}

#[tokio::test]
async fn a_repeated_message_is_one_run_by_either_header() {
    let (deployment, ada, hook) = with_hook(json!({})).await;
    for header in ["idempotency-key", "webhook-id"] {
        let first = deployment.send(&call(&hook).header(header, "msg_1")).await;
        let again = deployment.send(&call(&hook).header(header, "msg_1")).await;
        assert_eq!((again.status.as_u16(), again.json()), (202, first.json()), "{header}");
        assert_eq!(again.header("idempotency-replayed"), "true");
        assert_eq!(
            again.header("location"),
            format!("/api/runs/{}", first.json()["run_id"].as_str().unwrap())
        );
    }
    let shown = shown(&deployment, &ada, &hook).await;
    assert_eq!((&shown["calls"], &shown["runs"][0]["at"]), (&json!(1), &shown["last_called_at"]));
}

#[tokio::test]
async fn an_unknown_a_replaced_and_a_disabled_address_have_one_answer() {
    let (deployment, ada, hook) = with_hook(json!({})).await;
    let path = format!("/api/hooks/{}", hook["id"].as_str().unwrap());
    let unknown = Event::new("POST", &format!("/api/hooks/hk_{}", "x".repeat(43)));
    let unknown = unknown.header("x-origin-verify", "example-origin-secret").json(&json!({}));
    let expected = deployment.send(&unknown).await;
    assert_eq!(told(&expected), (404, "not_found".to_owned()));
    let same = |answer: Answer| {
        let members = |answer: &Answer| {
            let mut body = answer.json();
            body["instance"] = json!(null);
            body
        };
        assert_eq!(members(&answer), members(&expected));
    };
    let renewed = deployment.made(&ada, "POST", &format!("{path}/token"), json!({})).await;
    same(deployment.send(&call(&hook)).await);
    assert_eq!(deployment.send(&call(&renewed)).await.status, 202);
    deployment.made(&ada, "PATCH", &path, json!({"enabled": false})).await;
    same(deployment.send(&call(&renewed)).await);
    deployment.made(&ada, "PATCH", &path, json!({"enabled": true})).await;
    let deleted = deployment.send(&request("DELETE", &path, &ada)).await;
    assert_eq!(deleted.status, 204);
    same(deployment.send(&call(&renewed)).await);
}

#[tokio::test]
async fn a_signed_hook_refuses_what_is_not_signed_and_a_recorded_request_is_one_run() {
    let (deployment, ada, hook) = with_hook(json!({"signed": true})).await;
    let secret = SigningSecret::parse(&hook["secret"].as_str().unwrap().into()).unwrap();
    let body = json!({"ticket": 17}).to_string();
    let sign = |body: &str| {
        let signed = headers("msg_1", Timestamp::now(), body.as_bytes(), [&secret]);
        signed
            .iter()
            .fold(call(&hook).json(&json!({"ticket": 17})), |event, (name, value)| event.header(name, value))
    };
    let first = deployment.send(&sign(&body)).await;
    assert_eq!(first.status, 202, "{}", first.text());
    let again = deployment.send(&sign(&body).header("idempotency-key", "another")).await;
    assert_eq!(again.json(), first.json(), "a key that is not signed does not count");
    for refused in [call(&hook), sign("{}"), sign(&body).json(&json!({"ticket": 18}))] {
        let answer = deployment.send(&refused).await;
        assert_eq!(told(&answer), (401, "invalid_hook_signature".to_owned()));
    }
    let shown = shown(&deployment, &ada, &hook).await;
    assert_eq!((&shown["calls"], &shown["refusals"]), (&json!(1), &json!(3)));
    assert_eq!(shown["last_refusal"]["code"], "invalid_hook_signature");
    assert!(!shown.to_string().contains("whsec_"), "the secret is shown once");
}

#[tokio::test]
async fn a_body_of_more_than_64_kib_is_refused() {
    let (deployment, _, hook) = with_hook(json!({})).await;
    let text = "x".repeat(64 * 1024 + 1);
    let answer = deployment.send(&call(&hook).header("content-type", "text/plain").body(&text)).await;
    assert_eq!(told(&answer), (413, "body_too_large".to_owned()));
    assert_eq!(answer.json()["max_bytes"], 65_536);
    let malformed = call(&hook).body("{\"a\"");
    assert_eq!(told(&deployment.send(&malformed).await), (400, "invalid_json".to_owned()));
    let key = call(&hook).header("idempotency-key", "a b");
    assert_eq!(told(&deployment.send(&key).await), (400, "idempotency_key_invalid".to_owned()));
}

#[tokio::test]
async fn a_hook_takes_no_permits_from_the_messages_of_its_tenant() {
    let (deployment, _, hook) = with_hook(json!({})).await;
    assert_eq!(deployment.send(&call(&hook)).await.status, 202);
    let rows = sequent_tables::testing::all_rows(deployment.store()).await;
    let keys = rows.iter().filter_map(sequent_tables::Key::of_item);
    let counted = keys.filter(|key| key.pk().ends_with("#rate-limit") && key.sk().starts_with("chat"));
    let counted: Vec<String> = counted.map(|key| key.sk().to_owned()).collect();
    let of_hook = format!("chat#{}#", hook["id"].as_str().unwrap());
    assert!(counted.len() == 1 && counted[0].starts_with(&of_hook), "{counted:?}");
}

#[tokio::test]
async fn what_is_another_tenants_does_not_exist() {
    let (deployment, ada, hook) = with_hook(json!({})).await;
    let eve = deployment.sign_up("eve@example.com").await;
    let path = format!("/api/hooks/{}", hook["id"].as_str().unwrap());
    for (method, path, body) in [
        ("GET", path.clone(), Value::Null),
        ("PATCH", path.clone(), json!({"enabled": false})),
        ("POST", format!("{path}/token"), Value::Null),
        ("DELETE", path.clone(), Value::Null),
    ] {
        let event = request(method, &path, &eve);
        let event = if body.is_null() { event } else { event.json(&body) };
        let answer = deployment.send(&event).await;
        assert_eq!(told(&answer), (404, "not_found".to_owned()), "{method} {path}");
    }
    let hers = deployment.send(&request("GET", "/api/hooks", &eve)).await;
    assert_eq!(hers.json(), json!({"items": []}));
    assert_eq!(shown(&deployment, &ada, &hook).await["enabled"], true);
}

#[tokio::test]
async fn a_key_that_may_not_start_or_end_runs_cannot_have_a_hook_do_it() {
    let (deployment, ada, hook) = with_hook(json!({})).await;
    let path = format!("/api/hooks/{}", hook["id"].as_str().unwrap());
    let code = async |scopes: Vec<Scope>, method: &str, path: &str, body: Value| {
        let key = deployment.api_key(&ada, scopes).await;
        let answer = deployment.send(&with_token(method, path, &key).json(&body)).await;
        (answer.status.as_u16(), answer.json()["scope"].clone())
    };
    let new = json!({"name": "Tickets", "input": "Sort.", "on_conflict": "rollback"});
    let write = || vec![Scope::WebhooksWrite];
    let chat = || vec![Scope::WebhooksWrite, Scope::Chat];
    assert_eq!(code(write(), "POST", "/api/hooks", new.clone()).await, (403, json!("chat")));
    assert_eq!(code(chat(), "POST", "/api/hooks", new).await, (403, json!("runs:write")));
    assert_eq!(code(write(), "POST", &format!("{path}/token"), json!({})).await, (403, json!("chat")));
    assert_eq!(code(write(), "PATCH", &path, json!({"enabled": false})).await, (403, json!("chat")));
}
