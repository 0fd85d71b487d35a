//! The client of the collector: one request for each batch of spans.
//!
//! Responses are treated as OTLP's specification says: 429, 502, 503 and 504 may succeed later, and `Retry-After` says when;
//! other failures are final; a partial success is not sent again.

use std::{
    sync::{Mutex, OnceLock, PoisonError},
    time::Duration,
};

use reqwest::{Client, StatusCode, header::RETRY_AFTER};
use sequent_aws::Secrets;
use sequent_core::{ExposeSecret as _, SecretString, pace::scaled, setting};
use sequent_tables::{SecretName, SecretTable};
use serde::Deserialize;
use tokio::time::Instant;

use crate::{
    Attribute, RunTrace, TraceEndpoint,
    otlp::{self, ExportResponse},
};

/// Time limit of a request, which is that of OpenTelemetry's own exporters.
const TIMEOUT: Duration = Duration::from_secs(10);
const CONNECT: Duration = Duration::from_secs(3);
/// Time for which a process sends nothing after the collector has not answered. Otherwise traces would wait for it, one
/// after the other, in the places of jobs that runs need.
const QUIET: Duration = Duration::from_secs(30);
/// Longest pause that a collector is granted.
const LONGEST_PAUSE: Duration = Duration::from_secs(3_600);
/// Bytes of a response that are read at most.
const MAX_RESPONSE: usize = 64_000;
/// Characters of the collector's own message that are kept.
const MAX_MESSAGE: usize = 300;

/// The collector of the deployment.
#[derive(Debug)]
pub struct Collector {
    endpoint: TraceEndpoint,
    headers: Headers,
    resource: Vec<Attribute>,
    timeout: Duration,
    /// Built at the first request, because loading the certificates of the system takes time.
    http: OnceLock<Client>,
    /// Nothing is sent before this time.
    quiet_until: Mutex<Option<Instant>>,
}

/// The headers of every request.
struct Headers(Secrets<TraceSecret>);

impl std::fmt::Debug for Headers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Headers")
    }
}

/// The content of the secret `traces`.
#[derive(Default, Deserialize)]
struct TraceSecret {
    /// Headers as in `OTEL_EXPORTER_OTLP_HEADERS`: `name=value` with commas between, values percent-encoded.
    headers: Option<SecretString>,
}

/// Spans were not accepted. No message contains a header or a content.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Error {
    /// The same request may succeed after the pause.
    #[error("{why}")]
    Unavailable { why: String, pause: Duration },
    /// The same request would be refused again.
    #[error("{0}")]
    Refused(String),
    /// The request has too many bytes.
    #[error("the collector refuses a span for its size")]
    TooLarge,
}

/// The result of sending a trace.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct SentSpans {
    pub(crate) spans: usize,
    /// Parts that the collector has refused for good, for people.
    pub(crate) warnings: Vec<String>,
}

impl Error {
    fn unavailable(why: impl Into<String>) -> Self {
        Self::Unavailable { why: why.into(), pause: Duration::ZERO }
    }
}

impl Collector {
    /// The collector at `endpoint`, with the headers that the operator has stored in the secret `traces`.
    #[must_use]
    pub fn new(endpoint: TraceEndpoint, secrets: &SecretTable) -> Self {
        let mut resource = vec![
            Attribute::new("service.name", "sequent"),
            Attribute::new("service.version", env!("CARGO_PKG_VERSION")),
        ];
        resource.extend(setting::text("STACK").map(|stack| Attribute::new("service.namespace", stack)));
        Self {
            endpoint,
            headers: Headers(Secrets::optional_row(secrets, SecretName::Traces)),
            resource,
            timeout: TIMEOUT,
            http: OnceLock::new(),
            quiet_until: Mutex::default(),
        }
    }

