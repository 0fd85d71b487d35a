//! Readers: they start at any cursor, survive any interruption, and never skip a gap.

use std::time::Duration;

use sequent_event::{Event, RunOutcome, Seq};
use sequent_runlog::{Finish, Follow, Poll, ReadError, Settings, Writer, append_control, page, read_all};
use tokio::time::{Instant, sleep, timeout};

use crate::{
    memory::{Rows, Table, cancel, delta, finished, key, message_end, message_start},
    process::Process,
};

/// Writes pieces as separate events, several to a segment.
async fn written(table: &Table, pieces: usize) -> Writer<Process> {
    let (writer, ..) = table.opened(Settings { merge: false, ..Settings::default() }).await;
    writer.append(message_start()).await.unwrap();
    for piece in 0..pieces {
        writer.append(delta(&piece.to_string())).await.unwrap();
        sleep(Duration::from_millis(11)).await;
    }
    writer.append(message_end()).await.unwrap();
    writer.flush().await.unwrap();
    writer
}

async fn closed(table: &Table, pieces: usize) {
    let writer = written(table, pieces).await;
    let known = *writer.signals().borrow();
    let end = writer.finish(known, vec![finished(RunOutcome::Success)], |_| Rows::default()).await.unwrap();
    assert!(matches!(end, Finish::Done(_)));
}

async fn to_the_end(mut follow: Follow<Process>) -> Vec<Event> {
    let mut seen = Vec::new();
    loop {
        match follow.poll().await.unwrap() {
            Poll::Event(event) => {
                assert_eq!(follow.position(), event.seq);
                seen.push(event);
            }
            Poll::Idle => {}
            Poll::Closed => return seen,
        }
    }
}

#[tokio::test(start_paused = true)]
async fn every_cursor_and_every_page_gives_the_rest_of_the_log() {
    let table = Table::calm(1);
    closed(&table, 200).await;
    let log = table.events();
    assert!(
        table.segments().iter().any(|segment| segment.entries.len() > 5),
        "some cursors are inside of segments"
    );
    let process = table.process(0);
    for after in 0..=log.len() {
        let cursor = Seq(after as u64);
        assert_eq!(to_the_end(Follow::new(process.clone(), key(), cursor)).await, log[after..]);
        for limit in [0, 1, 7, log.len() - after, 1000] {
            let (events, more) = page(&process, key(), cursor, limit).await.unwrap();
            let end = log.len().min(after + limit);
            assert_eq!(events, log[after..end]);
            assert_eq!(more, end < log.len(), "after {after}, limit {limit}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_cursor_beyond_a_closed_log_ends_at_once() {
    let table = Table::calm(1);
    closed(&table, 10).await;
    for beyond in [20, 1_000, u64::MAX] {
        let follow = Follow::new(table.process(0), key(), Seq(beyond));
        assert_eq!(timeout(Duration::from_secs(1), to_the_end(follow)).await.unwrap(), []);
        assert_eq!(page(&table.process(0), key(), Seq(beyond), 10).await.unwrap(), (vec![], false));
    }
}

#[tokio::test(start_paused = true)]
async fn a_cursor_beyond_an_open_log_waits_for_the_log_to_pass_it() {
    let table = Table::calm(1);
    let follower = tokio::spawn(to_the_end(Follow::new(table.process(0), key(), Seq(150))));
    closed(&table, 200).await;
    assert_eq!(follower.await.unwrap(), table.events()[150..]);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_poll_loses_nothing() {
    let table = Table::calm(20);
    let process = table.process(0);
    let follower = tokio::spawn(async move {
        let mut follow = Follow::new(process, key(), Seq::START);
        let mut seen = Vec::new();
        loop {
            let patience = Duration::from_millis(fastrand::u64(1..90));
            match timeout(patience, follow.poll()).await {
                Ok(Ok(Poll::Event(event))) => seen.push(event),
                Ok(Ok(Poll::Closed)) => return seen,
                Ok(Ok(Poll::Idle)) | Err(_) => {}
                Ok(Err(error)) => panic!("{error}"),
            }
        }
    });
    closed(&table, 200).await;
    assert_eq!(follower.await.unwrap(), table.events());
}

#[tokio::test(start_paused = true)]
async fn a_silent_log_is_polled_ever_less_often() {
    let table = Table::calm(0);
    let writer = written(&table, 3).await;
    let mut follow = Follow::new(table.process(0), key(), Seq::START);
    while !matches!(follow.poll().await.unwrap(), Poll::Idle) {}
    drop(writer);
    let mut reads = Vec::new();
    for seconds in [20, 100] {
        let before = table.lock().reads;
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(seconds) {
            assert!(matches!(follow.poll().await.unwrap(), Poll::Idle));
        }
        reads.push(table.lock().reads - before);
    }
    assert!(reads[0] <= 22, "{reads:?} in the first 20 seconds");
    assert!(reads[1] <= 21, "{reads:?} in the next 100 seconds");
}

/// Returns the delay with which a reader sees an event that ends a silence of this length.
async fn delay_after(silence: Duration) -> Duration {
    let table = Table::calm(0);
    let _writer = written(&table, 3).await;
    let mut follow = Follow::new(table.process(0), key(), Seq::START);
    while !matches!(follow.poll().await.unwrap(), Poll::Idle) {}
    let began = Instant::now();
    while began.elapsed() < silence {
        follow.poll().await.unwrap();
    }
    append_control(&table.process(0), key(), cancel()).await.unwrap();
    let appended = Instant::now();
    while !matches!(follow.poll().await.unwrap(), Poll::Event(_)) {
        assert!(appended.elapsed() < Duration::from_secs(60), "the reader does not see the event");
    }
    appended.elapsed()
}

#[tokio::test(start_paused = true)]
async fn the_delay_after_a_silence_is_bounded() {
    for (silence, most) in [(0, 260), (1, 450), (3, 1350), (6, 2700), (60, 5100)] {
        let delay = delay_after(Duration::from_secs(silence)).await;
        assert!(delay <= Duration::from_millis(most), "{delay:?} after {silence} s");
    }
}

#[tokio::test(start_paused = true)]
async fn no_reader_skips_a_gap() {
    let table = Table::calm(0);
    closed(&table, 100).await;
    let removed = *table.lock().segments.keys().nth(5).unwrap();
    table.lock().segments.remove(&removed);
    let process = table.process(0);
    assert!(matches!(read_all(&process, key()).await, Err(ReadError::Malformed(_))));
    assert!(matches!(page(&process, key(), Seq::START, 1000).await, Err(ReadError::Malformed(_))));
    let mut follow = Follow::new(process, key(), Seq::START);
    loop {
        match follow.poll().await {
            Ok(Poll::Event(event)) => assert!(event.seq.0 < removed),
            Ok(other) => panic!("{other:?}"),
            Err(error) => break assert!(matches!(error, ReadError::Malformed(_))),
        }
    }
}
