//! Sweeps over a due index.

use std::time::Duration;

use sequent_core::{JobId, TenantId, Timestamp};
use serde::de::IgnoredAny;

use super::row;
use crate::{
    Due, DueIndex, Store, key,
    testing::{self, Fault},
};

async fn due(store: &Store, now: Timestamp) -> Vec<Due> {
    let mut sweep = DueIndex::Jobs.sweep(store, now);
    let mut found = Vec::new();
    while let Some(page) = sweep.page().await.unwrap() {
        found.extend(page);
    }
    found
}

#[tokio::test]
async fn a_sweep_finds_what_is_due_in_every_shard() {
    let store = testing::store().await;
    let tenant = TenantId::new();
    let now = Timestamp::from_millis(1_800_000_000_000);
    for n in 0..250_u128 {
        let job = JobId::from_bits(n);
        let at = if n < 230 { now } else { now + Duration::from_millis(1) };
        store.put(row(&key::job(tenant, job), "job").gsi2(key::active_job(job, at))).await.unwrap();
    }
    let found = due(&store, now).await;
    assert_eq!(found.len(), 230);
    assert!(found.iter().all(|due| key::parse_job(due.key()).is_some_and(|(of, _)| of == tenant)));
}

#[tokio::test]
async fn one_of_two_sweeps_moves_a_row() {
    let store = testing::store().await;
    let tenant = TenantId::new();
    let job = JobId::new();
    let now = Timestamp::from_millis(1_800_000_000_000);
    let later = now + Duration::from_secs(30);
    store.put(row(&key::job(tenant, job), "job").gsi2(key::active_job(job, now))).await.unwrap();
    let [found] = due(&store, now).await.try_into().unwrap();
    assert!(found.postpone::<IgnoredAny>(&store, later).await.unwrap().is_some());
    assert!(found.postpone::<IgnoredAny>(&store, later).await.unwrap().is_none(), "it was moved");
    assert!(!found.forget(&store).await.unwrap());
    assert_eq!(due(&store, now).await, []);
    let [found] = due(&store, later).await.try_into().unwrap();
    assert!(found.is_at(key::active_job(job, later).sk()), "a postponed row has the position of a new one");
    assert!(found.forget(&store).await.unwrap());
    assert_eq!(due(&store, later).await, []);
}

#[tokio::test]
async fn a_sweep_whose_answer_was_lost_has_moved_the_row() {
    let (store, faults) = testing::faulty_store().await;
    let job = JobId::new();
    let now = Timestamp::from_millis(1_800_000_000_000);
    let later = now + Duration::from_secs(30);
    store.put(row(&key::job(TenantId::new(), job), "job").gsi2(key::active_job(job, now))).await.unwrap();
    let [found] = due(&store, now).await.try_into().unwrap();
    faults.plan([Fault::LostAnswer]);
    assert!(found.postpone::<IgnoredAny>(&store, later).await.unwrap().is_some());
    let [found] = due(&store, later).await.try_into().unwrap();
    faults.plan([Fault::LostAnswer]);
    assert!(found.forget(&store).await.unwrap());
}