    /// The collector with another time limit, for tests.
    #[cfg(test)]
    pub(crate) fn within(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    pub(crate) const fn records_contents(&self) -> bool {
        self.endpoint.records_contents
    }

    /// Sends a trace. After an error a part of it may have arrived; a trace that is sent again replaces it.
    pub(crate) async fn send(&self, trace: &RunTrace) -> Result<SentSpans, Error> {
        let spans = otlp::encode(trace);
        let mut sent = SentSpans::default();
        let mut batches = otlp::batches(&spans);
        batches.reverse();
        while let Some(batch) = batches.pop() {
            match self.post(batch).await {
                Ok(warning) => {
                    sent.spans += batch.len();
                    sent.warnings.extend(warning);
                }
                Err(Error::TooLarge) if batch.len() > 1 => {
                    let (first, second) = batch.split_at(batch.len() / 2);
                    batches.extend([second, first]);
                }
                Err(error @ Error::TooLarge) => sent.warnings.push(error.to_string()),
                Err(error) => return Err(error),
            }
        }
        Ok(sent)
    }

    /// Sends a batch. Returns a warning if the collector has refused spans of it for good.
    async fn post(&self, spans: &[String]) -> Result<Option<String>, Error> {
        self.check_quiet()?;
        let headers = self.headers.get().await?;
        let body = otlp::request(&self.resource, spans);
        let request = self.http()?.post(self.endpoint.url.clone()).header("content-type", "application/json");
        let request = headers.iter().fold(request, |request, (name, value)| request.header(name, value));
        let answer = match request.body(body).send().await {
            Ok(answer) => answer,
            Err(error) if error.is_builder() => {
                let why = "a header of the secret `traces` is not one of HTTP; store the headers again";
                return Err(Error::Refused(why.to_owned()));
            }
            Err(error) => return Err(self.unanswered(&error)),
        };
        let status = answer.status();
        let pause = retry_after(&answer);
        let text = self.read(answer).await?;
        if status.is_success() {
            return Ok(rejected(&text));
        }
        Err(refusal(status, pause, &text))
    }

    fn http(&self) -> Result<&Client, Error> {
        if let Some(http) = self.http.get() {
            return Ok(http);
        }
        // An error means that the process has installed a provider already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT)
            .timeout(self.timeout)
            // Lambda freezes a process between invocations, and its idle connections are dead when it thaws.
            .pool_idle_timeout(Duration::from_secs(5))
            .build()
            .map_err(|error| Error::unavailable(error.without_url().to_string()))?;
        Ok(self.http.get_or_init(|| http))
    }

    /// Reads the beginning of a response.
    async fn read(&self, mut answer: reqwest::Response) -> Result<String, Error> {
        let mut bytes = Vec::new();
        while bytes.len() < MAX_RESPONSE {
            match answer.chunk().await {
                Ok(Some(chunk)) => bytes.extend_from_slice(&chunk),
                Ok(None) => break,
                Err(error) => return Err(self.unanswered(&error)),
            }
        }
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Notes that the collector did not answer, so that the process leaves it alone for a while.
    fn unanswered(&self, error: &reqwest::Error) -> Error {
        let until = Instant::now() + scaled(QUIET);
        *self.quiet_until.lock().unwrap_or_else(PoisonError::into_inner) = Some(until);
        let why = if error.is_timeout() { "did not answer in time" } else { "cannot be reached" };
        Error::unavailable(format!("The collector {why}."))
    }

    fn check_quiet(&self) -> Result<(), Error> {
        let quiet_until = *self.quiet_until.lock().unwrap_or_else(PoisonError::into_inner);
        match quiet_until {
            Some(until) if Instant::now() < until => {
                Err(Error::unavailable("The collector did not answer another request a moment ago."))
            }
            _ => Ok(()),
        }
    }
}

impl Headers {
    async fn get(&self) -> Result<Vec<(String, String)>, Error> {
        let secret = self.0.get().await.map_err(|error| Error::unavailable(error.to_string()))?;
        Ok(secret.headers.as_ref().map(|headers| parse_headers(headers.expose_secret())).unwrap_or_default())
    }
}

/// Parses headers. The text becomes a form first, whose parser decodes the values; a plus and an ampersand are themselves.
fn parse_headers(text: &str) -> Vec<(String, String)> {
    let form = text.replace('+', "%2B").replace('&', "%26").replace(',', "&");
    let pairs = form_urlencoded::parse(form.as_bytes());
    let pairs = pairs.map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()));
    pairs.filter(|(name, _)| !name.is_empty()).collect()
}

/// The pause that a response asks for, in seconds or until a date, which is not read: the policy of the job holds then.
fn retry_after(answer: &reqwest::Response) -> Duration {
    let seconds = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    seconds.map_or(Duration::ZERO, Duration::from_secs).min(LONGEST_PAUSE)
}

fn rejected(text: &str) -> Option<String> {
    let response: ExportResponse = serde_json::from_str(text).unwrap_or_default();
    let partial = response.partial_success.filter(|partial| partial.rejected() > 0)?;
    let message: String = partial.error_message.chars().take(MAX_MESSAGE).collect();
    Some(format!("The collector has refused {} spans: {message}", partial.rejected()))
}

fn refusal(status: StatusCode, pause: Duration, text: &str) -> Error {
    match status.as_u16() {
        413 => Error::TooLarge,
        429 | 502 | 503 | 504 => {
            Error::Unavailable { why: format!("The collector is unavailable ({status})."), pause }
        }
        _ => {
            let message: String = text.chars().filter(|c| !c.is_control()).take(MAX_MESSAGE).collect();
            tracing::warn!(%status, message, "the collector has refused a trace");
            // The tenant of the run can read the failure of the job, and the words of the collector are the operator's.
            Error::Refused(format!("The collector refuses the trace ({status})."))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_those_of_the_usual_variable() {
        let text = "Authorization=Basic cGs6c2s+/a==, x-langfuse-ingestion-version=4,x-note=a%2Cb%20c&d";
        let expected = [
            ("Authorization", "Basic cGs6c2s+/a=="),
            ("x-langfuse-ingestion-version", "4"),
            ("x-note", "a,b c&d"),
        ];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(parse_headers(text), expected);
        assert!(parse_headers(" , ").is_empty());
    }
}
