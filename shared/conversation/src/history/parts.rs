//! The parts of a run's answers, projected from its log.

use std::collections::BTreeMap;

use sequent_core::MessageId;
use sequent_event::{Body, Event, Seq, State};
use sequent_protocol::ui_message::{FoldedMessage, FoldedPart, MessageFold, PartState};
use sequent_runlog::{Consistency, DynamoStorage, LogKey, ReadError, Segment, Storage as _};

use super::{MessagePart, page::json_bytes, shorten::shorten};
use crate::{Error, replies::ordinal_of_exchange};

/// Bytes of the parts of one run in JSON.
const MAX_RUN_BYTES: usize = 1_000_000;

/// The parts of a run's answers, in the order in which the model wrote them.
pub(super) struct AnswerParts {
    /// The run has ended for good.
    pub(super) has_ended: bool,
    /// The run waits for answers, and its log is closed.
    pub(super) is_waiting: bool,
    /// Something is cut, because the log or the parts are too long.
    pub(super) is_shortened: bool,
    message: FoldedMessage,
    /// For each part the number of people's messages that the model had read when it wrote the part.
    told: Vec<usize>,
    state: State,
}

impl AnswerParts {
    /// Reads at most `max_pages` pages of the log. Returns `None` if there is no log, or if this build does not understand it.
    pub(super) async fn read(
        storage: &DynamoStorage,
        key: LogKey,
        max_pages: usize,
    ) -> Result<Option<Self>, Error> {
        // A log that has ended does not change, so a read that may be late is enough, unless it shows no end.
        for consistency in [Consistency::Eventual, Consistency::Strong] {
            let log = match Log::read(storage, key, max_pages, consistency).await {
                Ok(log) => log,
                Err(ReadError::Malformed(error)) => {
                    tracing::error!(run = %key.run, %error, "the log is malformed; its message is shown without parts");
                    return Ok(None);
                }
                Err(error) => return Err(error.into()),
            };
            let is_strong = consistency == Consistency::Strong;
            match Self::of(key, &log) {
                Some(parts) if parts.has_ended || is_strong => return Ok(Some(parts)),
                None if is_strong => return Ok(None),
                _ => {}
            }
        }
        Ok(None)
    }

    /// Projects a log, or its beginning. Returns `None` if it is empty or has a gap.
    pub(super) fn of(key: LogKey, log: &Log) -> Option<Self> {
        let state = State::of(&log.events).ok().filter(|state| state.last > Seq::START)?;
        let mut builder = ExchangeFinder::new(key);
        log.events.iter().for_each(|event| builder.push(event));
        let mut told = builder.told;
        let mut message = builder.fold.into_message();
        let mut is_shortened = shorten(&mut message, MAX_RUN_BYTES) || log.rest.is_some();
        while json_bytes(&message.parts) > MAX_RUN_BYTES {
            let oldest = message.parts.len().div_ceil(2);
            message.parts.drain(..oldest);
            told.drain(..oldest);
            is_shortened = true;
        }
        let has_ended = match log.rest {
            None => state.phase.is_closed() && !state.is_interrupted(),
            Some(Rest::Ended) => true,
            Some(Rest::Live) => false,
        };
        let is_waiting = log.rest.is_none() && state.is_interrupted() && !state.is_resumable();
        Some(Self { has_ended, is_waiting, is_shortened, message, told, state })
    }

    /// Returns the parts by the position of their answer in the run.
    pub(super) fn by_ordinal(self) -> BTreeMap<usize, Vec<MessagePart>> {
        let mut parts: BTreeMap<usize, Vec<MessagePart>> = BTreeMap::new();
        for (part, told) in self.message.parts.into_iter().zip(self.told) {
            if let Some(ordinal) = ordinal_of_exchange(&self.state, told) {
                parts.entry(ordinal).or_default().extend(MessagePart::of_answer(part));
            }
        }
        parts
    }

    /// Returns the message of the run in the form of the AI SDK. `text` is the text of its last answer. It is shown below what
    /// was read of a log that is too long.
    pub(super) fn into_message(mut self, text: Option<&str>) -> FoldedMessage {
        let is_cut = !self.state.phase.is_closed();
        if let Some(text) = text.filter(|_| is_cut) {
            self.message.parts.push(FoldedPart::Text {
                id: MessageId::from_bits(0),
                text: text.to_owned(),
                state: PartState::Done,
                provider_metadata: None,
            });
        }
        self.message
    }
}

/// The events that were read of a log.
pub(super) struct Log {
    pub(super) events: Vec<Event>,
    /// The part that was not read, if the log is too long.
    pub(super) rest: Option<Rest>,
}

/// The end of a log that was not read whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rest {
    Ended,
    Live,
}

impl Log {
    async fn read(
        storage: &DynamoStorage,
        key: LogKey,
        max_pages: usize,
        consistency: Consistency,
    ) -> Result<Self, ReadError> {
        let mut events: Vec<Event> = Vec::new();
        for _ in 0..max_pages {
            let after = events.last().map_or(Seq::START, |event| event.seq);
            let page = storage.read(key, after, consistency).await?;
            events.extend(page.segments.iter().flat_map(Segment::events));
            if !page.has_more {
                return Ok(Self { events, rest: None });
            }
        }
        let tail = storage.tail(key).await?;
        let has_ended = tail.is_some_and(|tail| tail.leaves_closed() && !tail.waits_for_people());
        let rest = if has_ended { Rest::Ended } else { Rest::Live };
        Ok(Self { events, rest: Some(rest) })
    }
}

/// Finds the exchange of each part.
struct ExchangeFinder {
    fold: MessageFold,
    told: Vec<usize>,
    /// The number of people's messages so far.
    prompts: usize,
    /// The number of messages that the last response has read.
    read: usize,
    /// The first part of the response that is being written.
    draft: Option<usize>,
}

impl ExchangeFinder {
    fn new(key: LogKey) -> Self {
        Self { fold: MessageFold::new(key.run), told: Vec::new(), prompts: 0, read: 1, draft: None }
    }

    fn push(&mut self, event: &Event) {
        match event.body() {
            Some(Body::UserMessage { .. }) => self.prompts += 1,
            Some(Body::UsageRecorded(usage)) if usage.is_of_response() => {
                let told = usage.messages_told.and_then(|told| usize::try_from(told).ok());
                self.read = told.unwrap_or(self.prompts);
                let draft = self.draft.take().unwrap_or(self.told.len());
                self.told[draft..].fill(self.read);
            }
            _ => {}
        }
        self.fold.push(event);
        for part in &self.fold.message().parts[self.told.len()..] {
            let is_written =
                matches!(part, FoldedPart::Text { .. } | FoldedPart::Reasoning { .. } | FoldedPart::Tool(_));
            if is_written {
                self.draft.get_or_insert(self.told.len());
            }
            let told = if self.draft.is_some() { self.prompts } else { self.read };
            self.told.push(told);
        }
    }
}
