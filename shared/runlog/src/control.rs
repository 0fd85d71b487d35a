//! Control events: the events, such as a cancel, that any authorised caller may append to a run.

use std::{slice, time::Duration};

use sequent_event::{Body, Seq, State};
use tokio::time::{Instant, sleep};

use crate::{
    AppendError, Consistency, LogKey, Segment, Storage, Unavailable, WriterId,
    append::{Appended, Backoff, append},
    claim::advance,
    follow::{read_all, retrying},
    size::{self, TransactionLimits},
};

/// Time for which one write is retried.
const PATIENCE: Duration = Duration::from_secs(10);
/// Time in which an event must find a free position. An owner leaves gaps between its writes, so this is needed
/// only if the table or this process is slow.
const LONGEST_CONTEST: Duration = Duration::from_secs(20);

/// The result of [`append_control`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ControlOutcome {
    /// The event is in the log, at this position.
    Appended(Seq),
    /// The log was closed before the event could be appended.
    Closed,
    /// The log is closed because its run waits for people. Only [`decide`] cancels such a run: the row of the run
    /// changes with the request.
    Waiting,
    /// There is no such log.
    Missing,
}

/// Appends `body` to the end of an open log. The owner reads it at its next write or its next poll of the
/// tail.
///
/// The caller may repeat the call after an error, but the log may then hold the event twice:
/// [`AppendError::Ambiguous`] means that the outcome is unknown.
///
/// # Errors
/// If the log cannot be read or written, or others were faster for a long time ([`AppendError::Busy`]), or the event
/// is not allowed everywhere in an open log. [`AppendError::TooLarge`] if it does not fit a segment.
pub async fn append_control<S: Storage>(
    storage: &S,
    key: LogKey,
    body: Body,
) -> Result<ControlOutcome, Unavailable> {
    check(&body)?;
    let writer = WriterId::new();
    let batch = WriterId::new().0;
    let mut contest = Contest::new();
    let Some(mut tail) = retrying(|| storage.tail(key)).await? else { return Ok(ControlOutcome::Missing) };
    loop {
        if tail.waits_for_people() && matches!(body, Body::CancelRequested { .. }) {
            return Ok(ControlOutcome::Waiting);
        }
        if tail.leaves_closed() {
            return Ok(ControlOutcome::Closed);
        }
        let segment = Segment {
            batch: batch.clone(),
            ..Segment::new(tail.last().next(), writer.clone(), 0, storage.now(), [body.clone()])
        };
        match append(storage, key, slice::from_ref(&segment), &S::Rows::default(), PATIENCE).await? {
            Appended::Stored => return Ok(ControlOutcome::Appended(segment.first)),
            // Continuing from the segment that won the position would never catch up with an owner that
            // writes as fast as we do. The tail is in the gap that an owner leaves between two writes.
            Appended::Lost(stored) => {
                contest.pause().await?;
                tail = retrying(|| storage.tail(key)).await?.unwrap_or(*stored);
            }
        }
    }
}

/// Appends `body` with `rows` directly after `tail`, the last segment when it was read. Returns `None` if another segment was
/// stored there first. It is for control events that need to know the end of the log only.
///
/// # Errors
/// As [`append_control`], or if the condition of a row fails.
pub async fn append_after<S: Storage>(
    storage: &S,
    key: LogKey,
    tail: &Segment,
    body: Body,
    rows: &S::Rows,
) -> Result<Option<Seq>, Unavailable> {
    check(&body)?;
    let segment = Segment::new(tail.last().next(), WriterId::new(), 0, storage.now(), [body]);
    match append(storage, key, slice::from_ref(&segment), rows, PATIENCE).await? {
        Appended::Stored => Ok(Some(segment.first)),
        Appended::Lost(_) => Ok(None),
    }
}

/// The attempts to store an event at the end of a log that others write to.
struct Contest {
    give_up: Instant,
    backoff: Backoff,
}

impl Contest {
    fn new() -> Self {
        Self { give_up: Instant::now() + LONGEST_CONTEST, backoff: Backoff::new() }
    }

