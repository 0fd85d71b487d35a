//! The typed layer against a database: every piece does there what it says here.

mod commit;
mod due;
mod faults;
mod limits;
mod retries;
mod updates;

use sequent_core::{ProjectId, TenantId};
use serde::{Deserialize, Serialize};

use crate::{Error, Key, Row, Store, Update, Write, absent, attribute, exists, key, testing};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Named {
    name: String,
}

fn named(name: &str) -> Named {
    Named { name: name.to_owned() }
}

fn any_key() -> Key {
    key::project(TenantId::new(), ProjectId::new())
}

fn row(key: &Key, name: &str) -> Row {
    Row::new(key, &named(name)).unwrap()
}

async fn name_at(store: &Store, key: &Key) -> Option<String> {
    store.get::<Named>(key).await.unwrap().map(|found| found.name)
}

#[tokio::test]
async fn rows_are_written_once_and_read_back() {
    let store = testing::store().await;
    let key = any_key();
    store.insert(row(&key, "first")).await.unwrap();
    store.insert(row(&key, "first")).await.expect("the same write again is no conflict");
    let conflict = store.insert(row(&key, "second")).await.unwrap_err();
    assert!(matches!(conflict, Error::Conflict(Some(_))), "{conflict:?}");
    assert_eq!(name_at(&store, &key).await.as_deref(), Some("first"));
}

#[tokio::test]
async fn an_unreachable_table_is_an_ambiguous_outcome() {
    let store = testing::unreachable_store().await;
    let error = store.get::<Named>(&any_key()).await.unwrap_err();
    assert!(error.is_transient(), "{error:?}");
}

#[tokio::test]
async fn a_conditional_write_reports_the_row_that_it_found() {
    let store = testing::store().await;
    let key = any_key();
    store.put(row(&key, "first")).await.unwrap();
    let only_second = || attribute("name").equals("second");
    let writes: [Write; 3] = [
        Write::put(row(&key, "third")).when(only_second()),
        Update::of(&key).set("name", "third").when(only_second()).into(),
        Write::delete(&key).when(only_second()),
    ];
    for write in writes {
        let Err(Error::Conflict(Some(found))) = store.write(write.clone()).await else { panic!("{write:?}") };
        assert_eq!(crate::decode::<Named>(*found).unwrap(), named("first"));
        assert!(!store.write_if(write).await.unwrap());
    }
    assert_eq!(name_at(&store, &key).await.as_deref(), Some("first"));
    assert!(store.write_if(Write::delete(&key).when(attribute("name").equals("first"))).await.unwrap());
    assert_eq!(name_at(&store, &key).await, None);
}

#[tokio::test]
async fn an_update_returns_the_row_after_it_or_nothing() {
    let store = testing::store().await;
    let key = any_key();
    let rename = Update::of(&key).set("name", "second").when(exists());
    assert_eq!(store.update_if::<Named>(rename.clone()).await.unwrap(), None);
    store.put(row(&key, "first")).await.unwrap();
    assert_eq!(store.update_if::<Named>(rename).await.unwrap(), Some(named("second")));
}

#[tokio::test]
async fn every_condition_decides_as_it_is_documented() {
    let store = testing::store().await;
    let key = any_key();
    let stored = Row::new(&key, &named("b")).unwrap();
    let stored =
        stored.set("status", Some("open")).set("none", None::<u8>).set("count", 5).set("list", [1, 2]);
    store.put(stored.set("map", std::collections::BTreeMap::from([("a.b", 7)]))).await.unwrap();
    let holds = [
        exists(),
        attribute("none").is_present(),
        attribute("other").is_absent(),
        attribute("none").is_none(),
        attribute("other").is_none(),
        attribute("status").equals("open"),
        attribute(["map", "a.b"]).equals(7),
        attribute("other").differs_from(1),
        attribute("count").is_below(6),
        attribute("count").is_at_most(5),
        attribute("count").is_above(4),
        attribute("count").is_at_least(5),
        attribute("name").is_one_of(["a", "b"]),
        attribute("list").has_fewer_than(3),
        absent().or(attribute("count").equals(5)),
        exists().and(absent().or(exists())).and(attribute("count").equals(5)),
    ];
    let fails = [
        absent(),
        attribute("other").is_present(),
        attribute("none").is_absent(),
        attribute("status").is_none(),
        attribute("status").equals("closed"),
        attribute("other").equals(1),
        attribute("count").differs_from(5),
        attribute("count").is_below(5),
        attribute("count").is_at_most(4),
        attribute("count").is_above(5),
        attribute("count").is_at_least(6),
        attribute("name").is_one_of(["a", "c"]),
        attribute("list").has_fewer_than(2),
        exists().and(absent()),
        absent().or(absent()),
        absent().and(absent().or(exists())),
    ];
    let expected = holds.map(|condition| (condition, true)).into_iter().chain(fails.map(|c| (c, false)));
    for (condition, holds) in expected {
        let write = Update::of(&key).set("touched", true).when(condition.clone());
        assert_eq!(store.write_if(write).await.unwrap(), holds, "{condition:?}");
    }
}

#[tokio::test]
async fn many_rows_are_read_in_batches() {
    let store = testing::store().await;
    let tenant = TenantId::new();
    let keys: Vec<Key> = (0..250).map(|n| key::project(tenant, ProjectId::from_bits(n))).collect();
    for key in &keys[..230] {
        store.put(row(key, "here")).await.unwrap();
    }
    assert_eq!(store.get_many::<Named>(&keys).await.unwrap().len(), 230);
    assert_eq!(store.get_many::<Named>(&[]).await.unwrap(), []);
}

#[tokio::test]
async fn both_tables_answer_a_ping() {
    let store = testing::store().await;
    store.ping(crate::TableName::Main).await.unwrap();
    store.ping(crate::TableName::Events).await.unwrap();
}
