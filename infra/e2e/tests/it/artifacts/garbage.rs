//! The collector deletes unreferenced objects, and nothing else.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use futures::future::join_all;
use sequent_artifacts::{AGE, Artifacts, Collected, Origin};
use sequent_core::{ArtifactId, TenantId, Timestamp};

use super::{artifacts, described, objects, references, tenant};
use crate::{
    surface::{Call, Person},
    system::{PATIENCE, System, scaled},
};

async fn save(artifacts: &Artifacts, tenant: TenantId, content: &'static str) -> ArtifactId {
    let save = artifacts.save(tenant, ArtifactId::new(), described("A"), Origin::default(), content.into());
    save.await.unwrap().id
}

/// Runs the collector as the schedule does, at a time after everything that has happened.
async fn collect(artifacts: &Artifacts, after: Duration) -> Collected {
    artifacts.collect(Timestamp::now() + Duration::from_millis(1) - after, || true).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_object_goes_with_its_last_artifact_and_not_before_its_age() {
    let system = System::start(&[]).await;
    let person = Person::sign_up(&system, "collector@example.com").await;
    let artifacts = artifacts(&system);
    let tenant = tenant(&person).await;
    let one = save(&artifacts, tenant, "bytes").await;
    let two = save(&artifacts, tenant, "bytes").await;
    let delete = async |id: ArtifactId| {
        let answer = person.read("DELETE", &Call::to(format!("/api/artifacts/{id}")), &person.bearer()).await;
        answer.status.as_u16()
    };
    assert_eq!((delete(one).await, delete(one).await), (204, 404));
    assert_eq!(references(&system, tenant, b"bytes").await, Some(1), "counted once");
    assert_eq!(collect(&artifacts, Duration::ZERO).await, Collected { kept: 1, ..Collected::default() });
    assert_eq!(objects(&system).await.len(), 1);

    assert_eq!(delete(two).await, 204);
    assert_eq!(collect(&artifacts, AGE).await, Collected::default(), "it was wanted a moment ago");
    assert_eq!(collect(&artifacts, Duration::ZERO).await, Collected { deleted: 1, ..Collected::default() });
    assert_eq!(objects(&system).await, Vec::<String>::new(), "no version and no marker is left");
    assert_eq!(references(&system, tenant, b"bytes").await, None);

    let again = save(&artifacts, tenant, "bytes").await;
    assert_eq!(
        artifacts.bytes(tenant, &artifacts.get(tenant, again).await.unwrap(), 9).await.unwrap(),
        "bytes"
    );

    // The scheduled event does the same for objects that are old enough.
    let scheduler = system.stack.runtime().function("SchedulerFunction").unwrap().clone();
    let event = include_str!("../../../../../events/scheduler/collect-garbage.json");
    assert!(matches!(scheduler.invoke(event.into()).await, Ok(sequent_local::runtime::Reply::Buffered(_))));
    assert_eq!(objects(&system).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_scheduled_collector_deletes_an_object_that_is_old_enough() {
    // In the functions' scaled time, the age of a day is a second.
    let system = System::start(&[("TIME_SCALE", "86400")]).await;
    let artifacts = artifacts(&system);
    let tenant = sequent_core::TenantId::new();
    let id = save(&artifacts, tenant, "old").await;
    artifacts.delete(tenant, id).await.unwrap();
    let scheduler = system.stack.runtime().function("SchedulerFunction").unwrap().clone();
    let event = include_str!("../../../../../events/scheduler/collect-garbage.json");
    let collected = async {
        while !objects(&system).await.is_empty() {
            let reply = scheduler.invoke(event.into()).await;
            assert!(matches!(reply, Ok(sequent_local::runtime::Reply::Buffered(_))), "{reply:?}");
        }
    };
    tokio::time::timeout(PATIENCE, collected).await.expect("the object is collected");
    assert_eq!(references(&system, tenant, b"old").await, None);
}

/// Runs collectors without any waiting time beside people who repeatedly store and delete the same few bytes.
/// Stored bytes must exist.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_objects_of_artifacts_exist_while_collectors_work() {
    const CONTENTS: [&str; 3] = ["one", "two", "three"];
    let system = System::start(&[]).await;
    let person = Person::sign_up(&system, "race@example.com").await;
    let artifacts = artifacts(&system);
    let tenant = tenant(&person).await;
    let done = AtomicBool::new(false);
    let rounds = scaled(25, 400);
    let people = join_all((0..6).map(async |person: usize| {
        for round in 0..rounds {
            let content = CONTENTS[(person + round) % CONTENTS.len()];
            let id = save(&artifacts, tenant, content).await;
            let artifact = artifacts.get(tenant, id).await.unwrap();
            assert_eq!(
                artifacts.bytes(tenant, &artifact, 9).await.unwrap(),
                content,
                "{id}: its bytes are there"
            );
            artifacts.delete(tenant, id).await.unwrap();
        }
    }));
    let collectors = join_all((0..3).map(async |_| {
        let mut deleted = 0;
        while !done.load(Ordering::Relaxed) {
            let collected = collect(&artifacts, Duration::ZERO).await;
            assert_eq!(collected.failed, 0);
            deleted += collected.deleted;
            tokio::task::yield_now().await;
        }
        deleted
    }));
    let people = async {
        people.await;
        done.store(true, Ordering::Relaxed);
    };
    let ((), deleted) = tokio::join!(people, collectors);
    let deleted: usize = deleted.into_iter().sum();
    println!("{} artifacts kept and deleted, {deleted} objects collected meanwhile", 6 * rounds);
    assert!(deleted > 0, "nothing was collected, so nothing was shown");
    collect(&artifacts, Duration::ZERO).await;
    assert_eq!(objects(&system).await, Vec::<String>::new());
}
