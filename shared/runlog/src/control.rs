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
    let mut tail = match retrying(|| storage.tail(key)).await {
        Ok(Some(tail)) => tail,
        Ok(None) => return Ok(Control::Missing),
        Err(ReadError::Unavailable(_)) => return Err(Unavailable(AppendError::Busy)),
        Err(error @ ReadError::Malformed(_)) => {
            return Err(Unavailable(AppendError::Refused(Box::new(error))));
        }
    };
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
            // The segment that won is the new tail as far as we know. If the log has moved further, the next
            // attempt meets the segment after it: every conflict is progress.
            Appended::Lost(stored) => tail = *stored,
        }
    }
}

/// Control events are appended without knowing the whole log, so they must be able to stand anywhere in it.
fn check(body: &Body) -> Result<(), Unavailable> {
    let refused = |why: &str| Err(Unavailable(AppendError::Refused(why.into())));
    if !matches!(body, Body::CancelRequested { .. } | Body::UserMessage { .. }) {
        return refused("not a control event");
    }
    if size::of(body) > LARGEST { refused("the event is too large for a segment") } else { Ok(()) }
}
