//! One transaction, whatever happens to its requests on the way.

use super::{any_key, named, row};
use crate::{
    Cancelled, Error, Label, Retry, Store, Transaction, Update, Write, exists,
    testing::{self, Fault},
};

const FIRST: Label = Label::new("first");
const SECOND: Label = Label::new("second");

/// Counts up: applied twice, it would show.
fn count(key: &crate::Key) -> Transaction {
    Transaction::new().write(Update::of(key).add("count", 1))
}

async fn counted(store: &Store, key: &crate::Key) -> i64 {
    let row: serde_json::Value = store.get(key).await.unwrap().unwrap();
    row["count"].as_i64().unwrap()
}

#[tokio::test]
async fn a_lost_answer_is_asked_for_again_and_applied_once() {
    for fault in [Fault::LostAnswer, Fault::LostRequest, Fault::Contention] {
        let (store, faults) = testing::faulty_store().await;
        let key = any_key();
        faults.plan([fault, fault, fault]);
        store.commit(count(&key), Retry::BRIEF).await.unwrap();
        assert_eq!(faults.left(), 0, "every fault was met");
        assert_eq!(counted(&store, &key).await, 1, "{fault:?}");
    }
}

#[tokio::test]
async fn contention_after_a_lost_answer_does_not_apply_it_again() {
    let (store, faults) = testing::faulty_store().await;
    let key = any_key();
    faults.plan([Fault::Contention, Fault::LostAnswer, Fault::Contention]);
    store.commit(count(&key), Retry::BRIEF).await.unwrap();
    assert_eq!(counted(&store, &key).await, 1);
}

#[tokio::test]
async fn a_transaction_is_not_refused_because_of_its_own_first_try() {
    let (store, faults) = testing::faulty_store().await;
    let key = any_key();
    faults.plan([Fault::LostAnswer]);
    let insert = Transaction::new().write(Write::insert(row(&key, "mine"))).label(FIRST);
    store.commit(insert, Retry::BRIEF).await.unwrap();
}

#[tokio::test]
async fn tries_end() {
    let (store, faults) = testing::faulty_store().await;
    faults.plan([Fault::Contention; 20]);
    let cancelled = store.commit(count(&any_key()), Retry::BRIEF).await.unwrap_err();
    assert!(cancelled.is_transient());
    assert_eq!(faults.left(), 12, "eight tries");
}

#[tokio::test]
async fn an_outcome_that_stays_unknown_is_reported() {
    let (store, faults) = testing::faulty_store().await;
    faults.plan([Fault::LostAnswer]);
    faults.plan([Fault::Contention; 20]);
    let failed = store.commit(count(&any_key()), Retry::BRIEF).await.unwrap_err();
    assert!(matches!(failed, Cancelled::Failed(Error::Ambiguous(_))), "{failed:?}");
}

#[tokio::test]
async fn a_refusal_names_its_write_and_shows_the_row() {
    let store = testing::store().await;
    let (free, taken, missing) = (any_key(), any_key(), any_key());
    store.put(row(&taken, "other")).await.unwrap();
    let transaction = Transaction::new()
        .write(Write::insert(row(&free, "one")))
        .label(FIRST)
        .write(Write::insert(row(&taken, "two")))
        .label(SECOND);
    let cancelled = store.commit(transaction, Retry::BRIEF).await.unwrap_err();
    assert!(cancelled.any_refused() && cancelled.refused(SECOND) && !cancelled.refused(FIRST));
    assert_eq!(cancelled.found(SECOND), Some(named("other")));
    assert_eq!(super::name_at(&store, &free).await, None, "nothing was written");

    let absent = Transaction::new().write(Update::of(&missing).set("name", "x").when(exists())).label(FIRST);
    let cancelled = absent.run(&store).await.unwrap_err();
    assert!(cancelled.refused(FIRST));
    assert_eq!(cancelled.found::<super::Named>(FIRST), None, "there is no row to show");
    let required =
        Transaction::new().write(Write::require(&missing)).label(FIRST).write(Write::delete(&free));
    assert!(required.run(&store).await.unwrap_err().refused(FIRST));
}
