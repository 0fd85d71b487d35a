//! Control events: the events, such as a cancel, that any authorised caller may append to a run.

use std::time::Duration;

use sequent_event::{Body, Entry, Event, InvalidEvent, Seq, State};

use crate::{
    AppendError, LogKey, MAX_EVENTS, ReadError, Segment, Storage, Unavailable, WriterId,
    append::{Appended, append},
    follow::{read_all, retrying},
    size::{self, LARGEST},
};

const TOO_LARGE: &str = "the events are too large for one segment";

const PATIENCE: Duration = Duration::from_secs(10);

/// The result of [`append_control`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ControlOutcome {
    /// The event is in the log, at this position.
    Appended(Seq),
    /// The log was closed before the event could be appended.
    Closed,
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
/// If the log cannot be read or written, or the event is not allowed everywhere in an open log.
pub async fn append_control<S: Storage>(
    storage: &S,
    key: LogKey,
    body: Body,
) -> Result<ControlOutcome, Unavailable> {
    check(&body)?;
    let writer = WriterId::new();
    let batch = WriterId::new().0;
    let Some(mut tail) = read_tail(storage, key).await? else { return Ok(ControlOutcome::Missing) };
    loop {
        let cancels_a_wait = tail.waits_for_people() && matches!(body, Body::CancelRequested { .. });
        if tail.leaves_closed() && !cancels_a_wait {
            return Ok(ControlOutcome::Closed);
        }
        let segment = Segment {
            batch: batch.clone(),
            ..Segment::new(tail.last().next(), writer.clone(), 0, storage.now(), [body.clone()])
        };
        match append(storage, key, &segment, &S::Rows::default(), PATIENCE).await? {
            Appended::Stored => return Ok(ControlOutcome::Appended(segment.first)),
            // Continuing from the segment that won the position would never catch up with an owner that
            // writes as fast as we do. The tail is in the gap that an owner leaves between two writes.
            Appended::Lost(stored) => tail = read_tail(storage, key).await?.unwrap_or(*stored),
        }
    }
}

async fn read_tail<S: Storage>(storage: &S, key: LogKey) -> Result<Option<Segment>, Unavailable> {
    retrying(|| storage.tail(key)).await.map_err(unreadable)
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
/// segment was stored in the meantime, it reads and decides again. It is for control events whose meaning
/// depends on the events before them, together with the rows that repeat them.
///
/// # Errors
/// If the log cannot be read or written, or refuses the events.
pub async fn decide<S: Storage, E>(
    storage: &S,
    key: LogKey,
    decide: impl Fn(&State) -> Result<(Vec<Body>, S::Rows), E>,
) -> Result<Decision<E>, Unavailable> {
    let writer = WriterId::new();
    let batch = WriterId::new().0;
    loop {
        let segments = read_all(storage, key).await.map_err(unreadable)?;
        if segments.is_empty() {
            return Ok(Decision::Missing);
        }
        let events: Vec<Event> = segments.iter().flat_map(Segment::events).collect();
        let mut state = State::of(&events).map_err(invalid)?;
        let (bodies, rows) = match decide(&state) {
            Ok(decided) => decided,
            Err(reason) => return Ok(Decision::Refused(reason)),
        };
        let segment = Segment {
            batch: batch.clone(),
            ..Segment::new(state.next(), writer.clone(), 0, storage.now(), bodies)
        };
        let bytes: usize = segment.entries.iter().filter_map(Entry::body).map(size::of).sum();
        if bytes > LARGEST || segment.entries.len() > MAX_EVENTS {
            return Err(Unavailable(AppendError::Refused(TOO_LARGE.into())));
        }
        segment.events().try_for_each(|event| state.apply(&event)).map_err(invalid)?;
        if let Appended::Stored = append(storage, key, &segment, &rows, PATIENCE).await? {
            return Ok(Decision::Stored(Box::new(state)));
        }
    }
}

fn invalid(error: InvalidEvent) -> Unavailable {
    Unavailable(AppendError::Refused(Box::new(error)))
}

fn unreadable(error: ReadError) -> Unavailable {
    Unavailable(match error {
        ReadError::Unavailable(_) => AppendError::Busy,
        error @ ReadError::Malformed(_) => AppendError::Refused(Box::new(error)),
    })
}

/// Refuses events that are not allowed everywhere in a log: a control event is appended without knowing the
/// whole log.
fn check(body: &Body) -> Result<(), Unavailable> {
    let refused = |reason: &str| Err(Unavailable(AppendError::Refused(reason.into())));
    let depends_on_the_log = matches!(
        body,
        Body::ClarificationAnswered(_)
            | Body::ArtifactCreated(_)
            | Body::EntityExtracted(_)
            | Body::JobFinished(_)
    );
    if !body.is_control() || depends_on_the_log {
        return refused("not a control event");
    }
    if size::of(body) > LARGEST { refused(TOO_LARGE) } else { Ok(()) }
}
