//! Sending messages to one SQS queue.

use std::{sync::Arc, time::Duration};

use aws_sdk_sqs::{
    Client,
    types::{MessageAttributeValue, SendMessageBatchRequestEntry},
};
use sequent_core::{
    TenantId,
    setting::{self, InvalidSetting},
};

/// The number of messages in one request (SQS developer guide, "Message quotas").
const BATCH: usize = 10;
/// Bytes of a message, and of all messages of a request together. SQS allows 1 MiB since 2025, and 256 KiB before.
const LARGEST: usize = 256 * 1024;
/// Bytes of a dead letter's text, and of its reason. Together they fit a message.
const LONGEST_DEAD_TEXT: usize = 200_000;
const LONGEST_CAUSE: usize = 8_000;
/// The name of the attribute with the reason of a dead letter.
const CAUSE: &str = "cause";

/// A message was not sent, or the outcome is unknown.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// SQS did not accept the message.
    #[error("could not reach the queue")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The queue refused this message of the request for a moment.
    #[error("the queue refused the message: {0}")]
    Refused(String),
    /// The queue refuses this message whenever it is sent.
    #[error("the queue never accepts the message: {0}")]
    Unsendable(String),
}

/// A message to be sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Message {
    /// The text of the message.
    pub body: String,
    /// The time before it is delivered: whole seconds, rounded up, at most [`Message::LONGEST_DELAY`].
    pub delay: Duration,
    /// The reason of a dead letter, sent as the attribute `cause`.
    pub cause: Option<String>,
    /// The tenant whose work the message asks for. While one tenant takes more than its share of the workers, SQS delivers
    /// the messages of the others first (SQS developer guide, "Amazon SQS fair queues").
    pub tenant: Option<TenantId>,
}

impl Message {
    /// The limit of SQS.
    pub const LONGEST_DELAY: Duration = Duration::from_secs(900);

    /// A message that asks for work of a tenant.
    #[must_use]
    pub fn new(tenant: TenantId, body: impl Into<String>) -> Self {
        Self { body: body.into(), tenant: Some(tenant), ..Self::default() }
    }

    /// A message that a queue accepts whatever the texts are: characters that SQS does not allow are replaced, and what is
    /// too long is cut.
    #[must_use]
    pub fn dead_letter(body: &str, cause: &str) -> Self {
        let body = allowed(body, LONGEST_DEAD_TEXT);
        Self {
            body: if body.is_empty() { "(empty)".to_owned() } else { body },
            delay: Duration::ZERO,
            cause: Some(allowed(cause, LONGEST_CAUSE)).filter(|cause| !cause.is_empty()),
            tenant: None,
        }
    }

    /// The bytes that count for the limit: text and attributes with their names and types.
    fn bytes(&self) -> usize {
        let cause = self.cause.as_ref().map_or(0, |cause| CAUSE.len() + "String".len() + cause.len());
        self.body.len() + cause
    }

    fn entry(&self, at: usize) -> SendMessageBatchRequestEntry {
        let delay = self.delay.min(Self::LONGEST_DELAY);
        let seconds = delay.as_secs() + u64::from(delay.subsec_nanos() > 0);
        let entry = SendMessageBatchRequestEntry::builder()
            .id(at.to_string())
            .message_body(&self.body)
            .set_message_group_id(self.tenant.map(|tenant| tenant.to_string()))
            .set_delay_seconds((seconds > 0).then(|| i32::try_from(seconds).unwrap_or(0)));
        let entry = match &self.cause {
            Some(cause) => {
                let value = MessageAttributeValue::builder().data_type("String").string_value(cause);
                entry.message_attributes(CAUSE, value.build().expect("the type is set"))
            }
            None => entry,
        };
        entry.build().expect("id and body are set")
    }
}

/// Replaces the characters that are not of XML 1.0 (`SendMessage`, "MessageBody"), and cuts the text.
fn allowed(text: &str, longest: usize) -> String {
    let is_allowed = |c: char| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{D7FF}' | '\u{E000}'..='\u{FFFD}' | '\u{10000}'..='\u{10FFFF}');
    let cut = &text[..text.floor_char_boundary(longest)];
    let mut text: String = cut.chars().map(|c| if is_allowed(c) { c } else { '\u{FFFD}' }).collect();
    text.truncate(text.floor_char_boundary(longest));
    text
}

