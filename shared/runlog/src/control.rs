//! Control events: what anyone authorised may append to a run, such as a cancel.

use std::time::Duration;

use sequent_event::{Body, Entry, Event, Invalid, Seq, State};

use crate::{
    AppendError, LogKey, MAX_EVENTS, ReadError, Segment, Storage, Unavailable, WriterId,
    append::{Appended, append},
    follow::{read_all, retrying},
    size::{self, LARGEST},
};

const PATIENCE: Duration = Duration::from_secs(10);

/// What became of a control event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Control {
    /// It stands in the log at this position.
    Appended(Seq),
    /// The log was closed before it could be appended.
    Closed,
    /// There is no such log.
    Missing,
}

/// Appends `body` to an open log, after whatever stands there by then. The owner meets it at its next write or its
/// next look at the tail.
///
/// The caller may repeat it after an error, but then the event may stand twice: [`AppendError::Ambiguous`] says that
/// the outcome is unknown.
///
/// # Errors
/// When the log cannot be read or written, or the event is not one that may stand anywhere in an open log.
pub async fn control<S: Storage>(storage: &S, key: LogKey, body: Body) -> Result<Control, Unavailable> {
    check(&body)?;
    let writer = WriterId::new();
    let batch = WriterId::new().0;
    let Some(mut tail) = look(storage, key).await? else { return Ok(Control::Missing) };
    loop {
        let cancels_a_wait = tail.waits_for_people() && matches!(body, Body::CancelRequested { .. });
        if tail.leaves_closed() && !cancels_a_wait {
            return Ok(Control::Closed);
        }
        let at = storage.now();
        let segment = Segment {
            first: tail.last().next(),
            writer: writer.clone(),
            batch: batch.clone(),
            epoch: 0,
            at,
            entries: vec![Entry::new(at, body.clone())],
        };
        match append(storage, key, &segment, &S::Companions::default(), PATIENCE).await? {
            Appended::Stored => return Ok(Control::Appended(segment.first)),
            // Walking on from the segment that won would stay behind an owner that writes as fast as we do; looking
            // at the tail lands in the gap an owner leaves between two writes.
            Appended::Lost(stored) => tail = look(storage, key).await?.unwrap_or(*stored),
        }
    }
}

async fn look<S: Storage>(storage: &S, key: LogKey) -> Result<Option<Segment>, Unavailable> {
    retrying(|| storage.tail(key)).await.map_err(unreadable)
}

/// What became of a decision.
#[derive(Debug)]
pub enum Decided<E> {
    /// What was decided on stands in the log, which is now in this state.
    Stored(Box<State>),
    /// The log as it stands does not allow it.
    Refused(E),
    /// There is no such log.
    Missing,
}

/// Appends what `decide` makes of the whole log, exactly behind what it has read: if anything was stored meanwhile, it
/// decides again. For control events whose meaning depends on what stands before them, with rows that repeat them.
///
/// # Errors
/// When the log cannot be read or written, or refuses the events.
pub async fn decide<S: Storage, E>(
    storage: &S,
    key: LogKey,
    decide: impl Fn(&State) -> Result<(Vec<Body>, S::Companions), E>,
) -> Result<Decided<E>, Unavailable> {
    let writer = WriterId::new();
    let batch = WriterId::new().0;
    loop {
        let segments = read_all(storage, key).await.map_err(unreadable)?;
        if segments.is_empty() {
            return Ok(Decided::Missing);
        }
        let events: Vec<Event> = segments.iter().flat_map(Segment::events).collect();
        let mut state = State::of(&events).map_err(invalid)?;
        let (bodies, companions) = match decide(&state) {
            Ok(decided) => decided,
            Err(why) => return Ok(Decided::Refused(why)),
        };
        let at = storage.now();
        let segment = Segment {
            first: state.next(),
            writer: writer.clone(),
            batch: batch.clone(),
            epoch: 0,
            at,
            entries: bodies.into_iter().map(|body| Entry::new(at, body)).collect(),
        };
        let bytes: usize = segment.entries.iter().filter_map(Entry::body).map(size::of).sum();
        if bytes > LARGEST || segment.entries.len() > MAX_EVENTS {
            return Err(Unavailable(AppendError::Refused("the events do not fit a segment".into())));
        }
        segment.events().try_for_each(|event| state.apply(&event)).map_err(invalid)?;
        if let Appended::Stored = append(storage, key, &segment, &companions, PATIENCE).await? {
            return Ok(Decided::Stored(Box::new(state)));
        }
    }
}

fn invalid(error: Invalid) -> Unavailable {
    Unavailable(AppendError::Refused(Box::new(error)))
}

fn unreadable(error: ReadError) -> Unavailable {
    Unavailable(match error {
        ReadError::Unavailable(_) => AppendError::Busy,
        error @ ReadError::Malformed(_) => AppendError::Refused(Box::new(error)),
    })
}

/// Control events are appended without knowing the whole log, so they must be able to stand anywhere in it.
fn check(body: &Body) -> Result<(), Unavailable> {
    let refused = |why: &str| Err(Unavailable(AppendError::Refused(why.into())));
    let depends = matches!(
        body,
        Body::ClarificationAnswered(_)
            | Body::ArtifactCreated(_)
            | Body::EntityExtracted(_)
            | Body::JobFinished(_)
    );
    if !body.is_control() || depends {
        return refused("not a control event");
    }
    if size::of(body) > LARGEST { refused("the event is too large for a segment") } else { Ok(()) }
}
