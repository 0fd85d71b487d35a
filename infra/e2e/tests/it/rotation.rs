//! The signing key is replaced while people are signed in.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::signature::{Ed25519KeyPair, KeyPair};
use sequent_tables::{SecretName, Transaction, Update};
use serde_json::{Value, json};

use crate::system::System;

/// The beginning of every Ed25519 key in PKCS #8, version 1.
const PKCS8: [u8; 16] = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
const PASSWORD: &str = "correct horse battery staple";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_rotations_at_once_replace_an_old_key_once_and_refuse_no_token() {
    let system = System::start(&[]).await;
    let long_ago = 1_000_000_000;
    let caller = system.sign_up("rotation@example.com").await;
    put(&system, &[key("old", long_ago)]).await;
    forget(&system).await;
    assert_eq!(kid(&token(&system).await), "old");

    let (one, other) = tokio::join!(rotate(&system), rotate(&system));
    let mut outcomes = [one["signing_key"].as_str().unwrap(), other["signing_key"].as_str().unwrap()];
    outcomes.sort_unstable();
    assert!(matches!(outcomes, ["lost" | "rotated", "rotated" | "young"]), "{outcomes:?}");
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == "rotated").count(), 1, "{outcomes:?}");
    assert_eq!(rotate(&system).await["signing_key"], "young");

    // Processes that start now have both keys, and sign with the old one until the start time of the new one.
    forget(&system).await;
    let mut published = kids(&caller.get("/.well-known/jwks.json").await);
    assert_eq!(published.len(), 2, "{published:?}");
    published.retain(|kid| kid != "old");
    let [new] = published.as_slice() else { panic!("{published:?}") };
    assert_eq!(kid(&token(&system).await), "old");
    let signed_in = caller.with_token(token(&system).await);
    let me = signed_in.get("/api/auth/me").await;
    assert_eq!(me["email"], "rotation@example.com", "{me}");

    // The start time of the new key has passed.
    let signing: Value = system.secrets().get(SecretName::Signing).await.unwrap().unwrap();
    let mut keys = signing["keys"].as_array().unwrap().clone();
    let next = keys.iter_mut().find(|key| key["kid"] == **new).unwrap();
    assert!(next["not_before"].as_i64().unwrap() > long_ago);
    next["not_before"] = json!(long_ago + 1);
    put(&system, &keys).await;
    forget(&system).await;
    assert_eq!(kid(&token(&system).await), *new);
    let me = signed_in.get("/api/auth/me").await;
    assert_eq!(me["email"], "rotation@example.com", "a token of the former key: {me}");
}

/// Invokes the scheduler with the event of the schedule.
async fn rotate(system: &System) -> Value {
    let name = &system.stack.deployed().resources["SchedulerFunction"];
    let url = format!("{}/2015-03-31/functions/{name}/invocations", system.stack.control_url());
    let event = include_str!("../../../../events/scheduler/rotate-signing-key.json");
    let answer = reqwest::Client::new().post(url).body(event).send().await.unwrap();
    assert!(!answer.headers().contains_key("x-amz-function-error"), "{}", answer.text().await.unwrap());
    answer.json().await.unwrap()
}

/// Signs a user in and returns the access token.
async fn token(system: &System) -> String {
    let body = json!({"email": "rotation@example.com", "password": PASSWORD});
    let url = format!("{}/api/auth/login", system.stack.origin_url());
    let answer = reqwest::Client::new().post(url).json(&body).send().await.unwrap();
    let answer: Value = answer.json().await.unwrap();
    answer["access_token"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
}

fn kid(token: &str) -> String {
    let header = URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap();
    let header: Value = serde_json::from_slice(&header).unwrap();
    header["kid"].as_str().unwrap().to_owned()
}

fn kids(jwks: &Value) -> Vec<String> {
    let keys = jwks["keys"].as_array().unwrap_or_else(|| panic!("{jwks}"));
    keys.iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

/// Returns a signing key as it is stored: PKCS #8 version 1 (RFC 8410, section 7) of a seed.
fn key(kid: &str, not_before: i64) -> Value {
    let der = [&PKCS8[..], &[7; 32]].concat();
    json!({"kid": kid, "private_key": STANDARD.encode(der), "not_before": not_before, "not_after": null})
}

/// Ends all processes, and with them their cached secret.
async fn forget(system: &System) {
    for instance in system.stack.instances() {
        system.stack.kill(instance.pid);
    }
    while !system.stack.instances().is_empty() {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

/// Replaces the signing keys, and the public keys that belong to them.
async fn put(system: &System, keys: &[Value]) {
    let public: Vec<Value> = keys.iter().map(public).collect();
    let signing = Update::of(&SecretName::Signing.key()).set("keys", keys).add("version", 1);
    let pipeline = Update::of(&SecretName::Pipeline.key()).set("public_keys", public);
    system.secrets().commit(Transaction::new().write(signing).write(pipeline)).await.unwrap();
}

fn public(key: &Value) -> Value {
    let der = STANDARD.decode(key["private_key"].as_str().unwrap()).unwrap();
    let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der).unwrap();
    let x = URL_SAFE_NO_PAD.encode(pair.public_key());
    json!({"kid": key["kid"], "x": x, "not_after": key["not_after"]})
}