/// A queue, with the client that sends to it. It is cheap to clone.
#[derive(Debug, Clone)]
pub struct Sender {
    client: Client,
    url: Arc<str>,
}

impl Sender {
    /// The queue at `url`.
    #[must_use]
    pub fn new(client: Client, url: impl Into<Arc<str>>) -> Self {
        Self { client, url: url.into() }
    }

    /// The queue whose address is in the environment variable `name`.
    ///
    /// # Errors
    /// [`InvalidSetting`] if the variable is missing.
    pub fn from_env(config: &aws_config::SdkConfig, name: &str) -> Result<Self, InvalidSetting> {
        Ok(Self::new(Client::new(config), setting::required(name)?))
    }

    /// Sends messages in order, in requests as large as SQS allows, and stops after the first request with a failure.
    ///
    /// # Errors
    /// The error, with the index of the first message that failed. Later messages of its request may have been sent.
    pub async fn send(&self, messages: &[Message]) -> Result<(), (usize, Error)> {
        let mut sent = 0;
        while sent < messages.len() {
            let batch = &messages[sent..sent + next_batch(&messages[sent..])];
            self.send_batch(batch).await.map_err(|(at, error)| (sent + at, error))?;
            sent += batch.len();
        }
        Ok(())
    }

    async fn send_batch(&self, messages: &[Message]) -> Result<(), (usize, Error)> {
        if let [message] = messages
            && message.bytes() > LARGEST
        {
            let bytes = message.bytes();
            return Err((0, Error::Unsendable(format!("it has {bytes} bytes, and {LARGEST} are allowed"))));
        }
        let entries = messages.iter().enumerate().map(|(at, message)| message.entry(at)).collect();
        let sent =
            self.client.send_message_batch().queue_url(&*self.url).set_entries(Some(entries)).send().await;
        let failed = sent.map_err(|error| (0, Error::Unavailable(Box::new(error))))?.failed;
        let position = |id: &str| id.parse::<usize>().unwrap_or(0);
        match failed.into_iter().min_by_key(|entry| position(&entry.id)) {
            Some(entry) if entry.sender_fault => Err((position(&entry.id), Error::Unsendable(entry.code))),
            Some(entry) => Err((position(&entry.id), Error::Refused(entry.code))),
            None => Ok(()),
        }
    }
}

/// Returns the number of messages of the next request, at least one.
fn next_batch(messages: &[Message]) -> usize {
    let mut bytes = 0;
    let fits = messages.iter().take(BATCH).take_while(|message| {
        bytes += message.bytes();
        bytes <= LARGEST
    });
    fits.count().max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(body: String) -> Message {
        Message { body, ..Message::default() }
    }

    #[test]
    fn a_request_has_ten_messages_and_256_kib_at_most() {
        let sizes =
            |bytes: &[usize]| bytes.iter().map(|bytes| message("x".repeat(*bytes))).collect::<Vec<_>>();
        assert_eq!(next_batch(&sizes(&[1; 25])), 10);
        assert_eq!(next_batch(&sizes(&[100_000; 4])), 2);
        assert_eq!(next_batch(&sizes(&[LARGEST, 1])), 1);
        assert_eq!(next_batch(&sizes(&[LARGEST + 1, 1])), 1, "it is refused alone");
    }

    #[test]
    fn a_dead_letter_is_always_accepted() {
        for (body, cause) in [
            ("", ""),
            ("a\u{1}b\u{FFFF}\n", "\u{0}\u{1b}[31m"),
            (&*"\u{1}".repeat(300_000), &*"語".repeat(9_000)),
        ] {
            let dead = Message::dead_letter(body, cause);
            assert!(!dead.body.is_empty() && dead.bytes() <= LARGEST);
            let text = dead.body + &dead.cause.unwrap_or_default();
            assert!(text.chars().all(|c| !c.is_control() || c == '\n'), "control characters are replaced");
        }
        assert_eq!(Message::dead_letter("a\u{1}b", "c").body, "a\u{FFFD}b");
    }
}
