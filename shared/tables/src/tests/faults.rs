//! The faults of the test database, as callers see them.

use std::time::Duration;

use aws_sdk_dynamodb::error::SdkError;
use sequent_core::{JobId, TenantId, Timestamp};

use super::{Named, any_key, named, row};
use crate::{
    Due, DueIndex, Error, Key, Retry, Store, Transaction, Update, Write, key,
    testing::{self, Fault, Rates},
};

#[tokio::test]
async fn contention_and_throttling_change_nothing() {
    let (store, faults) = testing::faulty_store().await;
    let key = any_key();
    for fault in [Fault::Contention, Fault::Throttled, Fault::Throttled, Fault::Throttled] {
        faults.plan([fault]);
        let refused = store.write_once(Update::of(&key).set("name", "x")).await.unwrap_err();
        assert!(matches!(refused, Error::Throttled), "{fault:?}: {refused:?}");
        faults.plan([fault]);
        let write = || Write::put(row(&key, "x"));
        let cancelled =
            Transaction::new().write(write()).write(Write::put(row(&any_key(), "y"))).run(&store).await;
        assert!(cancelled.unwrap_err().is_transient(), "{fault:?}");
        assert_eq!(super::name_at(&store, &key).await, None, "{fault:?}");
    }
}

#[tokio::test]
async fn an_internal_error_and_a_lost_answer_come_after_the_write() {
    let (store, faults) = testing::faulty_store().await;
    for fault in [Fault::InternalError, Fault::LostAnswer] {
        let key = any_key();
        faults.plan([fault]);
        let failed = store.write_once(Write::put(row(&key, "there"))).await.unwrap_err();
        assert!(matches!(failed, Error::Ambiguous(_)), "{fault:?}: {failed:?}");
        assert_eq!(super::name_at(&store, &key).await.as_deref(), Some("there"), "{fault:?}");
    }
}

#[tokio::test]
async fn a_transaction_in_conflict_has_a_reason_for_each_write() {
    let (store, faults) = testing::faulty_store().await;
    faults.cancel_every(Some(2));
    let both =
        || Transaction::new().write(Write::put(row(&any_key(), "x"))).write(Write::put(row(&any_key(), "y")));
    both().run(&store).await.unwrap();
    assert!(both().run(&store).await.unwrap_err().is_transient());
    store.commit(both(), Retry::BRIEF).await.unwrap();
    assert_eq!(faults.met()[&Fault::Contention], 1);
}

#[tokio::test]
async fn unprocessed_keys_are_read_in_the_end() {
    let (store, faults) = testing::faulty_store().await;
    let keys: Vec<Key> = (0..10).map(|_| any_key()).collect();
    for key in &keys {
        store.put(row(key, "one")).await.unwrap();
    }
    faults.plan([Fault::Unprocessed, Fault::Unprocessed, Fault::Unprocessed]);
    let found: Vec<Named> = store.get_many(&keys).await.unwrap();
    assert_eq!(found, vec![named("one"); 10]);
    assert_eq!(faults.left(), 0);
}

async fn due(store: &Store, now: Timestamp) -> Vec<Due> {
    let mut sweep = DueIndex::Jobs.sweep(store, now);
    let mut found = Vec::new();
    while let Some(page) = sweep.page().await.unwrap() {
        found.extend(page);
    }
    found
}

#[tokio::test]
async fn an_index_shows_a_write_late_and_what_was_there_before_until_then() {
    let (store, faults) = testing::faulty_store().await;
    let now = Timestamp::from_millis(1_800_000_000_000);
    let (tenant, job) = (TenantId::new(), JobId::new());
    let at = |at: Timestamp| row(&key::job(tenant, job), "job").gsi2(key::active_job(job, at));
    faults.delay_indexes(Duration::from_secs(3600));
    store.put(at(now)).await.unwrap();
    assert_eq!(due(&store, now).await, [], "the index does not show it yet");
    faults.delay_indexes(Duration::ZERO);
    assert_eq!(due(&store, now).await.len(), 1, "without a delay it does");

    let later = now + Duration::from_secs(60);
    faults.delay_indexes(Duration::from_secs(3600));
    store.put(at(later)).await.unwrap();
    let [stale] = due(&store, now).await.try_into().unwrap();
    assert!(stale.is_at(key::active_job(job, now).sk()), "the entry of the row as it was before");
    store.delete(&key::job(tenant, job)).await.unwrap();
    assert_eq!(due(&store, later).await, [stale], "also after the row is gone");
    faults.delay_indexes(Duration::ZERO);
    assert_eq!(due(&store, later).await, []);
}

#[tokio::test]
async fn at_the_highest_rates_nothing_is_written() {
    let (store, faults) = testing::faulty_store().await;
    faults.set_rates(Rates::from([(Fault::LostRequest, 500), (Fault::Throttled, 500)]));
    for _ in 0..10 {
        store.write_once(Write::put(row(&any_key(), "x"))).await.unwrap_err();
    }
    faults.set_rates(Rates::new());
    assert_eq!(testing::all_rows(&store).await, []);
    let met = faults.met();
    assert_eq!(met.values().sum::<u64>(), 10, "{met:?}");
    let failed = store.client().list_tables().send().await;
    assert!(!matches!(failed, Err(SdkError::DispatchFailure(_))), "operations on tables meet no faults");
}
