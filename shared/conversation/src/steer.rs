//! Steering: a person's message to a run while it works.

use std::sync::Arc;

use sequent_core::{MessageId, UserId};
use sequent_event::{Body, SentMessage, Seq, State};
use sequent_runlog::{
    AppendError, Decision, DynamoStorage, LogKey, Storage as _, TransactionRows, Unavailable, append_after,
    decide,
};
use sequent_tables::{
    Key, Label, PageRequest, Row, Transaction, Write, attribute, attributes::DELETING, key,
};

use crate::{
    Error, Message, Prompt, Run, RunStatus, Runs,
    replies::{prompt_ordinal, prompts_up_to},
};

/// Messages that a run takes while it works. The end of a run that is rolled back deletes them in one transaction, and a
/// run that must answer more of them is better cancelled.
pub const MAX_STEERING_MESSAGES: usize = 32;

/// Attempts to store a message at the end of a log that its owner writes to.
const TAIL_ATTEMPTS: u32 = 3;

const PROJECT: Label = Label::new("project");

/// A steering message that is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Steered {
    /// Id of the message.
    pub message: MessageId,
    /// The position of the message in the run's log.
    pub seq: Seq,
}

/// Sends a message to a run that works. The message is stored in the log and, in the same transaction, in the
/// conversation: the end of the run need not know how many there were.
///
/// # Errors
/// [`Error::RunClosed`] if the run has ended or waits for answers, [`Error::TooManyMessages`], [`Error::RunNotFound`],
/// [`Error::ProjectNotFound`], or when the table or the log fails.
pub async fn steer(
    storage: &DynamoStorage,
    key: LogKey,
    by: UserId,
    prompt: Prompt,
) -> Result<Steered, Error> {
    let run = Runs::new(storage.store(), key.tenant).get(key.run).await?;
    let steering = Steering {
        storage,
        key,
        by,
        said: SentMessage { id: MessageId::new(), content: prompt.into() },
        run,
    };
    for _ in 0..TAIL_ATTEMPTS {
        match steering.append_to_tail().await? {
            TailAppend::Stored(steered) => return Ok(steered),
            TailAppend::Lost => {}
            TailAppend::Unknown => break,
        }
    }
    steering.decide().await
}

/// A message that is to be stored.
struct Steering<'a> {
    storage: &'a DynamoStorage,
    key: LogKey,
    by: UserId,
    said: SentMessage,
    run: Run,
}

/// The result of an attempt to store a message without reading the whole log.
enum TailAppend {
    Stored(Steered),
    /// Another segment was stored first.
    Lost,
    /// The end of the log does not tell whether the run takes a message.
    Unknown,
}

impl Steering<'_> {
    /// Stores the message after the last segment, if that is one of a run at work: its owner wrote it and did not close the
    /// log. The number of earlier messages is in the key of the last one, whose row is stored with its event.
    async fn append_to_tail(&self) -> Result<TailAppend, Error> {
        let tail = self.storage.tail(self.key).await?;
        let Some(tail) = tail.filter(|tail| tail.epoch > 0 && !tail.leaves_closed()) else {
            return Ok(TailAppend::Unknown);
        };
        let Some(earlier) = self.earlier().await? else { return Ok(TailAppend::Unknown) };
        check_number(earlier)?;
        let rows = self.rows(earlier);
        let appended = append_after(self.storage, self.key, &tail, self.event(), &rows).await;
        Ok(match appended.map_err(refusal)? {
            Some(seq) => TailAppend::Stored(self.steered(seq)),
            None => TailAppend::Lost,
        })
    }

    /// The number of people's messages in the run. Returns `None` if the rows do not tell it.
    async fn earlier(&self) -> Result<Option<usize>, Error> {
        let LogKey { tenant, run } = self.key;
        let prefix = key::message_prefix(self.run.lineage.depth, run);
        let end = format!("{prefix}~");
        let request = PageRequest::new(key::messages(tenant, self.run.project_id)).after(end).limit(Some(1));
        let page = self.storage.store().page_items(&request).await?;
        let last = page.items.first().and_then(Key::of_item);
        let last = last.filter(|key| key.sk().starts_with(&prefix));
        let ordinal = last.and_then(|key| key::parse_message(&key)).map(|(.., ordinal)| ordinal);
        Ok(ordinal.and_then(prompts_up_to))
    }

    /// Stores the message after the whole log was read.
    async fn decide(&self) -> Result<Steered, Error> {
        let decided = decide(self.storage, self.key, |state| {
            check(state)?;
            Ok((vec![self.event()], self.rows(state.prompts.len())))
        });
        match decided.await.map_err(refusal)? {
            Decision::Stored(state) => Ok(self.steered(state.last)),
            Decision::Refused(refusal) => Err(refusal),
            Decision::Missing => Err(Error::RunNotFound),
        }
    }

    fn event(&self) -> Body {
        Body::UserMessage {
            message_id: self.said.id,
            content: self.said.content.clone(),
            by: Some(self.by),
            model: self.run.model.clone(),
        }
    }

    /// The row of the message, which comes after `earlier` others. A child run answers in no conversation, so its messages
    /// have no rows.
    fn rows(&self, earlier: usize) -> Option<TransactionRows> {
        self.run.parent_run_id.is_none().then(|| rows(self.key, &self.run, earlier, &self.said))
    }

    fn steered(&self, seq: Seq) -> Steered {
        Steered { message: self.said.id, seq }
    }
}

fn refusal(error: Unavailable) -> Error {
    match error {
        Unavailable(AppendError::RowsRefused(cancelled)) if cancelled.refused(PROJECT) => {
            Error::ProjectNotFound
        }
        error => error.into(),
    }
}

fn check(state: &State) -> Result<(), Error> {
    if state.phase.is_closed() && !state.is_resumable() {
        return Err(Error::RunClosed(RunStatus::of(&state.phase)));
    }
    check_number(state.prompts.len())
}

fn check_number(prompts: usize) -> Result<(), Error> {
    if prompts > MAX_STEERING_MESSAGES { Err(Error::TooManyMessages) } else { Ok(()) }
}

fn rows(key: LogKey, run: &Run, earlier: usize, said: &SentMessage) -> TransactionRows {
    let ordinal = prompt_ordinal(earlier);
    let message = Message::of_person(run, said);
    let place = key::message(key.tenant, run.project_id, run.lineage.depth, run.id, ordinal);
    let row = Row::new(&place, &message).expect("a message serialises to a map");
    let project = key::project(key.tenant, run.project_id);
    Arc::new(move |transaction: Transaction| {
        let is_kept = Write::require(&project).when(attribute(DELETING).is_absent());
        transaction.write(is_kept).label(PROJECT).write(Write::put(row.clone()))
    })
}

#[cfg(test)]
mod tests;
