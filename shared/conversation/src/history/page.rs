//! The rows of a page, run by run, and the messages that are made of them.

use std::{collections::BTreeMap, io, pin::Pin};

use futures::{Stream, StreamExt};
use sequent_core::RunId;
use sequent_tables::{Item, Key, Page, decode, key};
use serde::Serialize;

use super::{AnswerParts, MessagePart, ShownMessage};
use crate::{Error, Message, MessageRole, branch::Siblings};

/// A kind of message that is made of the rows and the log of a run.
pub(super) trait Built: Serialize {
    /// Returns `true` if the log is needed for these rows.
    fn needs_log(rows: &ExchangeRows) -> bool;
}

/// Consecutive rows of one run.
#[derive(Debug)]
pub(super) struct ExchangeRows {
    pub(super) run: RunId,
    /// The runs that continue the same one, this one included. None if there is no other.
    pub(super) siblings: Vec<RunId>,
    /// The key of the last row.
    last: Key,
    /// The messages with their positions in the run.
    pub(super) rows: Vec<(usize, Message)>,
}

/// Groups the rows by their runs.
pub(super) fn exchanges_of(items: Vec<Item>, siblings: &Siblings) -> Result<Vec<ExchangeRows>, Error> {
    let mut runs: Vec<ExchangeRows> = Vec::new();
    for item in items {
        let Some(last) = Key::of_item(&item) else { continue };
        let message: Message = decode(item)?;
        let run = message.run_id;
        let lineage = message.lineage;
        let ordinal = key::parse_message(&last).map(|(.., ordinal)| ordinal);
        let row = (ordinal.unwrap_or_default(), message);
        match runs.last_mut().filter(|exchange| exchange.run == run) {
            Some(exchange) => {
                exchange.rows.push(row);
                exchange.last = last;
            }
            None => {
                let siblings = siblings.of(lineage);
                runs.push(ExchangeRows { run, siblings, last, rows: vec![row] });
            }
        }
    }
    Ok(runs)
}

/// Collects messages up to `max_bytes` of JSON. The page ends before the first run whose messages are too many, but has at
/// least one run.
pub(super) async fn fitting<M: Serialize>(
    rows: Page<Item>,
    mut built: Pin<Box<impl Stream<Item = Result<(Vec<M>, ExchangeRows), Error>>>>,
    max_bytes: usize,
) -> Result<Page<M>, Error> {
    let mut bytes = 0;
    let mut last: Option<Key> = None;
    let mut messages = Vec::new();
    while let Some(next) = built.next().await {
        let (mut of_run, run) = next?;
        bytes += json_bytes(&of_run);
        if let Some(last) = last.as_ref().filter(|_| bytes > max_bytes) {
            return Ok(rows.with_items(messages).ending_with(last));
        }
        messages.append(&mut of_run);
        last = Some(run.last);
    }
    Ok(rows.with_items(messages))
}

/// Returns the size of a value in JSON.
pub(super) fn json_bytes(value: &impl Serialize) -> usize {
    struct Count(usize);

    impl io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    let mut count = Count(0);
    // What cannot be written is reported when the response is.
    let _ = serde_json::to_writer(&mut count, value);
    count.0
}

impl Built for ShownMessage {
    /// Messages of people are complete in their rows.
    fn needs_log(rows: &ExchangeRows) -> bool {
        rows.rows.iter().any(|(_, message)| message.role == MessageRole::Assistant)
    }
}

/// Makes the messages of the rows.
pub(super) fn shown(rows: &ExchangeRows, parts: Option<AnswerParts>) -> Vec<ShownMessage> {
    let is_shortened = parts.as_ref().is_some_and(|parts| parts.is_shortened);
    let mut by_ordinal: BTreeMap<usize, Vec<MessagePart>> =
        parts.map(AnswerParts::by_ordinal).unwrap_or_default();
    let message = |(ordinal, message): &(usize, Message)| match message.role {
        MessageRole::User => ShownMessage::of_person(message),
        MessageRole::Assistant => {
            let parts = by_ordinal.remove(ordinal).unwrap_or_default();
            ShownMessage::of_answer(message, parts, is_shortened)
        }
    };
    let with_siblings = |message| ShownMessage { siblings: rows.siblings.clone(), ..message };
    rows.rows.iter().map(message).map(with_siblings).collect()
}
