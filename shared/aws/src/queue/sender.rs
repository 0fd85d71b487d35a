//! Sending messages to one SQS queue.

use std::{sync::Arc, time::Duration};

use aws_sdk_sqs::{
    Client,
    types::{MessageAttributeValue, SendMessageBatchRequestEntry},
};
use sequent_core::setting::{self, InvalidSetting};

/// Messages one request takes (SQS developer guide, "Message quotas").
const BATCH: usize = 10;

/// A message was not taken, or nobody knows whether it was.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The request with it failed.
    #[error("the queue cannot be reached")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The queue took others of the request, but not this one.
    #[error("the queue refused the message: {0}")]
    Refused(String),
}

/// A message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Message {
    /// Its text.
    pub body: String,
    /// How long nobody receives it: whole seconds, rounded up, at most [`Message::LONGEST_DELAY`].
    pub delay: Duration,
    /// Why it is where it is, as its attribute `cause`: for dead letters.
    pub cause: Option<String>,
}

impl Message {
    /// What SQS allows.
    pub const LONGEST_DELAY: Duration = Duration::from_secs(900);

    /// A message with nothing but a text.
    #[must_use]
    pub fn text(body: impl Into<String>) -> Self {
        Self { body: body.into(), ..Self::default() }
    }
}

/// One queue and the client to reach it. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Sender {
    client: Client,
    url: Arc<str>,
}

impl Sender {
    /// Sends to the queue at `url`.
    #[must_use]
    pub fn new(client: Client, url: impl Into<Arc<str>>) -> Self {
        Self { client, url: url.into() }
    }

    /// Sends to the queue whose address is in the environment variable `name`.
    ///
    /// # Errors
    /// [`InvalidSetting`] if the variable is missing.
    pub fn from_env(config: &aws_config::SdkConfig, name: &str) -> Result<Self, InvalidSetting> {
        Ok(Self::new(Client::new(config), setting::required(name)?))
    }

    /// Sends texts in order, ten a request, and stops at the first request of which something was not taken.
    ///
    /// # Errors
    /// Why, with the number of messages before the first that was not taken. Some behind it may have been.
    pub async fn send(&self, messages: &[String]) -> Result<(), (usize, Error)> {
        let messages: Vec<Message> = messages.iter().map(Message::text).collect();
        self.send_messages(&messages).await
    }

    /// As [`send`](Self::send), with messages that have more than a text.
    ///
    /// # Errors
    /// As [`send`](Self::send).
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
