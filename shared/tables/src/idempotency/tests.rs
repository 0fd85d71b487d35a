//! The states of a key, against a real table.

use futures::future::join_all;
use sequent_core::{ProjectId, RunId, TenantId, Timestamp};

use super::*;
use crate::{Label, Store, Transaction, testing};

const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);
const SECOND: Duration = Duration::from_secs(1);

fn stored(body: &str) -> Stored {
    Stored { status: 201, headers: vec![], body: Some(body.to_owned()) }
}

fn record_key(tenant: TenantId) -> Key {
    crate::key::idempotency(tenant, "POST /things", "key-1")
}

fn request(key: &Key, body: &str) -> Request {
    Request { record: key.clone(), payload: PayloadHash::of("POST", "/things", body.as_bytes()) }
}

async fn ours(store: &Store, key: &Key, body: &str, at: Timestamp) -> Claim {
    match claim(store, request(key, body), at, at + SECOND * 30).await.unwrap() {
        Claimed::Ours(claim) => claim,
        Claimed::Taken(outcome) => panic!("{outcome:?}"),
    }
}

async fn taken(store: &Store, key: &Key, body: &str, at: Timestamp) -> Outcome {
    match claim(store, request(key, body), at, at + SECOND * 30).await.unwrap() {
        Claimed::Ours(_) => panic!("the key is free"),
        Claimed::Taken(outcome) => outcome,
    }
}

#[tokio::test]
async fn a_key_is_claimed_completed_and_replayed() {
    let store = testing::store().await;
    let key = record_key(TenantId::new());
    assert_eq!(lookup(&store, &request(&key, "a"), NOW).await.unwrap(), Outcome::New);
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
    let key = record_key(TenantId::new());
    ours(&store, &key, "a", NOW).await.release().await.unwrap();
    ours(&store, &key, "b", NOW).await.complete(stored("b"), NOW).await.unwrap();
    // The row is still there: TTL deletes late, so its age is checked when it is read.
    let tomorrow = NOW + LIFETIME;
    assert_eq!(lookup(&store, &request(&key, "b"), tomorrow).await.unwrap(), Outcome::New);
    ours(&store, &key, "c", tomorrow).await.release().await.unwrap();
}

#[tokio::test]
async fn a_late_owner_can_neither_complete_nor_release_a_claim_that_was_taken_over() {
    let store = testing::store().await;
    let key = record_key(TenantId::new());
    let first = ours(&store, &key, "a", NOW).await;
    let second = ours(&store, &key, "a", NOW + SECOND * 30).await;
    first.complete(stored("late"), NOW + SECOND * 31).await.unwrap();
    assert!(matches!(taken(&store, &key, "a", NOW + SECOND * 32).await, Outcome::InProgress(_)));
    second.complete(stored("successor"), NOW + SECOND * 33).await.unwrap();
    let Outcome::Replay(record) = taken(&store, &key, "a", NOW + SECOND * 34).await else {
        panic!("not replayed")
    };
    assert_eq!(record.effect(), &Effect::Response(stored("successor")));
}

#[tokio::test]
async fn a_run_and_its_key_are_written_together_or_not_at_all() {
    let store = testing::store().await;
    let key = record_key(TenantId::new());
    let run = RunId::new();
    let project = ProjectId::new();
    let record = |run| Record::for_run(&request(&key, "a"), run, project, NOW).unwrap();
    let insert = |run| Transaction::new().write(record(run)).label(Label::new("record"));
    insert(run).run(&store).await.unwrap();
    let second = insert(RunId::new()).run(&store).await.unwrap_err();
    assert!(second.refused(Label::new("record")));
    let Outcome::Replay(found) = lookup(&store, &request(&key, "a"), NOW).await.unwrap() else {
        panic!("lost")
    };
    assert_eq!(found.effect(), &Effect::Run { run, project });
    assert_eq!(lookup(&store, &request(&key, "b"), NOW).await.unwrap(), Outcome::Mismatch);
}

#[tokio::test]
async fn a_run_replaces_a_record_that_is_older_than_a_day() {
    let store = testing::store().await;
    let request = request(&record_key(TenantId::new()), "a");
    let tomorrow = NOW + LIFETIME;
    for at in [NOW, tomorrow] {
        let record = Record::for_run(&request, RunId::new(), ProjectId::new(), at).unwrap();
        Transaction::new().write(record).run(&store).await.unwrap();
        assert!(matches!(lookup(&store, &request, at).await.unwrap(), Outcome::Replay(_)));
    }
}

#[tokio::test]
async fn a_run_replaces_the_record_of_a_request_that_died() {
    let store = testing::store().await;
    let request = request(&record_key(TenantId::new()), "a");
    let deadline = NOW + SECOND * 30;
    let Claimed::Ours(_dead) = claim(&store, request.clone(), NOW, deadline).await.unwrap() else {
        panic!("the key is free")
    };
    let record = |at| Record::for_run(&request, RunId::new(), ProjectId::new(), at).unwrap();
    assert!(Transaction::new().write(record(NOW)).run(&store).await.is_err(), "the request may be alive");
    assert_eq!(lookup(&store, &request, deadline).await.unwrap(), Outcome::New);
    Transaction::new().write(record(deadline)).run(&store).await.unwrap();
}

#[tokio::test]
async fn of_fifty_concurrent_claims_one_wins() {
    let store = testing::store().await;
    let key = record_key(TenantId::new());
    let claims = (0..50).map(|_| claim(&store, request(&key, "a"), NOW, NOW + SECOND));
    let results = join_all(claims).await;
    let wins = results.iter().filter(|result| matches!(result, Ok(Claimed::Ours(_)))).count();
    assert_eq!(wins, 1);
}

#[test]
fn the_parts_of_a_request_do_not_run_into_each_other() {
    let hash = |path, body: &str| PayloadHash::of("POST", path, body.as_bytes());
    assert_ne!(hash("/a", "bc"), hash("/ab", "c"));
    assert_eq!(hash("/a", "bc"), hash("/a", "bc"));
}
