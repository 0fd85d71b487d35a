//! Cheap reads: a follower polls with eventually consistent reads, and relies on nothing that they can miss.

use std::time::Duration;

use sequent_core::InterruptId;
use sequent_event::{Event, RunOutcome, Seq};
use sequent_runlog::{Decision, Finish, Follow, Poll, Settings, decide};
use tokio::time::{Instant, sleep, timeout};

use crate::{
    answers::{answer, create_waiting},
    memory::{Faults, Rows, Table, delta, finished, key, message_end, message_start},
    process::Process,
    simulation::mutation::Mutation,
};

/// A table whose eventually consistent reads show the log as it was `lag` ago.
fn stale(lag: Duration) -> Table {
    Table::new(Faults { lag, ..Faults::none(1) }, Mutation::None)
}

async fn next_event(follow: &mut Follow<Process>) -> Event {
    loop {
        match follow.poll().await.unwrap() {
            Poll::Event(event) => return event,
            Poll::Idle => {}
            Poll::Closed => panic!("the log goes on after {}", follow.position()),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_reader_sees_at_once_what_was_stored_before_it_began() {
    let table = stale(Duration::from_secs(3600));
    let (writer, ..) = table.opened(Settings::default()).await;
    writer.append(message_start()).await.unwrap();
    writer.flush().await.unwrap();
    let mut follow = Follow::new(table.process(0), key(), Seq::START);
    for event in table.events() {
        assert_eq!(timeout(Duration::from_secs(1), next_event(&mut follow)).await.unwrap(), event);
    }
}

/// The run waits for answers at first, which closes its log, and goes on a second later.
#[tokio::test(start_paused = true)]
async fn an_end_that_only_a_stale_read_shows_is_not_reported() {
    for lag in (1_200..4_000).step_by(200) {
        let table = stale(Duration::from_millis(lag));
        create_waiting(&table.process(0)).await;
        let closed = table.events().len();
        let mut follow = Follow::new(table.process(0), key(), Seq::START);
        // The follower knows the log as it was before it was closed.
        let end = table.lock().segments.pop_last().unwrap();
        for _ in 0..closed - end.1.entries.len() {
            next_event(&mut follow).await;
        }
        assert_eq!(follow.poll().await.unwrap(), Poll::Idle);
        table.put(&[end.1], &Rows::default()).unwrap();
        let person = table.process(0);
        tokio::spawn(async move {
            sleep(Duration::from_secs(1)).await;
            let first = InterruptId::from_bits(0);
            let answered = decide(&person, key(), |state| {
                answer(state, first, 7).map(|bodies| (bodies, Rows::default()))
            });
            assert!(matches!(answered.await, Ok(Decision::Stored(_))));
        });
        while follow.position() < Seq(closed as u64 + 1) {
            next_event(&mut follow).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_gap_that_only_a_stale_read_has_is_filled() {
    let until = Instant::now() + Duration::from_secs(3600);
    let faults = Faults { lag: Duration::from_millis(50), gap: 1.0, until, ..Faults::none(1) };
    let table = Table::new(faults, Mutation::None);
    let at_once = Settings {
        merge: false,
        linger_max: Duration::ZERO,
        linger_min: Duration::ZERO,
        ..Settings::default()
    };
    let (writer, ..) = table.opened(at_once).await;
    let follower = tokio::spawn({
        let mut follow = Follow::new(table.process(0), key(), Seq::START);
        async move {
            let mut seen = Vec::new();
            while !seen.last().is_some_and(Event::is_terminal) {
                seen.push(next_event(&mut follow).await);
            }
            seen
        }
    });
    writer.append(message_start()).await.unwrap();
    for piece in 0..300 {
        writer.append(delta(&piece.to_string())).await.unwrap();
        sleep(Duration::from_millis(10)).await;
    }
    writer.append(message_end()).await.unwrap();
    let known = *writer.signals().borrow();
    let end = writer.finish(known, vec![finished(RunOutcome::Success)], |_| Rows::default()).await.unwrap();
    assert!(matches!(end, Finish::Done(_)));
    assert_eq!(follower.await.unwrap(), table.events());
    assert!(table.lock().faults > 5, "reads had gaps");
}

/// The window in which the bench counts: from the fifth second of the silence to the 25th.
#[tokio::test(start_paused = true)]
async fn a_reader_of_a_silent_log_needs_less_than_a_fifth_of_a_read_unit_a_second() {
    let table = Table::calm(0);
    let (writer, process, _) = table.opened(Settings::default()).await;
    let mut follow = Follow::new(table.process(0), key(), Seq::START);
    while !matches!(follow.poll().await.unwrap(), Poll::Idle) {}
    process.kill();
    drop(writer);
    let began = Instant::now();
    let mut half_units = Vec::new();
    for seconds in [5, 25] {
        while began.elapsed() < Duration::from_secs(seconds) {
            assert_eq!(follow.poll().await.unwrap(), Poll::Idle);
        }
        half_units.push(table.lock().half_units);
    }
    let units = (half_units[1] - half_units[0]) as f64 / 2.0;
    assert!(units <= 3.0, "{units} read units in 20 seconds");
}

#[tokio::test(start_paused = true)]
async fn a_reader_of_a_stream_polls_little_more_often_than_its_owner_writes() {
    let table = Table::calm(5);
    let (writer, ..) = table.opened(Settings::default()).await;
    writer.append(message_start()).await.unwrap();
    let reader = tokio::spawn({
        let table = table.clone();
        let mut follow = Follow::new(table.process(0), key(), Seq::START);
        async move {
            let mut delays = Vec::new();
            loop {
                let event = next_event(&mut follow).await;
                delays.extend(table.lock().age(event.seq));
                if event.is_terminal() {
                    return delays;
                }
            }
        }
    });
    for _ in 0..1000 {
        writer.append(delta("word ")).await.unwrap();
        sleep(Duration::from_millis(20)).await;
    }
    writer.append(message_end()).await.unwrap();
    let known = *writer.signals().borrow();
    writer.finish(known, vec![finished(RunOutcome::Success)], |_| Rows::default()).await.unwrap();
    let mut delays = reader.await.unwrap();
    delays.sort_unstable();
    let units = table.lock().half_units as f64 / 2.0;
    let segments = delays.len();
    println!(
        "{units} read units, {segments} segments, delays {:?} and {:?}",
        delays[segments / 2],
        delays.last()
    );
    assert!(units <= segments as f64 * 1.5, "{units} read units for {segments} segments");
    assert!(delays[segments / 2] <= Duration::from_millis(100), "{delays:?}");
    assert!(delays[segments - 1] <= Duration::from_millis(270), "{delays:?}");
}
