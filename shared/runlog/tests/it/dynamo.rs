//! The same protocol with the semantics of DynamoDB, through the real SDK.

use std::{slice, sync::Arc, time::Duration};

use sequent_core::{MessageId, RunId, TenantId, Timestamp};
use sequent_event::{Body, Entry, Event, RunOutcome, Seq, State};
use sequent_runlog::{
    AppendError, Claim, Consistency, Decision, DynamoStorage, Finish, Follow, Lease, LogKey, MAX_EVENTS,
    Poll, Segment, SegmentPage, Settings, Storage, TransactionRows, Writer, WriterId, append_control, claim,
    create_claimed, decide, page, read_all,
};
use sequent_tables::{
    Cancelled, Error as TableError, Row, Transaction, Update, Write, exists, key as keys, testing,
};
use serde_json::json;

use crate::memory::{cancel, delta, finished, message_start, question, started};

fn fresh() -> LogKey {
    LogKey { tenant: TenantId::new(), run: RunId::new() }
}

fn segment(first: u64, bodies: Vec<Body>) -> Segment {
    let at = Timestamp::from_millis(1_700_000_000_000);
    let entries = bodies.into_iter().map(|body| Entry::new(at, body)).collect();
    Segment { first: Seq(first), writer: WriterId::new(), batch: WriterId::new().0, epoch: 1, at, entries }
}

/// The row of a new run with its lease.
fn row(log: LogKey) -> TransactionRows {
    Arc::new(move |transaction: Transaction| {
        let until = Timestamp::now() + Duration::from_secs(10);
        let body = json!({"lease_until": until.millis(), "lease_epoch": 1});
        transaction.write(Write::insert(Row::new(&keys::run(log.tenant, log.run), &body).unwrap()))
    })
}

/// The end of a run, which removes the lease from its row.
fn ended(log: LogKey) -> TransactionRows {
    Arc::new(move |transaction: Transaction| {
        let row = keys::run(log.tenant, log.run);
        let update = Update::of(&row).remove("lease_until").remove("lease_epoch").remove_gsi2();
        transaction.write(update.when(exists()))
    })
}

async fn storage() -> DynamoStorage {
    DynamoStorage::new(testing::store().await)
}

async fn opened(storage: &DynamoStorage, log: LogKey, settings: Settings) -> Writer<DynamoStorage> {
    let before = vec![question()];
    let after = vec![started()];
    create_claimed(storage, log, settings, before, after, Some(row(log)), None).await.unwrap()
}

#[tokio::test]
async fn a_stored_segment_is_read_unchanged_and_never_replaced() {
    let storage = storage().await;
    let log = fresh();
    let stored = segment(1, vec![question(), cancel()]);
    storage.append(log, slice::from_ref(&stored), &None).await.unwrap();
    for rows in [None, Some(row(log))] {
        let rival = segment(1, vec![question()]);
        let error = storage.append(log, slice::from_ref(&rival), &rows).await.unwrap_err();
        assert!(matches!(&error, AppendError::Conflict(found) if **found == stored), "{error:?}");
    }
    for consistency in [Consistency::Strong, Consistency::Eventual] {
        let page = |segments| SegmentPage { segments, has_more: false };
        let all = storage.read(log, Seq::START, consistency).await.unwrap();
        assert_eq!(all, page(vec![stored.clone()]));
        assert_eq!(storage.read(log, Seq(1), consistency).await.unwrap(), page(Vec::new()));
    }
    assert_eq!(storage.tail(log).await.unwrap(), Some(stored));
    assert_eq!(storage.tail(fresh()).await.unwrap(), None);
    assert_eq!(storage.lease(log).await.unwrap(), Lease::Free, "the rival's row was not written either");
}

#[tokio::test]
async fn a_refused_row_differs_from_a_taken_position() {
    let storage = storage().await;
    let log = fresh();
    let rows = Some(row(log));
    storage.append(log, &[segment(1, vec![question()])], &rows).await.unwrap();
    // The row exists by now, so its second insertion is refused at any position.
    let error = storage.append(log, &[segment(2, vec![cancel()])], &rows).await.unwrap_err();
    assert!(matches!(&error, AppendError::RowsRefused(cancelled) if cancelled.any_refused()), "{error:?}");
    assert_eq!(read_all(&storage, log).await.unwrap().len(), 1);
    let error = storage.append(log, &[segment(1, vec![cancel()])], &rows).await.unwrap_err();
    assert!(matches!(error, AppendError::Conflict(_)), "{error:?}");
}

