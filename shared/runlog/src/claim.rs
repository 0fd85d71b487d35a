//! Creating a log and claiming a run.

use std::{slice, sync::Arc};

use sequent_core::Timestamp;
use sequent_event::{Body, ClaimReason, Entry, Seq, State};
use tokio::{sync::mpsc, time::Instant};

use crate::{
    AppendError, Lease, LogKey, Segment, Settings, Storage, Unavailable, Writer, WriterId,
    append::{Appended, append},
    follow::{read_until, retrying},
    size::{self, TransactionLimits},
};

/// The capacity of the channel to an observer: the segments that wait in memory for a slow reader.
pub const OBSERVED_SEGMENTS: usize = 32;

/// The result of an attempt to claim a run.
#[derive(Debug)]
pub enum Claim<S: Storage> {
    /// The caller owns the run now.
    Won(Box<Writer<S>>),
    /// Another owner shows signs of life, or has claimed the run first.
    Held,
    /// The log is closed; there is nothing to execute.
    Closed,
    /// There is no such log.
    Missing,
}

/// The claim of a process that has become the owner.
pub(crate) struct Ownership {
    pub(crate) writer: WriterId,
    pub(crate) epoch: u32,
    /// The state of the log, the claim included.
    pub(crate) state: State,
    /// The time of the claim. Until the owner writes, others judge by it whether the owner is alive.
    pub(crate) since: Instant,
    /// Receives the segments that are stored from the claim on, in order, as far as it has room for them.
    pub(crate) observer: Option<mpsc::Sender<Arc<Segment>>>,
}

/// Creates a log without an owner. It begins with `bodies`, in as many segments as they take, all of which one transaction
/// stores.
///
/// # Errors
/// If the condition of a transaction row fails, the events exceed [`MAX_FIRST_BYTES`](crate::MAX_FIRST_BYTES) or
/// [`MAX_FIRST_SEGMENTS`](crate::MAX_FIRST_SEGMENTS), or the log cannot be written. [`AppendError::Conflict`] means
/// that the log exists already.
pub async fn create<S: Storage>(
    storage: &S,
    key: LogKey,
    settings: Settings,
    bodies: Vec<Body>,
    rows: S::Rows,
) -> Result<(), Unavailable> {
    let segments = first_segments(storage.now(), bodies)?;
    match append(storage, key, &segments, &rows, settings.patience).await? {
        Appended::Stored => Ok(()),
        Appended::Lost(stored) => Err(Unavailable(AppendError::Conflict(stored))),
    }
}

/// Creates a log and claims it. One write stores `before`, the claim of epoch 1, `after`, `rows` and the
/// lease. `observer` receives the stored segments in order, this first one included, but none that it has no room for.
///
/// # Errors
/// As [`create`].
pub async fn create_claimed<S: Storage>(
    storage: &S,
    key: LogKey,
    settings: Settings,
    before: Vec<Body>,
    after: Vec<Body>,
    rows: S::Rows,
    observer: Option<mpsc::Sender<Arc<Segment>>>,
) -> Result<Writer<S>, Unavailable> {
    let writer = WriterId::new();
    let since = Instant::now();
    let at = storage.now();
    let claimed = Body::RunClaimed { epoch: 1, writer: writer.0.clone(), reason: ClaimReason::Start };
    let bodies = before.into_iter().chain([claimed]).chain(after);
    let segment = Segment::new(Seq(1), writer.clone(), 1, at, bodies);
    let state = first_state(slice::from_ref(&segment))?;
    let rows = storage.with_lease(rows, key, 1, at + settings.lease);
    match append(storage, key, slice::from_ref(&segment), &rows, settings.patience).await? {
        Appended::Lost(stored) => Err(Unavailable(AppendError::Conflict(stored))),
        Appended::Stored => {
            let ownership = Ownership { writer, epoch: 1, state, since, observer };
            Ok(start(storage, key, settings, ownership, segment))
        }
    }
}

