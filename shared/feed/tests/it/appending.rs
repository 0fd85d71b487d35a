//! Each change is told once, at the next position, also if several writers tell it.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::join_all;
use proptest::{collection::vec, prelude::*, test_runner::Config};
use sequent_core::{RunId, TenantId, Timestamp};
use sequent_feed::{Cause, Caused, Feed, FeedChange};
use sequent_tables::{key, testing};
use serde_json::Value;

use super::{History, Tenant};

fn changes(entries: &[sequent_feed::FeedEntry]) -> Vec<FeedChange> {
    entries.iter().map(|entry| entry.change.clone()).collect()
}

#[tokio::test]
async fn changes_are_numbered_in_the_order_in_which_they_were_added() {
    let tenant = Tenant::new().await;
    let [one, two] = [History::new(), History::new()];
    assert_eq!(tenant.append([one.created(), one.started()]).await, 2);
    assert_eq!(tenant.append([two.created(), one.ended()]).await, 2);
    let entries = tenant.entries().await;
    assert_eq!(entries.iter().map(|entry| entry.seq).collect::<Vec<_>>(), [1, 2, 3, 4]);
    let expected = [one.created(), one.started(), two.created(), one.ended()].map(|caused| caused.change);
    assert_eq!(changes(&entries), expected);
    assert_eq!(tenant.feed.live_runs(tenant.id).await.unwrap(), [two.run_id]);
    assert_eq!(tenant.feed.head(tenant.id).await.unwrap(), 4);
}

#[tokio::test]
async fn a_change_that_comes_again_adds_nothing_and_leaves_no_gap() {
    let tenant = Tenant::new().await;
    let run = History::new();
    tenant.append([run.created()]).await;
    assert_eq!(tenant.append([run.created()]).await, 0);
    assert_eq!(tenant.append([run.created(), run.started(), run.started()]).await, 1);
    let entries = tenant.entries().await;
    assert_eq!(changes(&entries), [run.created(), run.started()].map(|caused| caused.change));
}

#[tokio::test]
async fn a_run_whose_end_comes_before_its_beginning_does_not_stay_among_the_live_ones() {
    let tenant = Tenant::new().await;
    let run = History::new();
    assert_eq!(tenant.append([run.ended()]).await, 1);
    assert_eq!(tenant.append([run.created(), run.started()]).await, 2);
    assert_eq!(tenant.feed.live_runs(tenant.id).await.unwrap(), []);
    assert_eq!(tenant.entries().await.len(), 3);
}

#[tokio::test]
async fn more_changes_than_a_transaction_takes_are_several_segments() {
    let tenant = Tenant::new().await;
    let runs: Vec<History> = (0..150).map(|_| History::new()).collect();
    assert_eq!(tenant.append(runs.iter().map(|run| run.created())).await, 150);
    assert_eq!(tenant.append(runs.iter().map(|run| run.ended())).await, 150);
    let entries = tenant.entries().await;
    assert!(entries.iter().map(|entry| entry.seq).eq(1..=300));
    assert_eq!(tenant.feed.live_runs(tenant.id).await.unwrap(), []);
}

#[tokio::test]
async fn a_tenant_that_does_not_exist_gets_no_feed() {
    let store = testing::store().await;
    let feed = Feed::new(store.clone());
    let tenant = TenantId::new();
    assert_eq!(feed.append(tenant, vec![History::new().created()], Timestamp::now()).await.unwrap(), 0);
    assert!(store.get::<Value>(&key::feed_head(tenant)).await.unwrap().is_none());
}

/// Several writers are told overlapping parts of the same changes, in orders of their own, as after failures of a stream.
async fn chaos(seed: u64, runs: usize, writers: usize) {
    let mut random = fastrand::Rng::with_seed(seed);
    let tenant = Tenant::new().await;
    let histories: Vec<History> = (0..runs).map(|_| History::new()).collect();
    let all: Vec<Caused> =
        histories.iter().flat_map(|run| [run.created(), run.started(), run.ended()]).collect();
    let mut deliveries: Vec<Vec<Vec<Caused>>> = Vec::new();
    for _ in 0..writers {
        // Each writer gets all changes, so each change comes as often as there are writers.
        let mut own = all.clone();
        random.shuffle(&mut own);
        let mut batches = Vec::new();
        while !own.is_empty() {
            let size = random.usize(1..=own.len().min(20));
            batches.push(own.split_off(own.len() - size));
        }
        deliveries.push(batches);
    }
    let writing = deliveries.into_iter().map(|batches| async {
        for batch in batches {
            tenant.append(batch).await;
        }
    });
    join_all(writing).await;

    let entries = tenant.entries().await;
    assert!(entries.iter().map(|entry| entry.seq).eq(1..=all.len() as u64), "a gap, or a change told twice");
    let mut ends: BTreeMap<RunId, usize> = BTreeMap::new();
    for entry in &entries {
        if let FeedChange::RunEnded { run_id, .. } = &entry.change {
            *ends.entry(*run_id).or_default() += 1;
        }
    }
    assert_eq!(ends.len(), runs);
    assert!(ends.values().all(|count| *count == 1), "{ends:?}");
    let told: BTreeSet<String> =
        entries.iter().map(|entry| serde_json::to_string(&entry.change).unwrap()).collect();
    assert_eq!(told.len(), all.len());
    assert_eq!(tenant.feed.live_runs(tenant.id).await.unwrap(), []);
}

/// `FEED_CHANGES=10000` tries so many.
#[tokio::test(flavor = "multi_thread")]
async fn many_changes_that_come_twice_and_out_of_order_are_told_once() {
    let changes: usize = std::env::var("FEED_CHANGES").map_or(600, |text| text.parse().unwrap());
    chaos(7, changes.div_ceil(3), 2).await;
}

proptest! {
    #![proptest_config(Config { cases: 12, ..Config::default() })]

    #[test]
    fn any_order_and_any_number_of_writers_give_a_feed_without_gaps(seed: u64, runs in 1_usize..20, writers in 1_usize..5) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(chaos(seed, runs, writers));
    }

    #[test]
    fn a_page_has_the_entries_after_its_position(sizes in vec(1_usize..6, 1..12), after in 0_u64..40, limit in 1_usize..9) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let tenant = Tenant::new().await;
            for size in &sizes {
                tenant.append((0..*size).map(|_| History::new().created())).await;
            }
            let last = sizes.iter().sum::<usize>() as u64;
            let page = tenant.feed.page(tenant.id, after.min(last), limit, Timestamp::now()).await.unwrap();
            let first = after.min(last) + 1;
            let expected = first..(first + limit as u64).min(last + 1);
            prop_assert!(page.entries.iter().map(|entry| entry.seq).eq(expected.clone()));
            prop_assert_eq!(page.has_more, expected.end <= last);
            Ok(())
        })?;
    }
}

#[tokio::test]
async fn other_causes_are_told_once_too() {
    let tenant = Tenant::new().await;
    let change = FeedChange::CreditsLow { balance: 5, threshold: Some(10) };
    let low = || Caused { cause: Cause::of("evt_1".to_owned()), change: change.clone() };
    assert_eq!(tenant.append([low()]).await, 1);
    assert_eq!(tenant.append([low()]).await, 0);
    assert_eq!(changes(&tenant.entries().await), std::slice::from_ref(&change));
}
