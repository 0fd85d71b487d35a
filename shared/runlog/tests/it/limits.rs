//! Refused events, and the meaning of errors.

use std::time::Duration;

use sequent_event::Body;
use sequent_runlog::{
    AppendError, MAX_EVENTS, MAX_FIRST_BYTES, MAX_FIRST_SEGMENTS, MAX_SEGMENTS, Settings, append_control,
    create, create_claimed, decide,
};
use tokio::time::Instant;

use crate::memory::{Faults, Rows, Table, cancel, key, message_start, question};
use crate::simulation::mutation::Mutation;

const SETTINGS: fn() -> Settings =
    || Settings { patience: Duration::from_millis(500), ..Settings::default() };

#[tokio::test(start_paused = true)]
async fn the_first_events_of_a_log_must_be_valid_and_fit_a_transaction() {
    let table = Table::calm(1);
    let process = table.process(0);
    let large = Body::Custom { name: "large".into(), value: "x".repeat(300_000).into() };
    let refusals = [
        (vec![], "refused"),
        (vec![message_start()], "invalid"),
        (vec![question(); MAX_FIRST_SEGMENTS * MAX_EVENTS + 1], "too large"),
        (vec![note(); MAX_FIRST_BYTES / 90_000 + 1], "too large"),
        (vec![large], "too large"),
    ];
    for (bodies, expected) in refusals {
        let created = create(&process, key(), SETTINGS(), bodies, Rows::default()).await;
        assert_eq!(kind(&created.unwrap_err().0), expected);
    }
    let after = vec![question(); MAX_EVENTS];
    let opened = create_claimed(&process, key(), SETTINGS(), vec![], after, Rows::default(), None).await;
    assert_eq!(kind(&opened.unwrap_err().0), "too large");
    assert!(table.segments().is_empty());
}

/// A large event.
fn note() -> Body {
    Body::UserMessage {
        message_id: crate::memory::MESSAGE,
        content: "x".repeat(90_000).into(),
        by: None,
        model: None,
    }
}

#[tokio::test(start_paused = true)]
async fn a_log_begins_with_as_many_segments_as_its_first_events_take() {
    let table = Table::calm(1);
    let process = table.process(0);
    let bodies: Vec<Body> = (0..6).map(|_| note()).chain(vec![question(); 3 * MAX_EVENTS]).collect();
    create(&process, key(), SETTINGS(), bodies.clone(), Rows::default()).await.unwrap();
    let segments = table.segments();
    assert!(segments.len() > 3 && segments.iter().all(|segment| segment.entries.len() <= MAX_EVENTS));
    assert!(
        segments.windows(2).all(|two| two[0].batch == two[1].batch && two[1].first == two[0].last().next())
    );
    let stored: Vec<Body> = table.events().iter().filter_map(|event| event.body().cloned()).collect();
    assert_eq!(stored, bodies);
    let again = create(&process, key(), SETTINGS(), vec![question()], Rows::default()).await;
    assert!(matches!(again.unwrap_err().0, AppendError::Conflict(_)));
}

fn kind(error: &AppendError) -> &'static str {
    match error {
        AppendError::TooLarge(_) => "too large",
        AppendError::Invalid(_) => "invalid",
        AppendError::Refused(_) => "refused",
        _ => "another error",
    }
}

#[tokio::test(start_paused = true)]
async fn a_control_event_that_json_makes_too_large_is_an_error_of_its_own() {
    let table = Table::calm(1);
    let (_writer, process, _) = table.opened(SETTINGS()).await;
    let large = Body::UserMessage {
        message_id: crate::memory::MESSAGE,
        content: "\u{1}".repeat(64 * 1024).into(),
        by: None,
        model: None,
    };
    let error = append_control(&process, key(), large.clone()).await.unwrap_err().0;
    let AppendError::TooLarge(too_large) = error else { panic!("{error}") };
    assert!(too_large.bytes > 6 * 64 * 1024);
    let decided = decide(&process, key(), |_| Ok::<_, ()>((vec![large.clone()], Rows::default()))).await;
    assert_eq!(kind(&decided.unwrap_err().0), "too large");
    let too_many = vec![cancel(); MAX_SEGMENTS * MAX_EVENTS + 1];
    let decided = decide(&process, key(), |_| Ok::<_, ()>((too_many.clone(), Rows::default()))).await;
    assert_eq!(kind(&decided.unwrap_err().0), "too large");
    assert_eq!(table.events().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_control_event_must_be_allowed_everywhere_in_a_log() {
    let table = Table::calm(1);
    let (_writer, process, _) = table.opened(SETTINGS()).await;
    assert!(matches!(
        append_control(&process, key(), message_start()).await.unwrap_err().0,
        AppendError::Refused(_)
    ));
    assert_eq!(table.events().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn an_existing_log_is_not_created_again() {
    let table = Table::calm(1);
    let (_writer, process, _) = table.opened(SETTINGS()).await;
    let created = create(&process, key(), SETTINGS(), vec![question()], Rows::default()).await;
    let AppendError::Conflict(stored) = created.unwrap_err().0 else { panic!() };
    assert_eq!(stored.entries.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_refused_row_stores_nothing() {
    let table = Table::calm(1);
    let rows = Rows { refused: true, ..Rows::default() };
    let created = create(&table.process(0), key(), SETTINGS(), vec![question()], rows).await;
    assert!(matches!(created.unwrap_err().0, AppendError::RowsRefused(_)));
    assert!(table.segments().is_empty());
}

/// A table with constant rates of faults.
fn faulty(throttle: f64, dropped: f64, lost_response: f64) -> Table {
    let until = Instant::now() + Duration::from_secs(3600);
    let faults = Faults { throttle, dropped, lost_response, until, ..Faults::none(1) };
    Table::new(faults, Mutation::None)
}

#[tokio::test(start_paused = true)]
async fn an_error_reports_if_the_write_may_have_happened() {
    let begin = async |table: &Table| {
        create(&table.process(0), key(), SETTINGS(), vec![question()], Rows::default()).await
    };
    let throttled = faulty(1.0, 0.0, 0.0);
    assert!(matches!(begin(&throttled).await.unwrap_err().0, AppendError::Busy));
    let silent = faulty(0.0, 1.0, 0.0);
    assert!(matches!(begin(&silent).await.unwrap_err().0, AppendError::Ambiguous));
    // Most attempts are throttled: the last error is `Busy`, but the outcome of an earlier attempt may be
    // unknown.
    for seed in 0..50 {
        fastrand::seed(seed);
        let mixed = faulty(0.7, 1.0, 0.0);
        let error = begin(&mixed).await.unwrap_err().0;
        let unknown = mixed.lock().trace.contains("unknown");
        assert_eq!(matches!(error, AppendError::Ambiguous), unknown, "seed {seed}: {error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_write_with_a_lost_response_is_found_by_its_batch() {
    let table = faulty(0.0, 0.0, 1.0);
    // Every response to a successful write is lost. The response to the repeated write is lost, too, so the
    // outcome stays unknown, but nothing is stored twice.
    let created = create(&table.process(0), key(), SETTINGS(), vec![question()], Rows::default()).await;
    assert!(matches!(created.unwrap_err().0, AppendError::Ambiguous));
    assert_eq!(table.events().len(), 1);
    let half = faulty(0.0, 0.0, 0.5);
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
