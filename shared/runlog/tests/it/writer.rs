//! The writer: events, signals and the end of a run.

use std::time::Duration;

use sequent_core::MessageId;
use sequent_event::{Body, Phase, RunOutcome};
use sequent_runlog::{
    ControlOutcome, Finish, MAX_BYTES, MAX_EVENTS, Settings, Stopped, Writer, append_control,
};
use tokio::time::sleep;

use crate::{
    memory::{
        Closed, MESSAGE, Rows, Table, cancel, delta, finished, key, message_end, message_start, user_message,
    },
    process::Process,
};

fn rows(state: &sequent_event::State) -> Rows {
    Rows { close: Some(Closed::of(state)), ..Rows::default() }
}

async fn finish(writer: &Writer<Process>, bodies: Vec<Body>) -> Finish {
    let known = *writer.signals().borrow();
    writer.finish(known, bodies, rows).await.unwrap()
}

async fn append_all(writer: &Writer<Process>, bodies: impl IntoIterator<Item = Body>) {
    for body in bodies {
        writer.append(body).await.unwrap();
    }
}

fn steps(count: usize) -> impl Iterator<Item = Body> {
    (0..count).map(|step| Body::StepStarted { step_name: step.to_string() })
}

fn step_ends(count: usize) -> impl Iterator<Item = Body> {
    (0..count).map(|step| Body::StepFinished { step_name: step.to_string() })
}

/// Fails if a stored segment exceeds a limit.
fn assert_limits(table: &Table) {
    for segment in table.segments() {
        let bytes = serde_json::to_string(&segment.entries).unwrap().len();
        assert!(segment.entries.len() <= MAX_EVENTS && bytes <= MAX_BYTES, "{bytes} bytes");
    }
}

#[tokio::test(start_paused = true)]
async fn the_end_is_stored_together_with_the_buffer_and_the_rows() {
    let table = Table::calm(5);
    let (writer, ..) = table.opened(Settings::default()).await;
    append_all(&writer, [message_start(), delta("Be"), delta("cause"), message_end()]).await;
    let Finish::Done(state) = finish(&writer, vec![finished(RunOutcome::Success)]).await else { panic!() };
    assert_eq!(state.answer_text(), "Because");
    assert_eq!(*state, table.state());
    assert_eq!(table.lock().closed, Some(Closed::of(&state)));
    assert!(matches!(writer.append(message_start()).await, Err(Stopped::Ended)));
    assert_eq!(append_control(&table.process(0), key(), cancel()).await.unwrap(), ControlOutcome::Closed);
}

#[tokio::test(start_paused = true)]
async fn an_end_waits_for_a_buffer_longer_than_a_segment() {
    let table = Table::calm(5);
    let (writer, ..) = table.opened(Settings::default()).await;
    append_all(&writer, steps(150)).await;
    append_all(&writer, step_ends(150)).await;
    assert!(matches!(finish(&writer, vec![finished(RunOutcome::Success)]).await, Finish::Done(_)));
    assert_limits(&table);
    assert_eq!(table.events().len(), 3 + 300 + 1);
}

