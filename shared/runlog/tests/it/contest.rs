//! Control events that compete with an owner that writes all the time.

use std::{cell::Cell, slice, time::Duration};

use sequent_event::Entry;
use sequent_runlog::{AppendError, ControlOutcome, Decision, Settings, WriterId, append_control, decide};
use tokio::time::{Instant, sleep};

use crate::memory::{Rows, Table, cancel, delta, key, message_start};

/// Decisions after which a test whose decisions never lose a position is a failure.
const MAX_ROUNDS: u32 = 500;

/// Stores a segment each two milliseconds, faster than a process: a request takes 20.
async fn flood(table: Table) {
    let mut next = table.segments().into_iter().rfind(|segment| segment.epoch == 1).unwrap();
    next.entries = vec![Entry::new(next.at, delta("on"))];
    next.first = table.events().last().unwrap().seq.next();
    loop {
        next.batch = WriterId::new().0;
        table.put(slice::from_ref(&next), &Rows::default()).unwrap();
        next.first = next.first.next();
        sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_control_event_that_always_loses_is_given_up() {
    let table = Table::calm(20);
    let (writer, process, _) = table.opened(Settings::default()).await;
    writer.append(message_start()).await.unwrap();
    writer.flush().await.unwrap();
    let flood = tokio::spawn(flood(table.clone()));
    let began = Instant::now();
    let error = append_control(&process, key(), cancel()).await.unwrap_err();
    assert!(matches!(error.0, AppendError::Busy), "{error:?}");
    let decided = decide(&process, key(), |_| Ok::<_, ()>((vec![cancel()], Rows::default()))).await;
    assert!(matches!(decided.unwrap_err().0, AppendError::Busy));
    assert!(began.elapsed() < Duration::from_secs(60), "{:?}", began.elapsed());
    flood.abort();
    assert!(matches!(append_control(&process, key(), cancel()).await.unwrap(), ControlOutcome::Appended(_)));
}

#[tokio::test(start_paused = true)]
async fn a_decision_that_loses_its_position_reads_only_what_follows() {
    let table = Table::calm(5);
    let gap = Duration::from_millis(12);
    let settings = Settings { linger_min: gap, linger_max: gap, ..Settings::default() };
    let (writer, process, _) = table.opened(settings).await;
    writer.append(message_start()).await.unwrap();
    let stream = tokio::spawn(async move {
        loop {
            writer.append(delta("on")).await.unwrap();
            sleep(Duration::from_millis(1)).await;
        }
    });
    sleep(Duration::from_secs(5)).await;
    let mut lost = 0;
    for _ in 0..MAX_ROUNDS {
        if lost >= 3 {
            break;
        }
        let rounds = Cell::new(0);
        let before = table.lock().segments_read;
        let decided = decide(&process, key(), |_| {
            rounds.set(rounds.get() + 1);
            Ok::<_, ()>((vec![cancel()], Rows::default()))
        });
        assert!(matches!(decided.await.unwrap(), Decision::Stored(_)));
        let read = table.lock().segments_read - before;
        let segments = table.segments().len();
        assert!(segments > 200 && read < segments + 50 * rounds.get(), "{read} of {segments} segments");
        lost += rounds.get() - 1;
    }
    stream.abort();
    assert!(lost >= 3, "{lost} of {MAX_ROUNDS} decisions lost their position");
}