/// Makes the caller the owner of a run: takes over a run whose lease has expired, resumes a run that has
/// nothing left to wait for, or starts a run that was created without an owner. The last only if `may_start`.
///
/// # Errors
/// If the log cannot be read or written.
pub async fn claim<S: Storage>(
    storage: &S,
    key: LogKey,
    settings: Settings,
    may_start: bool,
    observer: Option<mpsc::Sender<Arc<Segment>>>,
) -> Result<Claim<S>, Unavailable> {
    let Some(tail) = retrying(|| storage.tail(key)).await? else { return Ok(Claim::Missing) };
    if tail.leaves_closed() {
        return Ok(Claim::Closed);
    }
    let lease = retrying(|| storage.lease(key)).await?;
    // Nearly every caller is told here that the run has an owner. Only a claim is worth reading the whole log.
    if !has_expired(storage.now(), lease, [&tail], settings) {
        return Ok(Claim::Held);
    }
    let segments = read_until(storage, key, tail.last()).await?;
    let mut state = State::default();
    for segment in &segments {
        advance(&mut state, segment).map_err(AppendError::from)?;
    }
    if state.phase.is_closed() && !state.is_resumable() {
        return Ok(Claim::Closed); // in the meantime
    }
    // An owner that has written since the lease was read is alive, or has claimed the run first.
    if segments.iter().any(|segment| segment.epoch > 0 && segment.first > tail.last()) {
        return Ok(Claim::Held);
    }
    let reason = match state.epoch {
        0 => ClaimReason::Start,
        _ if state.is_resumable() => ClaimReason::Resume,
        _ if matches!(lease, Lease::Waiting(_)) => ClaimReason::Continue,
        _ => ClaimReason::TakeOver,
    };
    if reason == ClaimReason::Start && !may_start {
        return Ok(Claim::Held);
    }
    if reason == ClaimReason::TakeOver && !has_expired(storage.now(), lease, &segments, settings) {
        return Ok(Claim::Held);
    }
    let epoch = state.epoch + 1;
    let writer = WriterId::new();
    let since = Instant::now();
    let at = storage.now();
    let claimed = Body::RunClaimed { epoch, writer: writer.0.clone(), reason };
    let mut segment = Segment::new(state.next(), writer.clone(), epoch, at, [claimed]);
    let rows = storage.with_lease(S::Rows::default(), key, epoch, at + settings.lease);
    // A control event does not show that the owner is alive, so the claim is retried after it. Any other
    // segment at the position does: either the owner is alive, or another process has claimed the run first.
    while let Appended::Lost(winner) =
        append(storage, key, slice::from_ref(&segment), &rows, settings.patience).await?
    {
        if winner.epoch > 0 {
            return Ok(Claim::Held);
        }
        advance(&mut state, &winner).map_err(AppendError::from)?;
        segment.first = state.next();
    }
    advance(&mut state, &segment).map_err(AppendError::from)?;
    let ownership = Ownership { writer, epoch, state, since, observer };
    Ok(Claim::Won(Box::new(start(storage, key, settings, ownership, segment))))
}

/// Shows the stored claim to the observer and starts the owner's writer.
fn start<S: Storage>(
    storage: &S,
    key: LogKey,
    settings: Settings,
    ownership: Ownership,
    claimed: Segment,
) -> Writer<S> {
    if let Some(observer) = &ownership.observer {
        let _ = observer.try_send(Arc::new(claimed)); // a reader may have left
    }
    Writer::start(storage.clone(), key, settings, ownership)
}

/// Returns `true` if the owner may be presumed dead, as far as these segments show, the newest of which comes last.
/// An owner's segments are signs of life, so an owner that writes need not renew its lease. An owner that released
/// its lease leaves none to wait for.
fn has_expired<'a>(
    now: Timestamp,
    lease: Lease,
    segments: impl IntoIterator<Item = &'a Segment, IntoIter: DoubleEndedIterator>,
    settings: Settings,
) -> bool {
    let Lease::Held(until) = lease else { return true };
    let seen = segments.into_iter().rev().find(|segment| segment.epoch > 0);
    now >= seen.map_or(until, |segment| (segment.at + settings.lease).max(until))
}

pub(crate) fn advance(state: &mut State, segment: &Segment) -> Result<(), sequent_event::InvalidEvent> {
    segment.events().try_for_each(|event| state.apply(&event))
}

/// Builds the segments with which a log without an owner begins. They share a batch.
fn first_segments(at: Timestamp, bodies: Vec<Body>) -> Result<Vec<Segment>, Unavailable> {
    let writer = WriterId::new();
    let batch = WriterId::new().0;
    let mut segments: Vec<Segment> = Vec::new();
    for bodies in size::into_segments(bodies, TransactionLimits::FIRST).map_err(AppendError::from)? {
        let first = segments.last().map_or(Seq::START, Segment::last).next();
        let segment = Segment::new(first, writer.clone(), 0, at, bodies);
        segments.push(Segment { batch: batch.clone(), ..segment });
    }
    first_state(&segments)?;
    Ok(segments)
}

/// Returns the state after a log's first segments. The limits and rules of any others hold for them: a
/// log that cannot be folded could never be continued, and followers read back no further than one segment
/// can reach.
fn first_state(segments: &[Segment]) -> Result<State, Unavailable> {
    let mut state = State::default();
    for segment in segments {
        if segment.entries.is_empty() {
            return Err(Unavailable(AppendError::Refused("a log begins with at least one event".into())));
        }
        size::check_segment(segment.entries.iter().filter_map(Entry::body)).map_err(AppendError::from)?;
        advance(&mut state, segment).map_err(AppendError::from)?;
    }
    Ok(state)
}