    /// Pauses after a lost position. Returns an error if the attempts have taken too long: nothing was stored.
    async fn pause(&mut self) -> Result<(), Unavailable> {
        if Instant::now() >= self.give_up {
            return Err(Unavailable(AppendError::Busy));
        }
        sleep(self.backoff.pause()).await;
        Ok(())
    }
}

/// The result of [`decide`].
#[derive(Debug)]
pub enum Decision<E> {
    /// The events are in the log, which is now in this state.
    Stored(Box<State>),
    /// The log in its present state does not allow it.
    Refused(E),
    /// There is no such log.
    Missing,
}

/// Appends the events that `decide` derives from the whole log, directly after what it has read. If another
/// segment was stored in the meantime, it reads that segment and decides again. It is for control events whose
/// meaning depends on the events before them, together with the rows that repeat them. Events that do not fit one
/// segment are stored in up to [`MAX_SEGMENTS`](crate::MAX_SEGMENTS), all of them or none.
///
/// # Errors
/// If the log cannot be read or written, others were faster for a long time ([`AppendError::Busy`]), or the log
/// refuses the events: [`AppendError::TooLarge`], [`AppendError::Invalid`], [`AppendError::RowsRefused`].
pub async fn decide<S: Storage, E>(
    storage: &S,
    key: LogKey,
    decide: impl Fn(&State) -> Result<(Vec<Body>, S::Rows), E>,
) -> Result<Decision<E>, Unavailable> {
    let writer = WriterId::new();
    let batch = WriterId::new().0;
    let mut contest = Contest::new();
    let Some(mut state) = read_state(storage, key).await? else { return Ok(Decision::Missing) };
    loop {
        let (bodies, rows) = match decide(&state) {
            Ok(decided) => decided,
            Err(reason) => return Ok(Decision::Refused(reason)),
        };
        let mut after = state.clone();
        let mut segments = Vec::new();
        for bodies in size::into_segments(bodies, TransactionLimits::ADDED).map_err(AppendError::from)? {
            let new = Segment::new(after.next(), writer.clone(), 0, storage.now(), bodies);
            let segment = Segment { batch: batch.clone(), ..new };
            advance(&mut after, &segment).map_err(AppendError::from)?;
            segments.push(segment);
        }
        match append(storage, key, &segments, &rows, PATIENCE).await? {
            Appended::Stored => return Ok(Decision::Stored(Box::new(after))),
            Appended::Lost(winner) => {
                contest.pause().await?;
                catch_up(storage, key, &mut state, &winner).await?;
            }
        }
    }
}

/// Folds a whole log. Returns `None` if it does not exist.
async fn read_state<S: Storage>(storage: &S, key: LogKey) -> Result<Option<State>, Unavailable> {
    let segments = read_all(storage, key).await?;
    let mut state = State::default();
    for segment in &segments {
        advance(&mut state, segment).map_err(AppendError::from)?;
    }
    Ok((!segments.is_empty()).then_some(state))
}

/// Applies the segment that won a position, and those after it that one read returns. It does not read until
/// nothing follows: a log that is written as fast as it is read has no end.
async fn catch_up<S: Storage>(
    storage: &S,
    key: LogKey,
    state: &mut State,
    winner: &Segment,
) -> Result<(), Unavailable> {
    advance(state, winner).map_err(AppendError::from)?;
    let after = state.last;
    for segment in retrying(|| storage.read(key, after, Consistency::Strong)).await?.segments {
        advance(state, &segment).map_err(AppendError::from)?;
    }
    Ok(())
}

/// Refuses events that are not allowed everywhere in a log: a control event is appended without knowing the
/// whole log.
fn check(body: &Body) -> Result<(), AppendError> {
    let depends_on_the_log = matches!(
        body,
        Body::ClarificationAnswered(_)
            | Body::ArtifactCreated(_)
            | Body::EntityExtracted(_)
            | Body::FeedbackGiven(_)
            | Body::JobFinished(_)
    );
    if !body.is_control() || depends_on_the_log {
        return Err(AppendError::Refused("not a control event".into()));
    }
    Ok(size::check_size(slice::from_ref(body))?)
}
