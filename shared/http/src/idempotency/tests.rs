//! The idempotency layer, with a real table.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use axum::{Router, middleware::from_fn, routing::post};
use futures::future::join_all;
use sequent_core::{Principal, Scopes, TenantId, UserId, Via};
use sequent_identity::Vault;
use sequent_tables::testing;
use serde_json::json;

use super::*;
use crate::{
    App, Config, Json, Pipeline,
    testing::{Answer, Event},
};

#[test]
fn a_key_has_1_to_255_visible_ascii_characters() {
    for bad in ["", "with space", "tab\there", &"x".repeat(256)] {
        assert!(IdempotencyKey::parse(&HeaderValue::from_str(bad).unwrap()).is_err(), "{bad}");
    }
    assert!(IdempotencyKey::parse(&HeaderValue::from_bytes("ü".as_bytes()).unwrap()).is_err());
}

#[test]
fn the_document_states_the_rule_of_keys() {
    let parameter = serde_json::to_value(IdempotencyKey::into_params(|| None)).unwrap();
    assert_eq!(parameter[0]["name"].as_str().unwrap().to_lowercase(), HEADER.as_str());
    assert_eq!((&parameter[0]["in"], &parameter[0]["required"]), (&json!("header"), &json!(false)));
    let rule = regex::Regex::new(parameter[0]["schema"]["pattern"].as_str().unwrap()).unwrap();
    for text in ["", "k", "~!", "with space", &"x".repeat(255), &"x".repeat(256)] {
        let accepted = IdempotencyKey::parse(&HeaderValue::from_str(text).unwrap()).is_ok();
        assert_eq!(rule.is_match(text), accepted, "{text}");
    }
}

fn caller() -> Principal {
    Principal {
        tenant: TenantId::new(),
        user: UserId::from_bits(1),
        session: None,
        api_key: None,
        scopes: Scopes::ALL,
        via: Via::Bearer,
    }
}

/// A route that counts its effects. It fails for the body `{"fail":true}` and panics for `{"panic":true}`.
async fn counting_app() -> (App, Arc<AtomicUsize>) {
    let count = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&count);
    let handler = move |Json(body): Json<serde_json::Value>| async move {
        assert!(body["panic"].is_null(), "asked to panic");
        if body["fail"] == true {
            return Err(crate::Problem::new(sequent_core::Code::Conflict, "no"));
        }
        let n = counter.fetch_add(1, Ordering::SeqCst) + 1;
        Ok((http::StatusCode::CREATED, [("location", format!("/things/{n}"))], Json(json!({"n": n}))))
    };
    let router = Router::new().route("/things", post(handler).layer(from_fn(required)));
    let pipeline = Pipeline::with_config("test", Config::for_tests())
        .store(testing::store().await)
        .callers(Vault::fixed(&r#"{"seed":"s"}"#.into()).unwrap(), [("token", caller())]);
    (pipeline.around(router), count)
}

async fn create(app: &App, key: Option<&str>, body: serde_json::Value) -> Answer {
    let event = Event::new("POST", "/things").bearer("token").json(&body);
    key.map_or(event.clone(), |key| event.header("idempotency-key", key)).send(app).await
}

#[tokio::test]
async fn a_response_is_repeated_and_its_effect_is_not() {
    let (app, count) = counting_app().await;
    let first = create(&app, Some("k"), json!({"a": 1})).await;
    let again = create(&app, Some("k"), json!({"a": 1})).await;
    assert_eq!((first.status.as_u16(), first.json()), (201, json!({"n": 1})));
    assert_eq!((again.status.as_u16(), again.json()), (201, json!({"n": 1})));
    assert_eq!((first.header("idempotency-replayed"), again.header("idempotency-replayed")), ("", "true"));
    assert_eq!(again.header("location"), "/things/1");
    assert_eq!(again.header("content-type"), "application/json");
    let other = create(&app, Some("k"), json!({"a": 2})).await;
    assert_eq!((other.status.as_u16(), other.code().as_str()), (422, "idempotency_key_reused"));
    let missing = create(&app, None, json!({})).await;
    assert_eq!((missing.status.as_u16(), missing.code().as_str()), (400, "idempotency_key_required"));
    assert_eq!(count.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_failure_or_a_panic_releases_the_key() {
    let (app, count) = counting_app().await;
    assert_eq!(create(&app, Some("k"), json!({"fail": true})).await.code(), "conflict");
    assert_eq!(create(&app, Some("k"), json!({"panic": true})).await.status, 500);
    assert_eq!(create(&app, Some("k"), json!({})).await.status, 201);
    assert_eq!(count.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn fifty_concurrent_requests_with_one_key_have_one_effect() {
    let (app, count) = counting_app().await;
    let answers = join_all((0..50).map(|_| create(&app, Some("k"), json!({"a": 1})))).await;
    assert_eq!(count.load(Ordering::SeqCst), 1);
    for answer in answers {
        match answer.status.as_u16() {
            201 => assert_eq!(answer.json(), json!({"n": 1})),
            409 => assert!(!answer.header("retry-after").is_empty()),
            other => panic!("{other}: {}", answer.text()),
        }
    }
}
