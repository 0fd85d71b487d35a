//! What is refused, and what an error lets the caller conclude.

use std::time::Duration;

use sequent_event::Body;
use sequent_runlog::{AppendError, MAX_EVENTS, Settings, append_control, create, create_claimed};
use tokio::time::Instant;

use crate::memory::{Faults, Rows, Table, begins, cancel, key, question};
use crate::simulation::mutation::Mutation;

const SETTINGS: fn() -> Settings =
    || Settings { patience: Duration::from_millis(500), ..Settings::default() };

#[tokio::test(start_paused = true)]
async fn a_log_begins_with_what_can_be_folded_and_fits_a_segment() {
    let table = Table::calm(1);
    let process = table.process(0);
    let large = Body::Custom { name: "large".into(), value: "x".repeat(300_000).into() };
    for bodies in [vec![], vec![question(); MAX_EVENTS + 1], vec![begins()], vec![large]] {
        let created = create(&process, key(), SETTINGS(), bodies, Rows::default()).await;
        assert!(matches!(created.unwrap_err().0, AppendError::Refused(_)));
    }
    let after = vec![question(); MAX_EVENTS];
    let opened = create_claimed(&process, key(), SETTINGS(), vec![], after, Rows::default(), None).await;
    assert!(matches!(opened.unwrap_err().0, AppendError::Refused(_)));
    assert!(table.segments().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_control_event_can_stand_anywhere() {
    let table = Table::calm(1);
    let (_writer, process, _) = table.opened(SETTINGS()).await;
    assert!(matches!(
        append_control(&process, key(), begins()).await.unwrap_err().0,
        AppendError::Refused(_)
    ));
    assert_eq!(table.events().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_log_that_stands_is_not_begun_again() {
    let table = Table::calm(1);
    let (_writer, process, _) = table.opened(SETTINGS()).await;
    let created = create(&process, key(), SETTINGS(), vec![question()], Rows::default()).await;
    let AppendError::Conflict(stored) = created.unwrap_err().0 else { panic!() };
    assert_eq!(stored.entries.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_refused_companion_stores_nothing() {
    let table = Table::calm(1);
    let rows = Rows { refused: true, ..Rows::default() };
    let created = create(&table.process(0), key(), SETTINGS(), vec![question()], rows).await;
    assert!(matches!(created.unwrap_err().0, AppendError::RowsRefused(_)));
    assert!(table.segments().is_empty());
}

/// A table that treats every write alike for a long time.
fn unkind(throttle: f64, dropped: f64, lost_answer: f64) -> Table {
    let until = Instant::now() + Duration::from_secs(3600);
    let faults = Faults { throttle, dropped, lost_answer, until, ..Faults::none(1) };
    Table::new(faults, Mutation::None)
}

#[tokio::test(start_paused = true)]
async fn an_error_says_whether_the_write_may_have_happened() {
    let begin = async |table: &Table| {
        create(&table.process(0), key(), SETTINGS(), vec![question()], Rows::default()).await
    };
    let throttled = unkind(1.0, 0.0, 0.0);
    assert!(matches!(begin(&throttled).await.unwrap_err().0, AppendError::Busy));
    let silent = unkind(0.0, 1.0, 0.0);
    assert!(matches!(begin(&silent).await.unwrap_err().0, AppendError::Ambiguous));
    // Mostly throttled: the last answer says "busy", but an earlier one left the outcome open.
    for seed in 0..50 {
        fastrand::seed(seed);
        let mixed = unkind(0.7, 1.0, 0.0);
        let error = begin(&mixed).await.unwrap_err().0;
        let doubtful = mixed.lock().trace.contains("unknown");
        assert_eq!(matches!(error, AppendError::Ambiguous), doubtful, "seed {seed}: {error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_is_found_again_by_its_batch() {
    let table = unkind(0.0, 0.0, 1.0);
    // Every answer to a write that is done is lost; the repeated write meets the first and is answered as lost too,
    // so nothing is ever certain, but nothing is stored twice either.
    let created = create(&table.process(0), key(), SETTINGS(), vec![question()], Rows::default()).await;
    assert!(matches!(created.unwrap_err().0, AppendError::Ambiguous));
    assert_eq!(table.events().len(), 1);
    let half = unkind(0.0, 0.0, 0.5);
    for seed in 0..20 {
        fastrand::seed(seed);
        half.lock().segments.clear();
        create(&half.process(0), key(), Settings::default(), vec![question()], Rows::default())
            .await
            .unwrap();
        let _ = append_control(&half.process(0), key(), cancel()).await.unwrap();
        assert_eq!(half.events().len(), 2);
    }
}