#[tokio::test(start_paused = true)]
async fn a_cancel_supersedes_the_end() {
    let table = Table::calm(5);
    let (writer, ..) =
        table.opened(Settings { idle_check: Duration::from_secs(60), ..Settings::default() }).await;
    append_all(&writer, [message_start(), delta("Be")]).await;
    writer.flush().await.unwrap();
    let before = *writer.signals().borrow();
    append_control(&table.process(0), key(), cancel()).await.unwrap();
    append_all(&writer, [message_end()]).await;
    let end = writer.finish(before, vec![finished(RunOutcome::Success)], rows).await.unwrap();
    assert!(matches!(end, Finish::Superseded), "{end:?}");
    assert!(writer.signals().borrow().cancel.is_some(), "the owner has the signal now");
    let Finish::Done(state) = finish(&writer, vec![finished(RunOutcome::Cancelled)]).await else { panic!() };
    assert_eq!(state.phase, Phase::Finished(RunOutcome::Cancelled));
    assert_eq!(state.answer_text(), "Be", "the partial answer is kept");
    assert_eq!(table.events().iter().filter(|event| event.is_terminal()).count(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_owners_own_events_do_not_supersede_its_end() {
    let table = Table::calm(5);
    let (writer, ..) = table.opened(Settings::default()).await;
    append_all(&writer, [user_message(MessageId::from_bits(12))]).await;
    writer.flush().await.unwrap();
    assert_eq!(writer.signals().borrow().prompts, 2);
    assert!(matches!(finish(&writer, vec![finished(RunOutcome::Success)]).await, Finish::Done(_)));
}

#[tokio::test(start_paused = true)]
async fn a_signal_reaches_an_idle_owner_within_one_poll() {
    let table = Table::calm(5);
    let settings = Settings::default();
    let (writer, _, mut observed) = table.opened(settings).await;
    observed.recv().await.unwrap();
    sleep(Duration::from_millis(1234)).await;
    append_control(&table.process(0), key(), cancel()).await.unwrap();
    let mut signals = writer.signals();
    let signalled = signals.wait_for(|signals| signals.cancel.is_some());
    tokio::time::timeout(settings.idle_check + Duration::from_millis(20), signalled).await.unwrap().unwrap();
    let segment = observed.recv().await.unwrap();
    assert_eq!(segment.epoch, 0, "the observer gets the segments of others, too");
}

#[tokio::test(start_paused = true)]
async fn a_delta_of_any_length_is_stored() {
    let table = Table::calm(5);
    let (writer, ..) = table.opened(Settings::default()).await;
    let worst = "\u{1}\"🦀\n".repeat(150_000);
    append_all(&writer, [message_start(), delta(&worst), delta("."), message_end()]).await;
    let Finish::Done(state) = finish(&writer, vec![finished(RunOutcome::Success)]).await else { panic!() };
    assert!(state.answers[0].text == format!("{worst}."));
    assert_limits(&table);
}

#[tokio::test(start_paused = true)]
async fn a_refused_event_does_not_affect_the_writer() {
    let table = Table::calm(5);
    let (writer, ..) = table.opened(Settings::default()).await;
    let huge = Body::Custom { name: "huge".into(), value: "x".repeat(MAX_BYTES).into() };
    assert!(matches!(writer.append(huge.clone()).await, Err(Stopped::TooLarge(_))));
    assert!(matches!(writer.append(finished(RunOutcome::Success)).await, Err(Stopped::Invalid(_))));
    let known = *writer.signals().borrow();
    for bodies in [vec![], vec![message_end()]] {
        assert!(matches!(writer.finish(known, bodies, rows).await, Err(Stopped::Invalid(_))));
    }
    let end = writer.finish(known, vec![huge, finished(RunOutcome::Success)], rows).await;
    assert!(matches!(end, Err(Stopped::TooLarge(_))), "{end:?}");
    let too_many: Vec<Body> = steps(MAX_EVENTS).chain([finished(RunOutcome::Success)]).collect();
    let end = writer.finish(known, too_many, rows).await;
    assert!(matches!(end, Err(Stopped::TooLarge(_))), "{end:?}");
    assert!(matches!(finish(&writer, vec![finished(RunOutcome::Success)]).await, Finish::Done(_)));
}

#[tokio::test(start_paused = true)]
async fn an_event_out_of_place_stops_the_writer() {
    let table = Table::calm(5);
    let (writer, ..) = table.opened(Settings::default()).await;
    append_all(&writer, [delta("no message has started")]).await;
    assert!(matches!(writer.flush().await, Err(Stopped::Invalid(_))));
    assert_eq!(table.events().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn without_merging_every_piece_is_an_event() {
    let table = Table::calm(5);
    let (writer, ..) = table.opened(Settings { merge: false, ..Settings::default() }).await;
    append_all(&writer, [message_start()]).await;
    for _ in 0..300 {
        append_all(&writer, [delta("x")]).await;
    }
    writer.flush().await.unwrap();
    let pieces = table.events();
    let ours =
        |body: &Body| matches!(body, Body::TextMessageContent { message_id, .. } if *message_id == MESSAGE);
    assert_eq!(pieces.iter().filter(|event| event.body().is_some_and(ours)).count(), 300);
    assert_limits(&table);
}

#[tokio::test(start_paused = true)]
async fn an_end_whose_rows_are_refused_can_be_stored_with_others() {
    let table = Table::calm(5);
    let (writer, ..) = table.opened(Settings::default()).await;
    append_all(&writer, [message_start(), delta("Because"), message_end()]).await;
    let known = *writer.signals().borrow();
    let end = vec![finished(RunOutcome::Success)];
    let refused = |_: &sequent_event::State| Rows { refused: true, ..Rows::default() };
    let finish = writer.finish(known, end.clone(), refused).await.unwrap();
    assert!(matches!(finish, Finish::RowsRefused(_)), "{finish:?}");
    assert!(!table.state().phase.is_closed());
    let finish = writer.finish(known, end, rows).await.unwrap();
    let Finish::Done(state) = finish else { panic!("{finish:?}") };
    assert_eq!(state.answer_text(), "Because");
}
