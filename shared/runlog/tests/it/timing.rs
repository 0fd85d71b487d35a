//! The timing of writes: the first word at once, every word within the limit, and few writes for a long
//! answer.

use std::{sync::Arc, time::Duration};

use sequent_event::Body;
use sequent_runlog::{Segment, Settings};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep},
};

use crate::memory::{Table, delta, message_start};

const WRITE_MS: u64 = 5;
/// Timers of tokio count whole milliseconds, and a delay crosses two of them.
const TICKS: Duration = Duration::from_millis(2);

/// All tokens have the same length, so the length of the text gives the number of tokens.
const TOKEN: &str = "word ";

/// Returns the time at which each token was shown.
async fn shown(mut observed: mpsc::Receiver<Arc<Segment>>, count: usize) -> Vec<Instant> {
    let mut times = Vec::new();
    let mut bytes = 0;
    while times.len() < count {
        let segment = observed.recv().await.expect("the writer lives until all tokens are shown");
        for entry in &segment.entries {
            if let Some(Body::TextMessageContent { delta, .. }) = entry.body() {
                bytes += delta.len();
            }
        }
        times.resize(bytes / TOKEN.len(), Instant::now());
    }
    times
}

/// Streams `count` tokens, one in each interval `every`. Returns the times at which each was appended and
/// shown.
async fn stream(table: &Table, settings: Settings, count: usize, every: Duration) -> Vec<(Instant, Instant)> {
    let (writer, _, observed) = table.opened(settings).await;
    let shown = tokio::spawn(shown(observed, count));
    writer.append(message_start()).await.unwrap();
    let mut sent = Vec::new();
    for _ in 0..count {
        sent.push(Instant::now());
        writer.append(delta(TOKEN)).await.unwrap();
        sleep(every).await;
    }
    sent.into_iter().zip(shown.await.unwrap()).collect()
}

fn longest_wait(times: &[(Instant, Instant)]) -> Duration {
    times.iter().map(|(sent, shown)| *shown - *sent).max().unwrap()
}

#[tokio::test(start_paused = true)]
async fn the_first_event_after_a_pause_is_written_at_once() {
    let table = Table::calm(WRITE_MS);
    let (writer, _, mut observed) = table.opened(Settings::default()).await;
    observed.recv().await.unwrap();
    writer.append(message_start()).await.unwrap();
    for _ in 0..4 {
        observed.recv().await.unwrap();
        sleep(Duration::from_millis(3_211)).await; // not in step with the owner's polls
        let sent = Instant::now();
        writer.append(delta(TOKEN)).await.unwrap();
        let segment = observed.recv().await.unwrap();
        assert_eq!(segment.entries.len(), 1);
        assert!(sent.elapsed() <= Duration::from_millis(WRITE_MS) + TICKS, "after {:?}", sent.elapsed());
        writer.append(delta(TOKEN)).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_long_answer_takes_few_writes_and_no_token_waits_long() {
    let table = Table::calm(WRITE_MS);
    let settings = Settings::default();
    let times = stream(&table, settings, 500, Duration::from_millis(20)).await;
    let segments = table.segments().len();
    assert!(segments <= 45, "{segments} segments");
    let limit = settings.linger_max + Duration::from_millis(WRITE_MS) + TICKS;
    assert!(longest_wait(&times) <= limit, "{:?}", longest_wait(&times));
    let first = times[0].1 - times[0].0;
    assert!(first <= settings.linger_min + Duration::from_millis(WRITE_MS) + TICKS, "first after {first:?}");
}

#[tokio::test(start_paused = true)]
async fn events_that_arrive_during_a_write_share_the_next_one() {
    const SLOW_MS: u64 = 60;
    let table = Table::calm(SLOW_MS);
    let at_once = Settings { linger_min: Duration::ZERO, linger_max: Duration::ZERO, ..Settings::default() };
    let times = stream(&table, at_once, 500, Duration::from_millis(5)).await;
    let segments = table.segments().len() as u64;
    assert!(segments <= 500 * 5 / SLOW_MS + 6, "{segments} segments");
    let limit = 2 * Duration::from_millis(SLOW_MS) + TICKS;
    assert!(longest_wait(&times) <= limit, "{:?}", longest_wait(&times));
}

#[tokio::test(start_paused = true)]
async fn a_minimum_above_the_maximum_does_no_harm() {
    let table = Table::calm(WRITE_MS);
    let odd =
        Settings { linger_min: Duration::from_millis(90), linger_max: Duration::ZERO, ..Settings::default() };
    let times = stream(&table, odd, 50, Duration::from_millis(5)).await;
    assert_eq!(times.len(), 50);
}