/// DynamoDB refuses such a transaction as a whole, before it looks at any condition.
#[tokio::test]
async fn a_row_that_the_table_takes_in_no_state_is_a_refused_row() {
    let storage = storage().await;
    let log = fresh();
    let row = keys::run(log.tenant, log.run);
    let rows: Option<TransactionRows> = Some(Arc::new(move |transaction: Transaction| {
        let update = (0..600).fold(Update::of(&row), |update, n| update.set(format!("attribute_{n}"), n));
        transaction.write(update)
    }));
    let begin = segment(1, vec![question()]);
    let error = storage.append(log, slice::from_ref(&begin), &rows).await.unwrap_err();
    assert!(
        matches!(&error, AppendError::RowsRefused(Cancelled::Failed(TableError::Refused(_)))),
        "{error:?}"
    );
    storage.append(log, &[begin], &None).await.unwrap();
}

#[tokio::test]
async fn several_segments_are_stored_together_or_not_at_all() {
    let storage = storage().await;
    let log = fresh();
    storage.append(log, &[segment(1, vec![question()])], &None).await.unwrap();
    let many = vec![cancel(); 2 * MAX_EVENTS + 1];
    let decided = decide(&storage, log, |_| Ok::<_, ()>((many.clone(), None))).await.unwrap();
    let Decision::Stored(state) = decided else { panic!("{decided:?}") };
    assert_eq!(state.last, Seq(2 + 2 * MAX_EVENTS as u64));
    let segments = read_all(&storage, log).await.unwrap();
    assert_eq!(segments.iter().map(|segment| segment.first.0).collect::<Vec<_>>(), [1, 2, 66, 130]);

    let batch = [segment(2, vec![cancel()]), segment(131, vec![cancel()])];
    let error = storage.append(log, &batch, &None).await.unwrap_err();
    assert!(matches!(&error, AppendError::Conflict(found) if **found == segments[1]), "{error:?}");
    assert_eq!(read_all(&storage, log).await.unwrap().len(), 4);
}

#[tokio::test]
async fn a_lease_belongs_to_the_latest_epoch() {
    let storage = storage().await;
    let log = fresh();
    let settings = Settings {
        idle_check: Duration::from_secs(60),
        renew: Duration::from_secs(60),
        ..Settings::default()
    };
    let writer = opened(&storage, log, settings).await;
    let later = Timestamp::now() + Duration::from_secs(77);
    storage.renew(log, 1, Some(later)).await.unwrap();
    assert_eq!(storage.lease(log).await.unwrap(), Lease::Held(later));
    storage.renew(log, 2, None).await.unwrap();
    assert_eq!(storage.lease(log).await.unwrap(), Lease::Held(later), "epoch 2 does not hold it");
    let held = claim(&storage, log, settings, false, None).await.unwrap();
    assert!(matches!(held, Claim::Held), "{held:?}");

    writer.release().await.unwrap();
    assert_eq!(storage.lease(log).await.unwrap(), Lease::Free);
    let Claim::Won(second) = claim(&storage, log, settings, false, None).await.unwrap() else { panic!() };
    let lease = storage.lease(log).await.unwrap();
    assert!(matches!(lease, Lease::Held(_)), "the claim takes the lease");
    storage.renew(log, 1, None).await.unwrap();
    assert_eq!(storage.lease(log).await.unwrap(), lease, "the former owner cannot remove it");

    let known = *second.signals().borrow();
    let end = vec![finished(RunOutcome::Success)];
    let end = second.finish(known, end, move |_| Some(ended(log))).await.unwrap();
    assert!(matches!(end, Finish::Done(_)));
    storage.renew(log, 2, Some(later)).await.unwrap();
    assert_eq!(storage.lease(log).await.unwrap(), Lease::Free, "a late renewal does not revive an ended run");
    assert!(matches!(claim(&storage, log, settings, true, None).await.unwrap(), Claim::Closed));
}

