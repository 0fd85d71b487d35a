//! Another system starts runs at the address of a hook.

use reqwest::{Client, Response};
use sequent_core::Timestamp;
use sequent_webhooks::signature::{self, SigningSecret};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::system::{Caller, PATIENCE, System};

/// Creates a hook with more than its name and its task.
async fn create(caller: &Caller, more: Value) -> Value {
    let mut new = json!({"name": "Tickets", "input": "Sort the ticket."});
    new.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let created = caller.request("POST", "/api/hooks").json(&new).send().await.unwrap();
    assert_eq!(created.status(), 201);
    created.json().await.unwrap()
}

/// Sends JSON to a hook, without the credential of a person.
async fn call(hook: &Value, body: &Value, headers: &[(&str, &str)]) -> Response {
    let request = Client::new().post(hook["url"].as_str().unwrap()).json(body);
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    request.send().await.unwrap()
}

async fn ended(caller: &Caller, run: &str) -> Value {
    let look = async {
        loop {
            let run = caller.get(&format!("/api/runs/{run}")).await;
            if run["completed_at"].is_string() {
                return run;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    timeout(PATIENCE, look).await.expect("the run ends")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_starts_a_run_whose_model_reads_the_body_and_a_repeated_one_starts_no_other() {
    let system = System::start(&[]).await;
    let caller = system.sign_up("hooks@example.com").await;
    let hook = create(&caller, json!({})).await;
    let body = json!({"ticket": "The door\n/demo tokens=1 is stuck."});
    let first = call(&hook, &body, &[("webhook-id", "msg_1")]).await;
    assert_eq!(first.status(), 202);
    let location = first.headers()["location"].to_str().unwrap().to_owned();
    let receipt: Value = first.json().await.unwrap();
    let run = receipt["run_id"].as_str().unwrap();
    assert_eq!(location, format!("/api/runs/{run}"));
    let shown = ended(&caller, run).await;
    assert_eq!((&shown["status"], &shown["hook"]), (&json!("success"), &json!({"id": hook["id"]})));
    let log = caller.get(&format!("/api/runs/{run}/events?limit=1000")).await;
    let deltas = log["events"].as_array().unwrap().iter().filter_map(|event| event["delta"].as_str());
    let said: String = deltas.collect();
    let expected = format!("You said: “Sort the ticket.\n[request_body] {body}”.");
    assert!(said.contains(&expected), "{said}");

    let again = call(&hook, &body, &[("webhook-id", "msg_1")]).await;
    assert_eq!(
        (again.status().as_u16(), again.headers()["idempotency-replayed"].as_bytes()),
        (202, &b"true"[..])
    );
    assert_eq!(again.json::<Value>().await.unwrap(), receipt);
    let token = hook["url"].as_str().unwrap().rsplit('/').next().unwrap();
    assert_eq!(system.places_of(token).await, [""; 0], "the token is in no row");
    let path = format!("/api/hooks/{}", hook["id"].as_str().unwrap());
    let shown = caller.get(&path).await;
    assert_eq!((&shown["calls"], &shown["runs"][0]["run_id"]), (&json!(1), &receipt["run_id"]));

    let too_big = call(&hook, &json!("x".repeat(70_000)), &[]).await;
    assert_eq!(too_big.status(), 413);
    let stranger = system.sign_up("stranger@example.com").await;
    assert_eq!(stranger.request("GET", &path).send().await.unwrap().status(), 404);
    let disable = caller.request("PATCH", &path).json(&json!({"enabled": false})).send().await.unwrap();
    assert_eq!(disable.status(), 200);
    assert_eq!(call(&hook, &body, &[]).await.status(), 404);
    let mut renewed: Value =
        caller.request("POST", &format!("{path}/token")).send().await.unwrap().json().await.unwrap();
    caller.request("PATCH", &path).json(&json!({"enabled": true})).send().await.unwrap();
    assert_eq!(call(&hook, &body, &[]).await.status(), 404, "its token was replaced");
    assert_eq!(call(&renewed, &body, &[]).await.status(), 202);
    assert_eq!(caller.request("DELETE", &path).send().await.unwrap().status(), 204);
    assert_eq!(call(&renewed, &body, &[]).await.status(), 404);
    renewed["url"] = json!(renewed["url"].as_str().unwrap().replace("hk_", "hk-"));
    assert_eq!(call(&renewed, &body, &[]).await.status(), 404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signed_hook_starts_runs_for_its_sender_only() {
    let system = System::start(&[]).await;
    let caller = system.sign_up("signed@example.com").await;
    let secret = SigningSecret::generate().unwrap();
    let text = sequent_core::ExposeSecret::expose_secret(&secret.text()).to_owned();
    let hook = create(&caller, json!({"signed": true, "secret": text})).await;
    let body = json!({"ticket": 17});
    let signed = signature::headers("msg_1", Timestamp::now(), body.to_string().as_bytes(), [&secret]);
    let signed: Vec<(&str, &str)> = signed.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let started = call(&hook, &body, &signed).await;
    assert_eq!(started.status(), 202);
    let receipt: Value = started.json().await.unwrap();
    ended(&caller, receipt["run_id"].as_str().unwrap()).await;
    assert_eq!(call(&hook, &json!({"ticket": 18}), &signed).await.status(), 401);
    let unsigned = call(&hook, &body, &[]).await;
    assert_eq!(unsigned.status(), 401);
    assert_eq!(unsigned.json::<Value>().await.unwrap()["code"], "invalid_hook_signature");
}
