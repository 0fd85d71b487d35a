//! The limits are the database's own: the largest write that passes here passes there, and no larger one does.

use sequent_core::{ProjectId, TenantId};

use super::{any_key, named, row};
use crate::{
    Cancelled, Error, Key, Limit, Retry, Row, Store, Transaction, Write, key,
    limit::{ITEM_BYTES, SORT_KEY_BYTES, TRANSACTION_BYTES, TRANSACTION_WRITES, item_bytes},
    testing,
};

/// A row of exactly `bytes` bytes.
fn row_of(key: &Key, bytes: usize) -> Row {
    let empty = item_bytes(&row(key, "").into_item());
    row(key, &"x".repeat(bytes - empty))
}

fn keys() -> impl Iterator<Item = Key> {
    let tenant = TenantId::new();
    (0..).map(move |n| key::project(tenant, ProjectId::from_bits(n)))
}

async fn refused(store: &Store, transaction: Transaction) -> Limit {
    match store.commit(transaction, Retry::BRIEF).await {
        Err(Cancelled::Failed(Error::Limit(limit))) => limit,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_largest_item_is_stored_and_a_larger_one_is_not_sent() {
    let store = testing::store().await;
    let key = any_key();
    store.put(row_of(&key, ITEM_BYTES)).await.unwrap();
    let Err(Error::Limit(limit)) = store.put(row_of(&key, ITEM_BYTES + 1)).await else {
        panic!("it was sent")
    };
    assert_eq!(limit, Limit::Item { bytes: ITEM_BYTES + 1 });
    let too_large = row_of(&key, ITEM_BYTES + 1).into_item();
    let put = store.client().put_item().table_name(&*store.tables().main).set_item(Some(too_large));
    put.send().await.expect_err("the database has the same limit");
}

#[tokio::test]
async fn a_key_that_is_too_long_is_not_sent() {
    let store = testing::store().await;
    let long = |bytes: usize| key::mcp_server(TenantId::new(), &"n".repeat(bytes));
    store.put(row(&long(SORT_KEY_BYTES), "fits")).await.unwrap();
    let Err(Error::Limit(limit)) = store.put(row(&long(SORT_KEY_BYTES + 1), "does not")).await else {
        panic!("it was sent")
    };
    assert_eq!(limit, Limit::SortKey { bytes: SORT_KEY_BYTES + 1 });
    let partition = key::entity(TenantId::new(), &"t".repeat(2048), sequent_core::EntityId::new());
    let sent = store.put(row(&partition, "long")).await;
    assert!(matches!(sent, Err(Error::Limit(Limit::PartitionKey { .. }))), "{sent:?}");
}

#[tokio::test]
async fn a_transaction_has_at_most_a_hundred_writes() {
    let store = testing::store().await;
    let writes = |count: usize| {
        keys().take(count).fold(Transaction::new(), |all, key| all.write(Write::insert(row(&key, "one"))))
    };
    store.commit(writes(TRANSACTION_WRITES), Retry::BRIEF).await.unwrap();
    let limit = refused(&store, writes(TRANSACTION_WRITES + 1)).await;
    assert_eq!(limit, Limit::TransactionWrites { writes: TRANSACTION_WRITES + 1 });
}

#[tokio::test]
async fn a_transaction_has_at_most_four_megabytes() {
    let store = testing::store().await;
    let parts = |last: usize| {
        let sizes = [ITEM_BYTES; 10].into_iter().chain([last]);
        keys()
            .zip(sizes)
            .fold(Transaction::new(), |all, (key, size)| all.write(Write::put(row_of(&key, size))))
    };
    let rest = TRANSACTION_BYTES - 10 * ITEM_BYTES;
    let limit = refused(&store, parts(rest + 1)).await;
    assert_eq!(limit, Limit::TransactionBytes { bytes: TRANSACTION_BYTES + 1 });
    store.commit(parts(rest), Retry::BRIEF).await.unwrap();
}

#[tokio::test]
async fn a_transaction_has_one_write_for_a_row() {
    let store = testing::store().await;
    let key = any_key();
    let twice = Transaction::new().write(Write::put(row(&key, "one"))).write(Write::delete(&key));
    assert_eq!(refused(&store, twice).await, Limit::SameRow { first: 0, second: 1 });
}

#[test]
fn the_size_of_an_item_is_that_of_the_documented_formula() {
    let size = |value: serde_json::Value| item_bytes(&serde_dynamo::to_item(value).unwrap());
    assert_eq!(size(serde_json::json!({ "text": "é" })), 4 + 2);
    assert_eq!(size(serde_json::json!({ "n": 1200 })), 1 + 1 + 1, "zeros at the end do not count");
    assert_eq!(size(serde_json::json!({ "n": -12345 })), 1 + 3 + 1 + 1, "a sign does");
    assert_eq!(size(serde_json::json!({ "yes": true, "no": null })), 3 + 1 + 2 + 1);
    assert_eq!(size(serde_json::json!({ "list": ["ab", "c"] })), 4 + 3 + (1 + 2) + (1 + 1));
    assert_eq!(size(serde_json::json!({ "map": { "key": "v" } })), 3 + 3 + (1 + 3 + 1));
    assert_eq!(size(serde_json::to_value(named("x")).unwrap()), 4 + 1);
}

#[tokio::test]
async fn the_test_database_has_the_limits_of_dynamodb() {
    let (store, _) = testing::faulty_store().await;
    assert_eq!(testing::conformance::deviations(&store).await, [""; 0]);
}
