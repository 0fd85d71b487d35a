//! Control events: what anyone authorised may append to a run, such as a cancel.

use std::time::Duration;

use sequent_event::{Body, Entry, Seq};

use crate::{
    AppendError, LogKey, ReadError, Segment, Storage, Unavailable, WriterId,
    append::{Appended, append},
    follow::retrying,
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
        if tail.is_terminal() {
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
    retrying(|| storage.tail(key)).await.map_err(|error| {
        Unavailable(match error {
            ReadError::Unavailable(_) => AppendError::Busy,
            error @ ReadError::Malformed(_) => AppendError::Refused(Box::new(error)),
        })
    })
}

/// Control events are appended without knowing the whole log, so they must be able to stand anywhere in it.
fn check(body: &Body) -> Result<(), Unavailable> {
    let refused = |why: &str| Err(Unavailable(AppendError::Refused(why.into())));
    if !matches!(body, Body::CancelRequested { .. } | Body::UserMessage { .. }) {
        return refused("not a control event");
    }
    if size::of(body) > LARGEST { refused("the event is too large for a segment") } else { Ok(()) }
}
