//! The HTTP client of deliveries: guarded, bounded in time, and without redirects.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use http::{HeaderMap, StatusCode, header::CONTENT_TYPE, header::RETRY_AFTER};
use reqwest::{Client, Response};
use sequent_core::{EventId, Timestamp};
use sequent_tool::{Guard, guard::Refusal};
use tokio::time::Instant;

use crate::{
    DeliveryAttempt,
    signature::{self, SigningSecret},
};

/// The longest time of an attempt, from the look-up of the name to the end of the answer.
pub const TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes of an answer that are read.
const READ: usize = 2048;
/// Characters of an answer that are kept.
const SHOWN: usize = 500;

/// Sends deliveries. Cheap to clone.
#[derive(Clone)]
pub struct WebhookClient {
    guard: Guard,
    client: Arc<OnceLock<Client>>,
    timeout: Duration,
}

/// A request to send and to sign.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SignedRequest<'a> {
    pub(crate) url: &'a str,
    pub(crate) id: EventId,
    pub(crate) body: &'a str,
    pub(crate) secrets: &'a [SigningSecret],
}

/// The result of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AttemptResult {
    pub(crate) attempt: DeliveryAttempt,
    pub(crate) answer: ReceiverAnswer,
}

/// The meaning of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReceiverAnswer {
    Accepted,
    /// The receiver wants no more events.
    Gone,
    /// Anything else, with the pause that the receiver asks for.
    Failed {
        retry_after: Option<Duration>,
    },
}

impl WebhookClient {
    /// A client that connects to the addresses that `guard` allows.
    #[must_use]
    pub fn new(guard: Guard) -> Self {
        Self { guard, client: Arc::default(), timeout: TIMEOUT }
    }

    /// Changes the longest time of an attempt, for tests.
    #[must_use]
    pub fn with_timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// The longest time of an attempt.
    pub(crate) const fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Makes an attempt at `now`.
    pub(crate) async fn send(&self, message: SignedRequest<'_>, now: Timestamp) -> AttemptResult {
        // Made before the time runs: it reads the system's certificates, which takes a while.
        let client = self.client();
        let start = Instant::now();
        let answered = tokio::time::timeout(self.timeout, self.request(client, message, now)).await;
        let duration_ms = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
        let attempt = DeliveryAttempt { at: now, duration_ms, status: None, error: None, response: None };
        let failed = |error: String| AttemptResult {
            attempt: DeliveryAttempt { error: Some(error), ..attempt.clone() },
            answer: ReceiverAnswer::Failed { retry_after: None },
        };
        match answered {
            Ok(Ok((status, headers, response))) => AttemptResult {
                answer: meaning(status, &headers),
                attempt: DeliveryAttempt {
                    status: Some(status.as_u16()),
                    error: refusal(status),
                    response: Some(response).filter(|text| !text.is_empty()),
                    ..attempt
                },
            },
            Ok(Err(why)) => failed(why),
            Err(_) => failed(format!("The receiver did not answer within {} s.", self.timeout.as_secs_f32())),
        }
    }

    async fn request(
        &self,
        client: Result<&Client, reqwest::Error>,
        message: SignedRequest<'_>,
        now: Timestamp,
    ) -> Result<(StatusCode, HeaderMap, String), String> {
        let SignedRequest { url, id, body, secrets } = message;
        // The URL was admitted when it was set. The rules or the exceptions may have changed since.
        let admitted = self.guard.admit(url).map_err(|refusal| sentence(&refusal))?;
        let client = client.map_err(|error| {
            tracing::error!(%error, "could not create the HTTP client of webhooks; deliveries are retried");
            "The request could not be sent.".to_owned()
        })?;
        let mut request = client.post(admitted.url().clone()).header(CONTENT_TYPE, "application/json");
        for (name, value) in signature::headers(&id.to_string(), now, body.as_bytes(), secrets) {
            request = request.header(name, value);
        }
        let response = request.body(body.to_owned()).send().await.map_err(|error| reason(&error))?;
        let status = response.status();
        let headers = response.headers().clone();
        Ok((status, headers, beginning(response).await))
    }

    fn client(&self) -> Result<&Client, reqwest::Error> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let client = self.guard.client(concat!("sequent-webhooks/", env!("CARGO_PKG_VERSION"))).build()?;
        Ok(self.client.get_or_init(|| client))
    }
}

/// Returns the beginning of an answer as text. An answer that breaks off is the answer as far as it came: its status counts.
async fn beginning(mut response: Response) -> String {
    let mut bytes = Vec::new();
    while bytes.len() < READ
        && let Ok(Some(piece)) = response.chunk().await
    {
        bytes.extend_from_slice(&piece[..piece.len().min(READ - bytes.len())]);
    }
    String::from_utf8_lossy(&bytes).chars().filter(|character| *character != '\0').take(SHOWN).collect()
}

fn meaning(status: StatusCode, headers: &HeaderMap) -> ReceiverAnswer {
    if status.is_success() {
        return ReceiverAnswer::Accepted;
    }
    if status == StatusCode::GONE {
        return ReceiverAnswer::Gone;
    }
    let seconds = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
    ReceiverAnswer::Failed { retry_after: seconds.map(Duration::from_secs) }
}

/// Returns the reason for which an answer with this status is no success.
fn refusal(status: StatusCode) -> Option<String> {
    match status {
        status if status.is_success() => None,
        status if status.is_redirection() => Some(
            "The receiver redirects, which is not followed. Change the address of the webhook.".to_owned(),
        ),
        StatusCode::GONE => Some("The receiver wants no more events.".to_owned()),
        status => Some(format!("The receiver answered with status {}.", status.as_u16())),
    }
}

/// Returns the reason for which there is no answer. It does not reveal the addresses of a name.
fn reason(error: &reqwest::Error) -> String {
    if let Some(refusal) = Refusal::in_error(error) {
        return sentence(refusal);
    }
    if error.is_connect() {
        "The receiver could not be connected to, or its certificate is not valid.".to_owned()
    } else {
        "The connection was lost before the receiver answered.".to_owned()
    }
}

fn sentence(refusal: &Refusal) -> String {
    format!("Nothing was sent: {refusal}.")
}

impl std::fmt::Debug for WebhookClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WebhookClient").field("guard", &self.guard).finish_non_exhaustive()
    }
}
