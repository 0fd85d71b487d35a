//! Notifications of server faults for operators, to a webhook, an SNS topic, or both.
//!
//! A notification never fails a request, and delays it by at most [`TIMEOUT`]. It is awaited, because Lambda freezes the
//! process after the response. An instance sends at most one notification per code in [`INTERVAL`].

use std::{
    collections::HashMap,
    sync::{Mutex, OnceLock, PoisonError},
    time::{Duration, Instant},
};

use aws_smithy_http_client::{Connector, tls};
use aws_smithy_runtime_api::client::http::HttpConnector as _;
use aws_smithy_types::body::SdkBody;
use sequent_telemetry::redact;
use serde::Serialize;

/// The maximum time of a notification.
pub const TIMEOUT: Duration = Duration::from_secs(2);

/// The minimum time between two notifications of one code.
pub const INTERVAL: Duration = Duration::from_secs(300);

/// Bytes of the cause at most. SNS refuses messages above 256 KB, and chat services much shorter ones. The log has the rest.
const MAX_CAUSE: usize = 2_000;

/// The receivers, from `NOTIFY_WEBHOOK_URL` and `NOTIFY_TOPIC_ARN`. Operators set them, never users.
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// The address that receives a POST with JSON. It may be a secret, as with chat services.
    pub webhook: Option<secrecy::SecretString>,
    /// The SNS topic that receives the same JSON.
    pub topic: Option<String>,
}

impl Config {
    /// Reads the settings from the environment.
    #[must_use]
    pub fn from_env() -> Self {
        let read = |name| std::env::var(name).ok().filter(|text: &String| !text.trim().is_empty());
        Self { webhook: read("NOTIFY_WEBHOOK_URL").map(Into::into), topic: read("NOTIFY_TOPIC_ARN") }
    }
}

/// The content of a notification. It contains names, not input.
#[expect(missing_docs, reason = "plain data")]
#[derive(Debug, Clone, Serialize)]
pub struct Incident<'a> {
    pub function: &'a str,
    pub code: &'a str,
    pub status: u16,
    /// The method and the route template.
    pub route: &'a str,
    pub request_id: &'a str,
    /// The source of the problem, redacted and cut.
    pub cause: &'a str,
}

/// Sends notifications. Its clients are created with the first one.
#[derive(Debug, Default)]
pub struct Notifier {
    config: Config,
    sent: Mutex<HashMap<String, Instant>>,
    http: OnceLock<Connector>,
    sns: OnceLock<aws_sdk_sns::Client>,
}

impl Notifier {
    /// A notifier that has connected to nothing.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self { config, ..Self::default() }
    }

    /// Notifies operators, unless there was a notification of this code within [`INTERVAL`].
    pub async fn notify(&self, incident: &Incident<'_>) {
        if (self.config.webhook.is_none() && self.config.topic.is_none()) || !self.is_due(incident.code) {
            return;
        }
        let summary = format!("{} {} in {}", incident.status, incident.code, incident.function);
        let cause = redact::scrub(incident.cause);
        let cause = &cause[..cause.floor_char_boundary(MAX_CAUSE)];
        let body = serde_json::json!({
            "text": format!("{summary} ({}, request {})", incident.route, incident.request_id), // what chat services show
            "incident": Incident { cause, ..incident.clone() },
        })
        .to_string();
        let both = futures::future::join(self.post(&body), self.publish(&summary, &body));
        if tokio::time::timeout(TIMEOUT, both).await.is_err() {
            tracing::warn!("a notification timed out; operators may have missed it");
        }
    }

    fn is_due(&self, code: &str) -> bool {
        let mut sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        sent.retain(|_, at| at.elapsed() < INTERVAL);
        if sent.contains_key(code) {
            return false;
        }
        sent.insert(code.to_owned(), Instant::now());
        true
    }

    async fn post(&self, body: &str) {
        use secrecy::ExposeSecret as _;

        let Some(url) = &self.config.webhook else { return };
        let request = http::Request::post(url.expose_secret())
            .header("content-type", "application/json")
            .body(SdkBody::from(body));
        let connector = self.http.get_or_init(|| connector(url.expose_secret().starts_with("http://")));
        let sent = match request.map(TryInto::try_into) {
            Ok(Ok(request)) => connector.call(request).await,
            _ => return tracing::warn!("NOTIFY_WEBHOOK_URL is not a URL; no notification is sent"),
        };
        match sent {
            Ok(response) if response.status().is_success() => {}
            Ok(response) => {
                tracing::warn!(
                    status = response.status().as_u16(),
                    "the webhook refused a notification; operators may have missed it"
                )
            }
            // The text of the error may contain the address, so only its kind is logged.
            Err(error) => tracing::warn!(
                timeout = error.is_timeout(),
                "could not reach the webhook; operators may have missed a notification"
            ),
        }
    }

    async fn publish(&self, summary: &str, body: &str) {
        let Some(topic) = &self.config.topic else { return };
        let client = self.sns.get_or_init(|| aws_sdk_sns::Client::new(&sequent_aws::config()));
        let subject: String = summary.chars().filter(|c| !c.is_control()).take(100).collect(); // SNS's limit
        if let Err(error) = client.publish().topic_arn(topic).subject(subject).message(body).send().await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "could not publish a notification; operators may have missed it"
            );
        }
    }
}

fn connector(plain: bool) -> Connector {
    let builder = Connector::builder();
    if plain {
        return builder.build_http();
    }
    builder.tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring)).build()
}

#[cfg(test)]
mod tests;
