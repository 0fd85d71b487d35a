//! Sending messages to one SQS queue.

use std::{sync::Arc, time::Duration};

use aws_sdk_sqs::{
    Client,
    types::{MessageAttributeValue, SendMessageBatchRequestEntry},
};
use sequent_core::setting::{self, InvalidSetting};

/// The number of messages in one request (SQS developer guide, "Message quotas").
const BATCH: usize = 10;

/// A message was not sent, or the outcome is unknown.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// SQS did not accept the message.
    #[error("could not reach the queue")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The queue refused this message of the request.
    #[error("the queue refused the message: {0}")]
    Refused(String),
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
}

impl Message {
    /// The limit of SQS.
    pub const LONGEST_DELAY: Duration = Duration::from_secs(900);

    /// A message with only a text.
    #[must_use]
    pub fn text(body: impl Into<String>) -> Self {
        Self { body: body.into(), ..Self::default() }
    }
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

    /// Sends texts in order, ten per request, and stops after the first request with a failure.
    ///
    /// # Errors
    /// The error, with the index of the first message that failed. Later messages of its request may have been sent.
    pub async fn send(&self, messages: &[String]) -> Result<(), (usize, Error)> {
        let messages: Vec<Message> = messages.iter().map(Message::text).collect();
        self.send_messages(&messages).await
    }

    /// Sends messages with a delay or a cause, in the same way as [`send`](Self::send).
    ///
    /// # Errors
    /// The same as [`send`](Self::send).
    pub async fn send_messages(&self, messages: &[Message]) -> Result<(), (usize, Error)> {
        for (number, batch) in messages.chunks(BATCH).enumerate() {
            self.send_batch(batch).await.map_err(|(at, error)| (number * BATCH + at, error))?;
        }
        Ok(())
    }

    async fn send_batch(&self, messages: &[Message]) -> Result<(), (usize, Error)> {
        let entry = |(at, message): (usize, &Message)| {
            let delay = message.delay.min(Message::LONGEST_DELAY);
            let seconds = delay.as_secs() + u64::from(delay.subsec_nanos() > 0);
            let cause = message.cause.as_ref().map(|cause| {
                let value = MessageAttributeValue::builder().data_type("String").string_value(cause);
                value.build().expect("the type is set")
            });
            let entry = SendMessageBatchRequestEntry::builder()
                .id(at.to_string())
                .message_body(&message.body)
                .set_delay_seconds((seconds > 0).then(|| i32::try_from(seconds).unwrap_or(0)));
            match cause {
                Some(cause) => entry.message_attributes("cause", cause),
                None => entry,
            }
            .build()
            .expect("id and body are set")
        };
        let entries = messages.iter().enumerate().map(entry).collect();
        let sent =
            self.client.send_message_batch().queue_url(&*self.url).set_entries(Some(entries)).send().await;
        let failed = sent.map_err(|error| (0, Error::Unavailable(Box::new(error))))?.failed;
        let position = |id: &str| id.parse::<usize>().unwrap_or(0);
        match failed.into_iter().min_by_key(|entry| position(&entry.id)) {
            Some(entry) => Err((position(&entry.id), Error::Refused(entry.code))),
            None => Ok(()),
        }
    }
}
