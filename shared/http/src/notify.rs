//! Telling operators about failures nobody handled: to a webhook, an SNS topic, or both.
//!
//! A notification never fails or holds up a request by more than [`PATIENCE`]; it is awaited because Lambda freezes
//! the process once the answer is out. One code is told at most once in [`QUIET`] per instance.

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

/// Longest wait for the notification to be taken.
pub const PATIENCE: Duration = Duration::from_secs(2);

/// How long a code is not told again.
pub const QUIET: Duration = Duration::from_secs(300);

/// Where to, from `NOTIFY_WEBHOOK_URL` and `NOTIFY_TOPIC_ARN`. Operators set these, never users.
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// Receives a POST with JSON. The address may be a secret, as with chat services.
    pub webhook: Option<secrecy::SecretString>,
    /// Receives the same JSON as an SNS message.
    pub topic: Option<String>,
}

impl Config {
    /// From the environment.
    #[must_use]
    pub fn from_env() -> Self {
        let read = |name| std::env::var(name).ok().filter(|text: &String| !text.trim().is_empty());
        Self { webhook: read("NOTIFY_WEBHOOK_URL").map(Into::into), topic: read("NOTIFY_TOPIC_ARN") }
    }
}

/// What operators are told. Already redacted: it holds names, not input.
#[derive(Debug, Clone, Serialize)]
pub struct Incident<'a> {
    /// The function.
    pub function: &'a str,
    /// The problem's code.
    pub code: &'a str,
    /// The status answered.
    pub status: u16,
    /// Method and route template.
    pub route: &'a str,
    /// To find the log line.
    pub request_id: &'a str,
    /// The source, scrubbed.
    pub cause: &'a str,
}

/// Sends notifications. Its clients are made at the first one.
#[derive(Debug, Default)]
pub struct Notifier {
    config: Config,
    told: Mutex<HashMap<String, Instant>>,
    http: OnceLock<Connector>,
    sns: OnceLock<aws_sdk_sns::Client>,
}

impl Notifier {
    /// Nothing is connected yet.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self { config, ..Self::default() }
    }

    /// Tells operators, unless they were told of this code a moment ago.
    pub async fn tell(&self, incident: &Incident<'_>) {
        if (self.config.webhook.is_none() && self.config.topic.is_none()) || !self.is_news(incident.code) {
            return;
        }
        let summary = format!("{} {} in {}", incident.status, incident.code, incident.function);
        let cause = redact::scrub(incident.cause);
        let body = serde_json::json!({
            "text": format!("{summary} ({}, request {})", incident.route, incident.request_id), // what chat services show
            "incident": Incident { cause: &cause, ..incident.clone() },
        })
        .to_string();
        let both = futures::future::join(self.post(&body), self.publish(&summary, &body));
        if tokio::time::timeout(PATIENCE, both).await.is_err() {
            tracing::warn!("a notification was not taken in time");
        }
    }

    fn is_news(&self, code: &str) -> bool {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.retain(|_, at| at.elapsed() < QUIET);
        if told.contains_key(code) {
            return false;
        }
        told.insert(code.to_owned(), Instant::now());
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
            _ => return tracing::warn!("NOTIFY_WEBHOOK_URL is not a URL"),
        };
        match sent {
            Ok(response) if response.status().is_success() => {}
            Ok(response) => {
                tracing::warn!(status = response.status().as_u16(), "the webhook refused a notification")
            }
            // The error's text may hold the address, so only its kind is logged.
            Err(error) => tracing::warn!(timeout = error.is_timeout(), "the webhook could not be reached"),
        }
    }

    async fn publish(&self, summary: &str, body: &str) {
        let Some(topic) = &self.config.topic else { return };
        let client = self.sns.get_or_init(|| aws_sdk_sns::Client::new(&sequent_aws::config()));
        let subject: String = summary.chars().filter(|c| !c.is_control()).take(100).collect(); // SNS's limit
        if let Err(error) = client.publish().topic_arn(topic).subject(subject).message(body).send().await {
            tracing::warn!(error = &error as &dyn std::error::Error, "a notification was not published");
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
