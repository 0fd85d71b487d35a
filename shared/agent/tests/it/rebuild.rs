//! Rebuilding a run's rows from its log.

use sequent_agent::execute;
use sequent_conversation::{NewRun, Prompt, RebuildInput, RebuildProjections, cancel, steer};
use sequent_core::Timestamp;
use sequent_event::CancelReason;
use sequent_jobs::{Delivery, NewJob, Registry, Worked, Worker, enqueue};
use sequent_tables::{Item, Key, PageRequest, key};

use crate::bench::Bench;

/// Returns every row of the tenant's runs and of their messages, sorted by key.
async fn rows(bench: &Bench, of: &[NewRun]) -> Vec<Item> {
    let store = bench.engine.store();
    let mut partitions = vec![key::runs(bench.tenant)];
    partitions.extend(of.iter().map(|start| key::messages(bench.tenant, start.project)));
    let mut rows = Vec::new();
    for partition in partitions {
        let mut cursor: Option<String> = None;
        let cursors = sequent_tables::CursorKey::new("a key for tests".to_owned().into());
        loop {
            let request = PageRequest::new(partition.clone()).limit(Some(100));
            let page = store.page_items(&request.cursor(&cursors, cursor.as_deref()).unwrap()).await.unwrap();
            cursor = page.next_cursor(&cursors);
            rows.extend(page.items);
            if cursor.is_none() {
                break;
            }
        }
    }
    rows.sort_by_key(|row| Key::of_item(row).map(|key| (key.pk().to_owned(), key.sk().to_owned())));
    rows
}

async fn rebuild(bench: &Bench, of: &NewRun) -> Worked {
    let store = bench.engine.store();
    let new = NewJob::of::<RebuildProjections>(bench.tenant, &RebuildInput { run_id: of.run });
    enqueue(store, &new, Timestamp::now()).await.unwrap();
    let registry = Registry::new().with(RebuildProjections);
    let worker = Worker::new(registry, bench.engine.storage.clone(), bench.engine.settings);
    Box::pin(worker.work(Delivery { tenant_id: bench.tenant, job_id: new.id }, None)).await.unwrap()
}

#[tokio::test]
async fn the_rows_of_a_hundred_runs_are_rebuilt_identically() {
    let mut bench = Bench::new().await;
    // A long lease, so that no run is taken over from an owner that is slow.
    bench.engine.settings.lease = std::time::Duration::from_secs(60);
    let ask = r#"{"question":"Which?","options":["a","b"]}"#;
    let asks = format!("/demo tokens=1 rate=0 tool=ask_user args={ask}");
    let mut runs = Vec::new();
    for n in 0..100 {
        let script = if n % 10 == 0 { asks.clone() } else { format!("Number {n}.\n/demo tokens=3 rate=0") };
        let mut asking = bench.asking(bench.project().await.id, &script);
        asking.model = (n % 7 == 0).then(|| "demo/demo".to_owned());
        asking.options.budget.max_steps = (n % 3 == 0).then_some(9);
        let writer = bench.owned(&asking).await;
        if n % 10 == 1 || n % 10 == 4 {
            let prompt = Prompt::try_from("And in short?".to_owned()).unwrap();
            steer(&bench.engine.storage, bench.key(asking.run), bench.user, prompt).await.unwrap();
        }
        let reason = if n % 10 == 1 { CancelReason::RolledBack } else { CancelReason::Requested };
        if n % 10 == 1 || n % 10 == 2 {
            let store = bench.engine.runs();
            Box::pin(cancel(&store, bench.key(asking.run), Some(bench.user), reason)).await.unwrap();
        }
        Box::pin(execute(&bench.engine, bench.key(asking.run), *writer, None)).await.unwrap();
        runs.push(asking);
    }
    let before = rows(&bench, &runs).await;
    assert!(before.len() > 250, "{} rows", before.len());
    for row in &before {
        bench.engine.store().delete(&Key::of_item(row).unwrap()).await.unwrap();
    }
    assert!(rows(&bench, &runs).await.is_empty());
    for run in &runs {
        assert_eq!(rebuild(&bench, run).await, Worked::Success);
    }
    let after = rows(&bench, &runs).await;
    for (after, before) in after.iter().zip(&before) {
        assert_eq!(after, before);
    }
    assert_eq!(after.len(), before.len());

    // Rebuilding existing rows changes nothing.
    assert_eq!(rebuild(&bench, &runs[3]).await, Worked::Success);
    assert_eq!(rows(&bench, &runs).await, before);
    let unknown = bench.asking(runs[0].project, "");
    assert_eq!(rebuild(&bench, &unknown).await, Worked::Failed, "there is no such log");
}

#[tokio::test]
async fn a_live_run_keeps_its_owner() {
    let bench = Bench::new().await;
    let asking = bench.asking(bench.project().await.id, "/demo tokens=3 rate=0");
    let writer = bench.owned(&asking).await;
    let before = rows(&bench, std::slice::from_ref(&asking)).await;
    assert_eq!(rebuild(&bench, &asking).await, Worked::Success);
    let lease = |rows: &[Item]| rows.iter().find_map(|row| row.get("lease_epoch").cloned());
    let after = rows(&bench, std::slice::from_ref(&asking)).await;
    assert_eq!(lease(&after), lease(&before), "the lease is unchanged");
    Box::pin(execute(&bench.engine, bench.key(asking.run), *writer, None)).await.unwrap();
}
