//! The check of one dependency, within a time limit. The report contains the kind of a failure, the log its
//! cause.

use std::time::Instant;

use super::{LIMIT, report::HealthCheck};

/// A dependency that failed its check, with the reason.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("no answer in time")]
    Timeout,
    /// It cannot be reached, or it refuses the request.
    #[error("cannot be read")]
    Unreadable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It answers with something that cannot be used.
    #[error("is not usable")]
    Unusable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl Failure {
    /// Returns the text for callers. It never quotes the cause.
    fn kind(&self) -> &'static str {
        match self {
            Self::Timeout => "no answer in time",
            Self::Unreadable(_) => "cannot be read",
            Self::Unusable(_) => "is not usable",
        }
    }
}

/// The value that a dependency answered with, if any, and its check.
pub(crate) struct Checked<T> {
    pub(crate) value: Option<T>,
    pub(crate) check: HealthCheck,
}

/// Waits for the answer of a dependency, at most [`LIMIT`].
pub(crate) async fn check<T>(
    dependency: &'static str,
    answer: impl Future<Output = Result<T, Failure>>,
) -> Checked<T> {
    let started = Instant::now();
    let result = tokio::time::timeout(LIMIT, answer).await.unwrap_or(Err(Failure::Timeout));
    let latency_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    match result {
        Ok(value) => Checked { value: Some(value), check: HealthCheck::new(latency_ms, None) },
        Err(failure) => {
            tracing::error!(
                dependency,
                error = &failure as &(dyn std::error::Error + 'static),
                "a dependency failed its health check"
            );
            Checked { value: None, check: HealthCheck::new(latency_ms, Some(failure.kind())) }
        }
    }
}
