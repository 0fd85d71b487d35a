//! The state machine of a key, against a real table.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use axum::{Router, middleware::from_fn, routing::post};
use futures::future::{BoxFuture, join_all};
use sequent_core::{ProjectId, RunId, TenantId, Timestamp, UserId};
use sequent_tables::{Store, Transaction, testing};
use serde_json::json;

use super::*;
use crate::{
    App, Authenticator, Config, Credential, Json, Pipeline, Principal, Scopes, Via,
    testing::{Answer, Event},
};

const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);
const SECOND: Duration = Duration::from_secs(1);

fn stored(body: &str) -> Stored {
    Stored { status: 201, headers: vec![], body: Some(body.to_owned()) }
}

fn row(tenant: TenantId) -> Key {
    IdempotencyKey::parse(&HeaderValue::from_static("key-1")).unwrap().row(tenant, "POST /things")
}

fn payload(body: &str) -> PayloadHash {
    PayloadHash::of(&Method::POST, "/things", body.as_bytes())
}

async fn ours(store: &Store, key: &Key, body: &str, at: Timestamp) -> Claim {
    match claim(store, key.clone(), payload(body), at, at + SECOND * 30).await.unwrap() {
        Claimed::Ours(claim) => claim,
        Claimed::Taken(outcome) => panic!("{outcome:?}"),
    }
}

async fn taken(store: &Store, key: &Key, body: &str, at: Timestamp) -> Outcome {
    match claim(store, key.clone(), payload(body), at, at + SECOND * 30).await.unwrap() {
        Claimed::Ours(_) => panic!("the key is free"),
        Claimed::Taken(outcome) => outcome,
    }
}

#[tokio::test]
async fn a_key_is_claimed_completed_and_replayed() {
    let store = testing::store().await;
    let key = row(TenantId::new());
    assert_eq!(lookup(&store, &key, &payload("a"), NOW).await.unwrap(), Outcome::New);
    let claim = ours(&store, &key, "a", NOW).await;
    assert_eq!(taken(&store, &key, "a", NOW + SECOND).await, Outcome::InProgress(SECOND * 29));
    assert_eq!(taken(&store, &key, "b", NOW + SECOND).await, Outcome::Mismatch);
    claim.complete(stored("done"), NOW + SECOND).await.unwrap();
    let Outcome::Replay(record) = taken(&store, &key, "a", NOW + SECOND * 60).await else {
        panic!("not replayed")
    };
    assert_eq!(record.effect(), &Effect::Response(stored("done")));
    assert_eq!(taken(&store, &key, "b", NOW + SECOND * 60).await, Outcome::Mismatch);
}

#[tokio::test]
async fn a_released_key_and_one_older_than_a_day_are_free() {
    let store = testing::store().await;
    let key = row(TenantId::new());
    ours(&store, &key, "a", NOW).await.release().await.unwrap();
    ours(&store, &key, "b", NOW).await.complete(stored("b"), NOW).await.unwrap();
    // The row is still there: TTL deletes late, so its age is checked when it is read.
    let tomorrow = NOW + LIFETIME;
    assert_eq!(lookup(&store, &key, &payload("b"), tomorrow).await.unwrap(), Outcome::New);
    ours(&store, &key, "c", tomorrow).await.release().await.unwrap();
}

#[tokio::test]
async fn a_zombie_can_neither_complete_nor_release_what_was_taken_over() {
    let store = testing::store().await;
    let key = row(TenantId::new());
    let first = ours(&store, &key, "a", NOW).await;
    let second = ours(&store, &key, "a", NOW + SECOND * 30).await;
    first.complete(stored("zombie"), NOW + SECOND * 31).await.unwrap();
    assert!(matches!(taken(&store, &key, "a", NOW + SECOND * 32).await, Outcome::InProgress(_)));
    second.complete(stored("heir"), NOW + SECOND * 33).await.unwrap();
    let Outcome::Replay(record) = taken(&store, &key, "a", NOW + SECOND * 34).await else {
        panic!("not replayed")
    };
    assert_eq!(record.effect(), &Effect::Response(stored("heir")));
}