#[tokio::test]
async fn a_log_longer_than_one_page_of_the_table_is_read_as_a_whole() {
    let storage = storage().await;
    let log = fresh();
    let writer = opened(&storage, log, Settings::default()).await;
    writer.append(message_start()).await.unwrap();
    let piece = "ab\"é🦀".repeat(1_500);
    for _ in 0..160 {
        writer.append(delta(&piece)).await.unwrap();
    }
    writer.append(crate::memory::message_end()).await.unwrap();
    let known = *writer.signals().borrow();
    let end = vec![finished(RunOutcome::Success)];
    let end = writer.finish(known, end, move |_| Some(ended(log))).await.unwrap();
    let Finish::Done(state) = end else { panic!() };

    let segments = read_all(&storage, log).await.unwrap();
    let one_answer = storage.read(log, Seq::START, Consistency::Strong).await.unwrap();
    assert!(one_answer.segments.len() < segments.len(), "the log is longer than 1 MB");
    assert!(one_answer.has_more);
    let events: Vec<Event> = segments.iter().flat_map(Segment::events).collect();
    assert_eq!(State::of(&events).unwrap(), *state);
    assert!(state.answer_text() == piece.repeat(160));
    let (all, more) = page(&storage, log, Seq::START, 10_000).await.unwrap();
    assert!(all == events && !more);
    for after in [0, 1, 3, events.len() / 2, events.len() - 1, events.len(), events.len() + 500] {
        let mut follow = Follow::new(storage.clone(), log, Seq(after as u64));
        let mut seen = Vec::new();
        loop {
            match follow.poll().await.unwrap() {
                Poll::Event(event) => seen.push(event),
                Poll::Idle => {}
                Poll::Closed => break,
            }
        }
        assert!(seen == events[after.min(events.len())..], "from {after}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_many_writers_wins_a_position() {
    let storage = storage().await;
    let log = fresh();
    storage.append(log, &[segment(1, vec![question()])], &None).await.unwrap();
    for first in 2..6 {
        let tasks: Vec<_> = (0..32)
            .map(|_| {
                let storage = storage.clone();
                let rival = segment(first, vec![cancel()]);
                tokio::spawn(async move {
                    (rival.batch.clone(), storage.append(log, slice::from_ref(&rival), &None).await)
                })
            })
            .collect();
        let mut won = Vec::new();
        let mut met = Vec::new();
        for task in tasks {
            match task.await.unwrap() {
                (batch, Ok(())) => won.push(batch),
                (_, Err(AppendError::Conflict(stored))) => met.push(stored.batch),
                (_, Err(error)) => panic!("{error:?}"),
            }
        }
        assert_eq!((won.len(), met.len()), (1, 31));
        assert!(met.iter().all(|batch| *batch == won[0]), "every loser reads the winner");
    }
}

/// Writes a few words in every epoch that it wins, releases the run, and closes it in the last epoch.
async fn compete(storage: DynamoStorage, log: LogKey, last_epoch: u32) -> Vec<u32> {
    let settings = Settings { lease: Duration::from_secs(60), ..Settings::default() };
    let mut epochs = Vec::new();
    loop {
        let writer = match claim(&storage, log, settings, true, None).await.unwrap() {
            Claim::Won(writer) => *writer,
            Claim::Held => {
                tokio::time::sleep(Duration::from_millis(fastrand::u64(1..20))).await; // a rival owns the run
                continue;
            }
            _ => return epochs,
        };
        epochs.push(writer.epoch());
        if let Some(open) = &writer.opening().open {
            writer.append(Body::MessageAbandoned { message_id: open.id }).await.unwrap();
        }
        let message_id = MessageId::new();
        let role = sequent_event::Role::Assistant;
        writer.append(Body::TextMessageStart { message_id, role }).await.unwrap();
        for _ in 0..10 {
            let delta = format!("{} ", writer.epoch());
            writer.append(Body::TextMessageContent { message_id, delta }).await.unwrap();
        }
        if writer.epoch() < last_epoch {
            writer.release().await.unwrap();
            continue;
        }
        writer.append(Body::TextMessageEnd { message_id }).await.unwrap();
        loop {
            let known = *writer.signals().borrow();
            let end = vec![finished(RunOutcome::Success)];
            let end = writer.finish(known, end, move |_| Some(ended(log))).await.unwrap();
            if matches!(end, Finish::Done(_)) {
                return epochs;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn competing_owners_leave_one_valid_log() {
    let storage = storage().await;
    let log = fresh();
    opened(&storage, log, Settings::default()).await.release().await.unwrap();
    let person = {
        let storage = storage.clone();
        tokio::spawn(async move {
            for id in 100..110 {
                append_control(&storage, log, crate::memory::user_message(MessageId::from_bits(id)))
                    .await
                    .unwrap();
            }
        })
    };
    let owners: Vec<_> = (0..3).map(|_| tokio::spawn(compete(storage.clone(), log, 12))).collect();
    let mut epochs = Vec::new();
    for owner in owners {
        epochs.extend(owner.await.unwrap());
    }
    person.await.unwrap();
    epochs.sort_unstable();
    assert_eq!(epochs, (2..=12).collect::<Vec<_>>(), "every epoch had one owner");
    let segments = read_all(&storage, log).await.unwrap();
    let events: Vec<Event> = segments.iter().flat_map(Segment::events).collect();
    let state = State::of(&events).unwrap();
    assert_eq!(state.answer_text(), "12 ".repeat(10));
    assert_eq!(events.iter().filter(|event| event.is_terminal()).count(), 1);
    let of_owners: Vec<u32> =
        segments.iter().map(|segment| segment.epoch).filter(|epoch| *epoch > 0).collect();
    assert!(of_owners.is_sorted(), "no segment comes after the claim of a higher epoch");
}
