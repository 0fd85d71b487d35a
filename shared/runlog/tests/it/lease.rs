//! Leases: when a run gets another owner, and when it does not.

use std::time::Duration;

use sequent_core::MessageId;
use sequent_event::Seq;
use sequent_runlog::{Claim, ControlOutcome, Settings, Stopped, Writer, append_control, claim, create};
use tokio::time::{Instant, sleep};

use crate::{
    memory::{Rows, Table, delta, key, message_start, question, started, user_message},
    process::Process,
};

const SETTINGS: Settings = Settings {
    linger_min: Duration::from_millis(5),
    linger_max: Duration::from_millis(50),
    lease: Duration::from_millis(1000),
    renew: Duration::from_millis(300),
    idle_check: Duration::from_millis(100),
    patience: Duration::from_millis(2000),
    merge: true,
};

async fn try_claim(table: &Table) -> Claim<Process> {
    claim(&table.process(0), key(), SETTINGS, true, None).await.unwrap()
}

async fn won(table: &Table) -> Writer<Process> {
    match try_claim(table).await {
        Claim::Won(writer) => *writer,
        other => panic!("{other:?}"),
    }
}

/// Tries to take over the run until it succeeds. Returns the time that it took.
async fn until_won(table: &Table) -> Duration {
    let began = Instant::now();
    while !matches!(try_claim(table).await, Claim::Won(_)) {
        sleep(Duration::from_millis(20)).await;
    }
    began.elapsed()
}

#[tokio::test(start_paused = true)]
async fn a_released_run_is_taken_over_at_once() {
    let table = Table::calm(1);
    let (writer, ..) = table.opened(SETTINGS).await;
    writer.append(message_start()).await.unwrap();
    assert!(matches!(try_claim(&table).await, Claim::Held));
    writer.release().await.unwrap();
    let next = won(&table).await;
    assert_eq!(next.epoch(), 2);
    assert!(next.opening().open.is_some(), "the buffered events were stored first");
}

#[tokio::test(start_paused = true)]
async fn a_dropped_writer_stores_its_events_and_releases() {
    let table = Table::calm(1);
    let (writer, ..) = table.opened(SETTINGS).await;
    writer.append(message_start()).await.unwrap();
    writer.append(delta("kept")).await.unwrap();
    drop(writer);
    sleep(Duration::from_millis(100)).await; // far less than the lease
    assert_eq!(won(&table).await.opening().open.as_ref().unwrap().text, "kept");
}

#[tokio::test(start_paused = true)]
async fn an_owner_that_writes_keeps_the_run_without_renewing_its_lease() {
    let table = Table::calm(1);
    let never = Duration::from_secs(100_000);
    let settings = Settings { renew: never, idle_check: never, ..SETTINGS };
    let (writer, ..) = table.opened(settings).await;
    writer.append(message_start()).await.unwrap();
    for _ in 0..60 {
        writer.append(delta("on")).await.unwrap();
        sleep(Duration::from_millis(700)).await;
        assert!(matches!(try_claim(&table).await, Claim::Held));
    }
    assert!(until_won(&table).await <= SETTINGS.lease, "without a write, it loses the run");
}

