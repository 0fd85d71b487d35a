//! Readers of a run that this process, another process or none executes.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use sequent_agent::{Engine, Live, LiveStream, OnCut, Source, StreamItem};
use sequent_conversation::{NewRun, RunStatus, TurnRequest, create, create_claimed};
use sequent_core::RunId;
use sequent_event::{Event, Seq};
use sequent_runlog::{DynamoStorage, OBSERVED_SEGMENTS, Settings};
use sequent_tables::{
    Item,
    testing::{all_rows, process},
};
use tokio::{runtime, sync::mpsc, task::spawn_blocking};

use crate::bench::Bench;

/// Returns the time at which the run was last queued for a worker.
async fn queued_at(bench: &Bench, run: RunId) -> Option<i64> {
    let rows = all_rows(bench.engine.store()).await;
    let is_run = |row: &Item| {
        let is = |name: &str, value: String| row[name].as_s() == Ok(&value);
        is("pk", format!("{}#runs", bench.tenant)) && is("sk", run.to_string())
    };
    let row = rows.into_iter().find(is_run);
    row?.get("queued_at")?.as_n().ok()?.parse().ok()
}

/// Starts the run in this process, and returns the stream of its events.
async fn started(bench: &Bench, new: &NewRun) -> LiveStream {
    let (observer, stored) = mpsc::channel(OBSERVED_SEGMENTS);
    let writer = create_claimed(&bench.engine.runs(), new, Some(observer)).await.unwrap();
    bench.stream(new.run, Source::Owned(writer, stored))
}

async fn rest(items: &mut LiveStream) -> Vec<Event> {
    let mut events = Vec::new();
    while let Some(item) = items.recv().await {
        if let StreamItem::Event(event) = item {
            events.push(event);
        }
    }
    events
}

/// Lambda freezes a process when its response has ended. Here, nothing polls the runtime of the process any more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_the_stream_has_ended_the_next_run_of_the_project_is_queued() {
    let bench = Arc::new(Bench::new().await);
    for _ in 0..5 {
        let project = bench.project().await.id;
        let first = bench.asking(project, "/demo tokens=3 rate=0");
        let second = bench.asking(project, "two");
        let next = second.run;
        let frozen = Bench::of_process(&bench);
        let (process, created) = spawn_blocking(move || {
            let process = runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let created = process.block_on(async {
                let mut items = started(&frozen, &first).await;
                create(&frozen.engine.runs(), &second, TurnRequest::Wait).await.unwrap();
                let created = queued_at(&frozen, next).await;
                tokio::time::sleep(Duration::from_millis(2)).await; // the outbox has the precision of milliseconds
                rest(&mut items).await;
                created
            });
            (process, created)
        })
        .await
        .unwrap();
        assert!(queued_at(&bench, next).await > created, "the next run was not queued");
        process.shutdown_background();
    }
}

#[tokio::test]
async fn a_reader_that_is_slower_than_the_run_gets_every_event() {
    let bench = Bench::new().await;
    let settings = Settings {
        merge: false,
        linger_min: Duration::ZERO,
        linger_max: Duration::ZERO,
        ..bench.engine.settings
    };
    let bench = Bench { engine: Engine { settings, ..bench.engine.clone() }, ..bench };
    let asking = bench.asking(bench.project().await.id, "/demo tokens=4000 rate=0");
    let mut items = started(&bench, &asking).await;
    while bench.status(asking.run).await != RunStatus::Success {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let seqs: Vec<u64> = rest(&mut items).await.iter().map(|event| event.seq.0).collect();
    assert_eq!(seqs, (1..=bench.state(asking.run).await.last.0).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_reader_of_a_silent_run_reads_its_log_seldom() {
    let bench = Bench::new().await;
    let settings = Settings { lease: Duration::from_secs(10), ..bench.engine.settings };
    let bench = Bench { engine: Engine { settings, ..bench.engine.clone() }, ..bench };
    let asking = bench.asking(bench.project().await.id, "/demo tokens=9");
    let _silent = bench.owned(&asking).await;
    let (store, requests) = process(bench.engine.store());
    let engine = Engine { storage: DynamoStorage::new(store), ..bench.engine.clone() };
    let key = bench.key(asking.run);
    let _items = Live::stream(engine, key, Seq::START, Source::Elsewhere, OnCut::GiveUp, None);
    let began = Instant::now();
    tokio::time::sleep(Duration::from_secs(4)).await;
    let strong = requests.take_strong_reads();
    let requests = requests.take();
    let most = usize::try_from(began.elapsed().as_secs()).unwrap() + 13;
    assert!(requests["Query"] <= most, "{requests:?}");
    assert!(requests["GetItem"] <= 2, "the row is read when the lease can have expired: {requests:?}");
    assert!(strong <= 1, "{strong} strongly consistent reads: the first one shows the log as it is");
}

#[tokio::test]
async fn a_stream_is_cut_before_the_invocation_ends() {
    let bench = Bench::new().await;
    // The owner keeps the run during the whole test, however busy the machine is.
    let lease = Duration::from_secs(600);
    let settings = Settings { lease, ..bench.engine.settings };
    let bench = Bench { engine: Engine { settings, ..bench.engine.clone() }, ..bench };
    let asking = bench.asking(bench.project().await.id, "/demo tokens=9");
    let _silent = bench.owned(&asking).await;
    let key = bench.key(asking.run);
    let deadline = tokio::time::Instant::now() + Duration::from_secs(2);
    let mut items =
        Live::stream(bench.engine.clone(), key, Seq::START, Source::Elsewhere, OnCut::GiveUp, Some(deadline));
    let mut last = None;
    while let Some(item) = items.recv().await {
        last = Some(item);
    }
    assert_eq!(last, Some(StreamItem::Cut));
    assert!(
        tokio::time::Instant::now() + Duration::from_secs(1) > deadline,
        "it lasts as long as the invocation"
    );
}
