//! Steering: a person's message to a run while it works.

use std::sync::Arc;

use sequent_core::{MessageId, UserId};
use sequent_event::{Body, Seq, State, TextMessage};
use sequent_runlog::{AppendError, Decision, DynamoStorage, LogKey, TransactionRows, Unavailable, decide};
use sequent_tables::{Label, Row, Transaction, Write, attribute, key};

use crate::{Error, Message, Prompt, Run, RunStatus, Runs, replies::prompt_ordinal};

/// Messages that a run takes while it works. The end of a run that is rolled back deletes them in one transaction, and a
/// run that must answer more of them is better cancelled.
pub const MAX_STEERING_MESSAGES: usize = 32;

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
    let said = TextMessage { id: MessageId::new(), text: prompt.into() };
    let decided = decide(storage, key, |state| {
        check(state)?;
        let message = Body::UserMessage {
            message_id: said.id,
            content: said.text.clone(),
            by: Some(by),
            model: run.model.clone(),
        };
        Ok((vec![message], rows(key, &run, state, &said)))
    });
    match decided.await {
        Ok(Decision::Stored(state)) => Ok(Steered { message: said.id, seq: state.last }),
        Ok(Decision::Refused(refusal)) => Err(refusal),
        Ok(Decision::Missing) => Err(Error::RunNotFound),
        Err(Unavailable(AppendError::RowsRefused(cancelled))) if cancelled.refused(PROJECT) => {
            Err(Error::ProjectNotFound)
        }
        Err(error) => Err(error.into()),
    }
}

fn check(state: &State) -> Result<(), Error> {
    if state.phase.is_closed() && !state.is_resumable() {
        return Err(Error::RunClosed(RunStatus::of(&state.phase)));
    }
    if state.prompts.len() > MAX_STEERING_MESSAGES { Err(Error::TooManyMessages) } else { Ok(()) }
}

/// The row of the message. A child run answers in no conversation, so its messages have no rows.
fn rows(key: LogKey, run: &Run, state: &State, said: &TextMessage) -> Option<TransactionRows> {
    if run.parent_run_id.is_some() {
        return None;
    }
    let ordinal = prompt_ordinal(state.prompts.len());
    let message = Message::of_person(run.project_id, run.id, said);
    let row = Row::new(&key::message(key.tenant, run.project_id, run.id, ordinal), &message)
        .expect("a message serialises to a map");
    let project = key::project(key.tenant, run.project_id);
    Some(Arc::new(move |transaction: Transaction| {
        let is_kept = Write::require(&project).when(attribute("deleting").is_absent());
        transaction.write(is_kept).label(PROJECT).write(Write::put(row.clone()))
    }))
}

#[cfg(test)]
mod tests;