#[tokio::test]
async fn a_run_and_its_key_are_written_together_or_not_at_all() {
    let store = testing::store().await;
    let key = row(TenantId::new());
    let (run, project) = (RunId::new(), ProjectId::new());
    let record = |run| Record::for_run(&key, &payload("a"), run, project, NOW).unwrap();
    Transaction::new().insert(&store, record(run)).run(&store).await.unwrap();
    let second = Transaction::new().insert(&store, record(RunId::new())).run(&store).await.unwrap_err();
    assert!(second.condition_failed(0));
    let Outcome::Replay(found) = lookup(&store, &key, &payload("a"), NOW).await.unwrap() else {
        panic!("lost")
    };
    assert_eq!(found.effect(), &Effect::Run { run, project });
    assert_eq!(lookup(&store, &key, &payload("b"), NOW).await.unwrap(), Outcome::Mismatch);
}

#[tokio::test]
async fn of_fifty_concurrent_claims_one_wins() {
    let store = testing::store().await;
    let key = row(TenantId::new());
    let claims = (0..50).map(|_| claim(&store, key.clone(), payload("a"), NOW, NOW + SECOND));
    let results = join_all(claims).await;
    let wins = results.iter().filter(|result| matches!(result, Ok(Claimed::Ours(_)))).count();
    assert_eq!(wins, 1);
}

#[test]
fn keys_and_payloads_are_told_apart() {
    for bad in ["", "with space", "tab\there", &"x".repeat(256)] {
        assert!(IdempotencyKey::parse(&HeaderValue::from_str(bad).unwrap()).is_err(), "{bad}");
    }
    assert!(IdempotencyKey::parse(&HeaderValue::from_bytes("ü".as_bytes()).unwrap()).is_err());
    let hash = |path, body: &str| PayloadHash::of(&Method::POST, path, body.as_bytes());
    assert_ne!(hash("/a", "bc"), hash("/ab", "c"));
    assert_eq!(hash("/a", "bc"), hash("/a", "bc"));
}

struct Anyone(TenantId);

impl Authenticator for Anyone {
    fn authenticate(&self, _: Credential) -> BoxFuture<'_, Result<Principal, crate::Problem>> {
        let principal = Principal {
            tenant: self.0,
            user: UserId::from_bits(1),
            session: None,
            api_key: None,
            scopes: Scopes::ALL,
            via: Via::Bearer,
        };
        Box::pin(std::future::ready(Ok(principal)))
    }
}

/// A route that counts its effects; the body `{"fail":true}` makes it refuse, `{"panic":true}` panic.
async fn counting_app() -> (App, Arc<AtomicUsize>) {
    let count = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&count);
    let handler = move |Json(body): Json<serde_json::Value>| async move {
        assert!(body["panic"].is_null(), "asked to panic");
        if body["fail"] == true {
            return Err(crate::Problem::conflict("refused", "no"));
        }
        let n = counter.fetch_add(1, Ordering::SeqCst) + 1;
        Ok((http::StatusCode::CREATED, [("location", format!("/things/{n}"))], Json(json!({"n": n}))))
    };
    let router = Router::new().route("/things", post(handler).layer(from_fn(required)));
    let pipeline = Pipeline::with_config("test", Config::for_tests())
        .store(testing::store().await)
        .authenticator(Anyone(TenantId::new()));
    (pipeline.around(router), count)
}

async fn create(app: &App, key: Option<&str>, body: serde_json::Value) -> Answer {
    let event = Event::new("POST", "/things").bearer("token").json(&body);
    key.map_or(event.clone(), |key| event.header("idempotency-key", key)).send(app).await
}

#[tokio::test]
async fn an_answer_is_repeated_and_its_effect_is_not() {
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
async fn a_refusal_or_a_panic_frees_the_key() {
    let (app, count) = counting_app().await;
    assert_eq!(create(&app, Some("k"), json!({"fail": true})).await.code(), "refused");
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