#[tokio::test(start_paused = true)]
async fn an_idle_owner_renews_its_lease_and_keeps_the_run() {
    let table = Table::calm(1);
    let (writer, ..) = table.opened(SETTINGS).await;
    for _ in 0..300 {
        sleep(Duration::from_millis(100)).await;
        assert!(matches!(try_claim(&table).await, Claim::Held));
    }
    writer.append(message_start()).await.unwrap();
    writer.flush().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_dead_owner_loses_the_run_after_its_lease_and_not_before() {
    let table = Table::calm(1);
    let (_writer, process, _) = table.opened(SETTINGS).await;
    sleep(Duration::from_millis(5_050)).await;
    process.kill();
    let took = until_won(&table).await;
    // The last renewal was at most `renew` plus one poll before the death.
    assert!(took >= SETTINGS.lease - SETTINGS.renew - SETTINGS.idle_check, "{took:?}");
    assert!(took <= SETTINGS.lease + Duration::from_millis(50), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_paused_owner_reports_who_fenced_it() {
    let table = Table::calm(1);
    let (writer, process, mut observed) = table.opened(SETTINGS).await;
    process.pause(Duration::from_secs(5));
    until_won(&table).await;
    writer.append(message_start()).await.unwrap();
    assert!(matches!(writer.flush().await, Err(Stopped::Fenced(2))));
    assert!(matches!(writer.append(delta("late")).await, Err(Stopped::Fenced(2))));
    assert!(matches!(writer.release().await, Err(Stopped::Fenced(2))));
    assert_eq!(table.state().open, None, "it left nothing in the log");
    while let Some(segment) = observed.recv().await {
        assert!(segment.events().all(|event| table.events().contains(&event)));
    }
}

#[tokio::test(start_paused = true)]
async fn an_idle_owner_notices_that_it_is_fenced() {
    let table = Table::calm(1);
    let (writer, ..) = table.opened(Settings { renew: Duration::from_secs(60), ..SETTINGS }).await;
    let mut signals = writer.signals();
    sleep(SETTINGS.lease).await;
    until_won(&table).await;
    let fenced = signals.wait_for(|signals| signals.stopped);
    tokio::time::timeout(2 * SETTINGS.idle_check, fenced).await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_claim_is_retried_after_a_control_event() {
    let table = Table::calm(10);
    let (_writer, process, _) = table.opened(SETTINGS).await;
    process.kill();
    sleep(SETTINGS.lease).await;
    // The claim arrives after 40 ms (log, tail, lease, write). The message starts at 15 ms and arrives at 35
    // ms.
    let person = table.process(0);
    let message = async {
        sleep(Duration::from_millis(15)).await;
        append_control(&person, key(), user_message(MessageId::from_bits(11))).await.unwrap()
    };
    let (writer, stored) = tokio::join!(won(&table), message);
    assert_eq!(stored, ControlOutcome::Appended(Seq(4)));
    assert_eq!(writer.opening().last, Seq(5));
    assert_eq!(writer.opening().prompts.len(), 2);
    assert_eq!(writer.signals().borrow().prompts, 2);
}

#[tokio::test(start_paused = true)]
async fn a_run_created_without_an_owner_is_started_by_one_of_many() {
    let table = Table::calm(3);
    create(&table.process(0), key(), SETTINGS, vec![question()], Rows::default()).await.unwrap();
    let held = claim(&table.process(0), key(), SETTINGS, false, None).await.unwrap();
    assert!(matches!(held, Claim::Held), "{held:?}");
    let claims = (0..20).map(|_| {
        let table = table.clone();
        tokio::spawn(async move { try_claim(&table).await })
    });
    let mut writers = Vec::new();
    for claim in claims.collect::<Vec<_>>() {
        if let Claim::Won(writer) = claim.await.unwrap() {
            writers.push(writer);
        }
    }
    assert_eq!(writers.len(), 1);
    assert_eq!(writers[0].epoch(), 1);
    writers[0].append(started()).await.unwrap();
    writers[0].flush().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_refused_claim_reads_the_tail_and_the_lease_and_not_the_log() {
    let table = Table::calm(1);
    let (writer, ..) = table.opened(SETTINGS).await;
    writer.append(message_start()).await.unwrap();
    for _ in 0..100 {
        writer.append(delta("on")).await.unwrap();
        writer.flush().await.unwrap();
    }
    let read = || {
        let inner = table.lock();
        (inner.reads, inner.segments_read)
    };
    let before = read();
    assert!(matches!(try_claim(&table).await, Claim::Held));
    let after = read();
    assert_eq!((after.0 - before.0, after.1 - before.1), (2, 1), "the tail and the lease, and one segment");

    writer.append(crate::memory::message_end()).await.unwrap();
    let known = *writer.signals().borrow();
    let end = vec![crate::memory::finished(sequent_event::RunOutcome::Success)];
    writer.finish(known, end, |_| Rows::default()).await.unwrap();
    let before = read();
    assert!(matches!(try_claim(&table).await, Claim::Closed));
    let after = read();
    assert_eq!((after.0 - before.0, after.1 - before.1), (1, 1), "the tail shows that the log is closed");
}
