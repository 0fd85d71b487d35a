//! Single writes and batches, whatever happens to their requests on the way.

use aws_sdk_dynamodb::{
    error::{ErrorMetadata, SdkError},
    operation::transact_write_items::TransactWriteItemsError,
};
use serde::de::IgnoredAny;

use super::{any_key, name_at, named, row};
use crate::{
    Error, Store, Update, Write, attribute, classify, exists,
    testing::{self, Fault},
};

/// The faults that a write survives.
const FAULTS: [Fault; 5] =
    [Fault::LostAnswer, Fault::LostRequest, Fault::InternalError, Fault::Contention, Fault::Throttled];

async fn a_row(store: &Store) -> crate::Key {
    let key = any_key();
    store.put(row(&key, "first")).await.unwrap();
    key
}

fn renames(key: &crate::Key, from: &str, to: &str) -> Update {
    Update::of(key).set("name", to).remove("note").when(exists()).when(attribute("name").equals(from))
}

#[tokio::test]
async fn a_write_is_repeated_and_recognises_itself() {
    for fault in FAULTS {
        let (store, faults) = testing::faulty_store().await;
        let key = a_row(&store).await;
        faults.plan([fault; 3]);
        let renamed = store.update_if::<super::Named>(renames(&key, "first", "second")).await.unwrap();
        assert_eq!(renamed, Some(named("second")), "{fault:?}");
        faults.plan([fault; 3]);
        assert!(store.write_if(Write::delete(&key).when(exists())).await.unwrap(), "{fault:?}");
        faults.plan([fault; 3]);
        store.write(Write::insert(row(&key, "third"))).await.unwrap();
        assert_eq!(faults.left(), 0, "every fault was met");
    }
}

#[tokio::test]
async fn the_write_of_another_process_is_not_taken_for_its_own() {
    let (store, faults) = testing::faulty_store().await;
    let key = a_row(&store).await;
    faults.plan([Fault::LostRequest]);
    assert!(!store.write_if(renames(&key, "other", "second")).await.unwrap());
    faults.plan([Fault::LostRequest]);
    let refused = store.write(Write::insert(row(&key, "second"))).await.unwrap_err();
    assert!(matches!(refused, Error::Conflict(Some(_))), "{refused:?}");
    assert_eq!(name_at(&store, &key).await.as_deref(), Some("first"));
}

#[tokio::test]
async fn a_write_that_is_decided_is_not_repeated() {
    let (store, faults) = testing::faulty_store().await;
    let key = a_row(&store).await;
    let before = faults.calls();
    assert!(!store.write_if(renames(&key, "first ", "first")).await.unwrap());
    assert_eq!(faults.calls() - before, 1);
    faults.plan([Fault::Contention]);
    let once = store.write_once(renames(&key, "first", "second")).await.unwrap_err();
    assert!(matches!(once, Error::Throttled), "{once:?}");
}

#[tokio::test]
async fn an_outcome_that_stays_unknown_is_reported() {
    let (store, faults) = testing::faulty_store().await;
    let key = a_row(&store).await;
    faults.plan([Fault::LostRequest]);
    faults.plan([Fault::Contention; 20]);
    let error = store.write(renames(&key, "first", "second")).await.unwrap_err();
    assert!(matches!(error, Error::Ambiguous(_)), "{error:?}");
    assert_eq!(faults.left(), 13, "eight tries");
}

#[tokio::test]
async fn the_rest_of_a_batch_is_requested_after_a_pause() {
    let (store, faults) = testing::faulty_store().await;
    let mut keys = Vec::new();
    for _ in 0..20 {
        keys.push(a_row(&store).await);
    }
    faults.plan([Fault::Unprocessed, Fault::Throttled, Fault::Unprocessed]);
    let before = std::time::Instant::now();
    let found: Vec<IgnoredAny> = store.get_many(&keys).await.unwrap();
    assert_eq!((found.len(), faults.left()), (20, 0));
    // The shortest pauses that the backoff can draw.
    assert!(before.elapsed() >= std::time::Duration::from_millis(5 + 10 + 20));
}

#[test]
fn a_transaction_that_is_being_carried_out_has_no_known_outcome() {
    let code = |code: &str| TransactWriteItemsError::generic(ErrorMetadata::builder().code(code).build());
    let in_progress = SdkError::service_error(code("TransactionInProgressException"), ());
    assert!(matches!(classify(in_progress), Error::Ambiguous(_)));
    let conflict = SdkError::service_error(code("TransactionConflictException"), ());
    assert!(matches!(classify(conflict), Error::Throttled));
}
