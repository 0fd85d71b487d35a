//! Becoming a run's owner.

use std::sync::Arc;

use sequent_core::Timestamp;
use sequent_event::{Body, ClaimReason, Entry, Event, Seq, State};
use tokio::{sync::mpsc, time::Instant};

use crate::{
    AppendError, LogKey, MAX_BYTES, MAX_EVENTS, ReadError, Segment, Settings, Storage, Unavailable, Writer,
    WriterId,
    append::{Appended, append},
    follow::{read_all, retrying},
    size,
};

/// What became of an attempt to take a run over.
#[derive(Debug)]
pub enum Claim<S: Storage> {
    /// The caller owns the run now.
    Won(Box<Writer<S>>),
    /// Another owner shows signs of life, or took over first.
    Held,
    /// The log is closed; there is nothing to execute.
    Closed,
    /// There is no such log.
    Missing,
}

/// Starts a log that nobody executes yet: its first segment is `entries`.
///
/// # Errors
/// When a companion's condition does not hold, or the log cannot be written. A log that stands already is
/// [`AppendError::Conflict`].
pub async fn create<S: Storage>(
    storage: &S,
    key: LogKey,
    settings: Settings,
    bodies: Vec<Body>,
    companions: S::Companions,
) -> Result<(), Unavailable> {
    let at = storage.now();
    let segment = Segment {
        first: Seq(1),
        writer: WriterId::new(),
        batch: WriterId::new().0,
        epoch: 0,
        at,
        entries: bodies.into_iter().map(|body| Entry::new(at, body)).collect(),
    };
    first(&segment)?;
    match append(storage, key, &segment, &companions, settings.patience).await? {
        Appended::Stored => Ok(()),
        Appended::Lost(stored) => Err(Unavailable(AppendError::Conflict(stored))),
    }
}

/// Starts a log and owns it at once: `before`, the claim of epoch 1, then `after`, all in one write with
/// `companions` and the lease. `observer` receives every stored segment in order, that first one included.
///
/// # Errors
/// As [`create`].
pub async fn open<S: Storage>(
    storage: &S,
    key: LogKey,
    settings: Settings,
    (before, after): (Vec<Body>, Vec<Body>),
    companions: S::Companions,
    observer: Option<mpsc::UnboundedSender<Arc<Segment>>>,
) -> Result<Writer<S>, Unavailable> {
    let writer = WriterId::new();
    let claimed = Body::RunClaimed { epoch: 1, writer: writer.0.clone(), reason: ClaimReason::Start };
    let (at, since) = (storage.now(), Instant::now());
    let bodies = before.into_iter().chain([claimed]).chain(after);
    let segment = Segment {
        first: Seq(1),
        writer,
        batch: WriterId::new().0,
        epoch: 1,
        at,
        entries: bodies.map(|body| Entry::new(at, body)).collect(),
    };
    let state = first(&segment)?;
    let companions = storage.with_lease(companions, key, 1, at + settings.lease);
    match append(storage, key, &segment, &companions, settings.patience).await? {
        Appended::Lost(stored) => Err(Unavailable(AppendError::Conflict(stored))),
        Appended::Stored => {
            if let Some(observer) = &observer {
                let _ = observer.send(Arc::new(segment.clone())); // a follower that left is nobody's business
            }
            Ok(Writer::start(storage.clone(), key, settings, segment.writer, 1, state, observer, since))
        }
    }
}

/// Takes over a run whose lease is over, resumes one that has nothing left to wait for, or starts one that was created
/// without an owner. `may_start` says whether a run no one has claimed yet may be claimed.
///
/// # Errors
/// When the log cannot be read or written.
pub async fn take_over<S: Storage>(
    storage: &S,
    key: LogKey,
    settings: Settings,
    may_start: bool,
    observer: Option<mpsc::UnboundedSender<Arc<Segment>>>,
) -> Result<Claim<S>, Unavailable> {
    let segments = read_all(storage, key).await.map_err(unreadable)?;
    if segments.is_empty() {
        return Ok(Claim::Missing);
    }
    let events: Vec<Event> = segments.iter().flat_map(Segment::events).collect();
    let mut state = State::of(&events).map_err(refused)?;
    if state.phase.is_closed() && !state.is_resumable() {
        return Ok(Claim::Closed);
    }
    let reason = match state.epoch {
        0 => ClaimReason::Start,
        _ if state.is_resumable() => ClaimReason::Resume,
        _ => ClaimReason::TakeOver,
    };
    if reason == ClaimReason::Start && !may_start {
        return Ok(Claim::Held);
    }
    let lease = retrying(|| storage.lease(key)).await.map_err(unreadable)?;
    if reason == ClaimReason::TakeOver && !is_over(storage.now(), lease, &segments, settings) {
        return Ok(Claim::Held);
    }
    let epoch = state.epoch + 1;
    let writer = WriterId::new();
    let (at, since) = (storage.now(), Instant::now());
    let claimed = Body::RunClaimed { epoch, writer: writer.0.clone(), reason };
    let mut segment = Segment {
        first: state.next(),
        writer,
        batch: WriterId::new().0,
        epoch,
        at,
        entries: vec![Entry::new(at, claimed)],
    };
    let companions = storage.with_lease(S::Companions::default(), key, epoch, at + settings.lease);
    // A control event is no sign of the owner's life, so the claim moves behind it. Anything else that took the
    // position is: the owner lives, or another took over first.
    while let Appended::Lost(winner) = append(storage, key, &segment, &companions, settings.patience).await? {
        if winner.epoch > 0 {
            return Ok(Claim::Held);
        }
        advance(&mut state, &winner).map_err(refused)?;
        segment.first = state.next();
    }
    advance(&mut state, &segment).map_err(refused)?;
    if let Some(observer) = &observer {
        let _ = observer.send(Arc::new(segment.clone())); // as above
    }
    let writer = Writer::start(storage.clone(), key, settings, segment.writer, epoch, state, observer, since);
    Ok(Claim::Won(Box::new(writer)))
}

/// Whether the owner may be given up for dead. Its own segments are signs of life, so an owner that writes need not
/// renew; one that released its lease has none to wait for.
fn is_over(now: Timestamp, lease: Option<Timestamp>, segments: &[Segment], settings: Settings) -> bool {
    let Some(until) = lease else { return true };
    let seen =
        segments.iter().rev().find(|segment| segment.epoch > 0).map(|segment| segment.at + settings.lease);
    now >= seen.map_or(until, |seen| seen.max(until))
}

pub(crate) fn advance(state: &mut State, segment: &Segment) -> Result<(), sequent_event::Invalid> {
    segment.events().try_for_each(|event| state.apply(&event))
}

/// The state that a log's first segment leads to. It is as bound by limits and rules as any other: what cannot be
/// folded could never be continued, and followers look back no further than a segment may reach.
fn first(segment: &Segment) -> Result<State, Unavailable> {
    let bytes: usize = segment.entries.iter().filter_map(Entry::body).map(size::of).sum();
    if segment.entries.is_empty() || segment.entries.len() > MAX_EVENTS || bytes > MAX_BYTES {
        return Err(Unavailable(AppendError::Refused("the events do not fit one segment".into())));
    }
    let mut state = State::default();
    advance(&mut state, segment).map_err(refused)?;
    Ok(state)
}

fn refused(error: sequent_event::Invalid) -> Unavailable {
    Unavailable(AppendError::Refused(Box::new(error)))
}

fn unreadable(error: ReadError) -> Unavailable {
    Unavailable(match error {
        ReadError::Unavailable(_) => AppendError::Busy,
        ReadError::Malformed(source) => AppendError::Refused(source),
    })
}
