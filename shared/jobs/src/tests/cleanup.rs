//! The removal of old jobs, and the text of messages that cannot be read.

use std::time::Duration;

use futures::{StreamExt as _, stream};
use sequent_core::{TenantId, Timestamp};
use sequent_runlog::{DynamoStorage, Settings};
use sequent_tables::testing;

use crate::{
    Cancel, Delivery, Enqueued, Jobs, NewJob, Registry, UNREADABLE, Worked, Worker, cancel, enqueue,
    kinds::{CleanupInput, CleanupOldJobs, HelloInput, HelloWorld},
    store_unreadable,
};

const DAY: Duration = Duration::from_secs(24 * 3600);

fn keyed(tenant: TenantId, number: usize) -> NewJob {
    NewJob::of::<HelloWorld>(tenant, &HelloInput { key: Some(number.to_string()), ..HelloInput::default() })
}

#[tokio::test]
async fn old_jobs_are_removed_many_at_a_time_together_with_their_keys() {
    let storage = DynamoStorage::new(testing::store().await);
    let store = storage.store();
    let tenant = TenantId::new();
    let end = async |number: usize, ago: Duration| {
        let new = keyed(tenant, number);
        enqueue(store, &new, Timestamp::now()).await.unwrap();
        let ended = cancel(&storage, tenant, new.id, "enough", Timestamp::now() - ago).await.unwrap();
        assert!(matches!(ended, Cancel::Done(_)));
    };
    stream::iter(0..250).for_each_concurrent(16, |number| end(number, 31 * DAY)).await;
    end(250, 29 * DAY).await;
    let worker = Worker::new(Registry::new().with(CleanupOldJobs), storage.clone(), Settings::default());
    let cleanup = NewJob::of::<CleanupOldJobs>(TenantId::SYSTEM, &CleanupInput::of_day(Timestamp::now()));
    enqueue(store, &cleanup, Timestamp::now()).await.unwrap();
    let delivery = Delivery { tenant_id: TenantId::SYSTEM, job_id: cleanup.id };
    assert_eq!(worker.work(delivery, None).await.unwrap(), Worked::Success);
    let ended = Jobs::new(store, TenantId::SYSTEM).get(cleanup.id).await.unwrap();
    assert_eq!(ended.result.as_deref(), Some("250 jobs removed"));
    for (number, is_free) in [(0, true), (249, true), (250, false)] {
        let again = enqueue(store, &keyed(tenant, number), Timestamp::now()).await.unwrap();
        assert_eq!(matches!(again, Enqueued::New(_)), is_free, "{number}");
    }
}

#[tokio::test]
async fn an_unreadable_message_is_cut_by_bytes() {
    let store = testing::store().await;
    let now = Timestamp::now();
    for text in ["🌊".repeat(120_000), "\u{1}".repeat(300_000)] {
        store_unreadable(&store, "m", &text, "It is not JSON.", now).await.unwrap();
    }
    let rows = testing::all_rows(&store).await;
    let jobs: Vec<crate::Job> =
        rows.into_iter().map(sequent_tables::decode).collect::<Result<_, _>>().unwrap();
    assert_eq!(jobs.len(), 2);
    for job in jobs {
        let kept = job.input.as_str().unwrap().len();
        assert!(job.job_type == UNREADABLE && kept <= 100_000 && kept > 99_000, "{kept}");
    }
}
