//! Running a run again: with the message that it was started with, in a branch beside it.

use sequent_event::{Body, Event, Seq, UserContent};
use sequent_runlog::{Consistency, DynamoStorage, LogKey, Segment, Storage as _};

use crate::Error;

/// Reads the message that a run was started with.
///
/// # Errors
/// [`Error::RunNotFound`], or when the log cannot be read.
pub async fn opening_message(storage: &DynamoStorage, key: LogKey) -> Result<UserContent, Error> {
    let page = storage.read(key, Seq::START, Consistency::Strong).await?;
    let mut events = page.segments.iter().flat_map(Segment::events);
    events.find_map(|event| content(&event)).ok_or(Error::RunNotFound)
}

fn content(event: &Event) -> Option<UserContent> {
    match event.body()? {
        Body::UserMessage { content, .. } => Some(content.clone()),
        _ => None,
    }
}
