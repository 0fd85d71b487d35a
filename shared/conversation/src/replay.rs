//! Running a run again: with the message that it was started with, in a branch beside it, and from the beginning or with
//! what it has done up to an event.

use sequent_core::RunId;
use sequent_event::{Body, Configuration, Event, Replay, SentMessage, Seq, UserContent, copies};
use sequent_runlog::{Consistency, DynamoStorage, LogKey, Segment, Storage as _};

use crate::{Error, RunOptions};

/// A run that is run again, and what the new run keeps of it.
#[derive(Debug, Clone)]
pub struct ReplayedRun {
    run: RunId,
    /// The last event that is kept.
    seq: Option<Seq>,
    copies: Vec<Body>,
}

impl ReplayedRun {
    /// Bytes of the copies that a replay begins with, and of the messages among them once more, which are rows, too. The
    /// transaction that creates a run takes 4 MB.
    pub(crate) const MAX_BYTES: usize = 3_000_000;
    /// Copies that a replay begins with. The transaction takes 100 writes, of which each has up to 64 events.
    pub(crate) const MAX_COPIES: usize = 3_000;

    /// The run from the beginning: nothing but its task is kept.
    #[must_use]
    pub fn from_start(run: RunId) -> Self {
        Self { run, seq: None, copies: Vec::new() }
    }

    /// The run with what it did in `events`, the beginning of its log. The new run asks `model`.
    ///
    /// # Errors
    /// [`Error::ReplayTooLarge`].
    pub fn after(run: RunId, events: &[Event], model: Option<&str>) -> Result<Self, Error> {
        let copies = copies(events, model);
        let replayed = Self { run, seq: events.last().map(|event| event.seq), copies };
        let bytes = replayed.bytes();
        let events = replayed.copies.len();
        let fits = bytes <= Self::MAX_BYTES && events <= Self::MAX_COPIES;
        if fits { Ok(replayed) } else { Err(Error::ReplayTooLarge { bytes, events }) }
    }

    fn bytes(&self) -> usize {
        let messages = self.copies.iter().filter(|body| matches!(body, Body::UserMessage { .. }));
        self.copies.iter().chain(messages).map(Body::encoded_bytes).sum()
    }

    /// The record of the origin in the configuration of the new run.
    pub(crate) fn origin(&self) -> Replay {
        Replay {
            run_id: self.run,
            seq: self.seq,
            copied: u64::try_from(self.copies.len()).unwrap_or(u64::MAX),
        }
    }

    /// The events that the log of the new run has after its task.
    pub(crate) fn copies(&self) -> &[Body] {
        &self.copies
    }

    /// The messages of people after the task.
    pub(crate) fn messages(&self) -> impl Iterator<Item = SentMessage> {
        self.copies.iter().filter_map(|body| match body {
            Body::UserMessage { message_id, content, .. } => {
                Some(SentMessage { id: *message_id, content: content.clone() })
            }
            _ => None,
        })
    }
}

/// The request that a run was started with.
#[derive(Debug, Clone)]
pub struct OpeningRequest {
    /// The message with the task.
    pub content: UserContent,
    /// The way in which the run works, with the limits that its caller chose: those of the plan and of the account were those
    /// of that day.
    pub options: RunOptions,
}

impl OpeningRequest {
    /// Reads the beginning of a log.
    ///
    /// # Errors
    /// [`Error::RunNotFound`], or when the log cannot be read.
    pub async fn read(storage: &DynamoStorage, key: LogKey) -> Result<Self, Error> {
        let page = storage.read(key, Seq::START, Consistency::Strong).await?;
        let mut configuration = Configuration::default();
        for event in page.segments.iter().flat_map(Segment::events) {
            match event.body() {
                Some(Body::RunConfigured(found)) => configuration = (**found).clone(),
                Some(Body::UserMessage { content, .. }) => {
                    let options = RunOptions::from(&configuration.as_requested());
                    return Ok(Self { content: content.clone(), options });
                }
                _ => {}
            }
        }
        Err(Error::RunNotFound)
    }
}
