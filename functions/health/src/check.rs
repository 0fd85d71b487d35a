//! Asking one dependency, within the limit, and telling apart what went wrong without quoting it.

use std::time::Instant;

use crate::{LIMIT, report::Check};

/// Why a dependency fails. Callers are told the kind; the cause is for the log.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// It did not answer.
    #[error("no answer in time")]
    Slow,
    /// It cannot be reached or refuses us.
    #[error("cannot be read")]
    Unreadable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It answers, with something we cannot use.
    #[error("is not usable")]
    Unusable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl Failure {
    fn public(&self) -> &'static str {
        match self {
            Self::Slow => "no answer in time",
            Self::Unreadable(_) => "cannot be read",
            Self::Unusable(_) => "is not usable",
        }
    }
}

impl From<sequent_aws::secret::Error> for Failure {
    fn from(error: sequent_aws::secret::Error) -> Self {
        match error {
            sequent_aws::secret::Error::Read { .. } => Self::Unreadable(error.into()),
            sequent_aws::secret::Error::Malformed { .. } => Self::Unusable(error.into()),
        }
    }
}

/// What became of a question, and how long that took.
pub(crate) struct Asked<T> {
    pub(crate) answer: Option<T>,
    pub(crate) check: Check,
}

/// Asks, within the limit.
pub(crate) async fn ask<T>(
    name: &'static str,
    question: impl Future<Output = Result<T, Failure>>,
) -> Asked<T> {
    let began = Instant::now();
    let answer = tokio::time::timeout(LIMIT, question).await.unwrap_or(Err(Failure::Slow));
    let latency_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    match answer {
        Ok(answer) => Asked { answer: Some(answer), check: Check::new(latency_ms, None) },
        Err(failure) => {
            tracing::error!(
                dependency = name,
                error = &failure as &(dyn std::error::Error + 'static),
                "a dependency fails"
            );
            Asked { answer: None, check: Check::new(latency_ms, Some(failure.public())) }
        }
    }
}
