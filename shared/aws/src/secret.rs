//! Secrets Manager values, parsed once, cached, and read again after [`REFRESH`] so that a rotation reaches warm
//! instances without a deployment.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use aws_sdk_secretsmanager::Client;
use sequent_core::{ApiError, ErrorDetails};
use serde::de::DeserializeOwned;
use tokio::sync::Mutex;

/// How long a value is used before it is read again. Rotated keys overlap for longer than this.
pub const REFRESH: Duration = Duration::from_secs(300);

/// A secret could not be read or understood. Never carries the secret's text.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Secrets Manager refused or could not be reached.
    #[error("secret {id} could not be read")]
    Read {
        /// Name or ARN.
        id: String,
        /// What the SDK said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The value is not the JSON expected; the parser's message is left out because it may quote the value.
    #[error("secret {id} is not the JSON expected")]
    Malformed {
        /// Name or ARN.
        id: String,
    },
}

impl ApiError for Error {
    fn details(&self) -> ErrorDetails {
        ErrorDetails::unavailable()
    }
}

/// One secret holding JSON of shape `T`.
pub struct Secrets<T> {
    client: Client,
    id: String,
    cached: Mutex<Option<(Instant, Arc<T>)>>,
}

impl<T: DeserializeOwned> Secrets<T> {
    /// Reads nothing yet.
    #[must_use]
    pub fn new(client: Client, id: impl Into<String>) -> Self {
        Self { client, id: id.into(), cached: Mutex::new(None) }
    }

    /// The value, at most [`REFRESH`] old. While Secrets Manager is unreachable a stale value is better than an
    /// outage, so it is kept and the failure logged.
    ///
    /// # Errors
    /// When no value was ever read and reading fails.
    pub async fn get(&self) -> Result<Arc<T>, Error> {
        let mut cached = self.cached.lock().await;
        if let Some((read_at, value)) = cached.as_ref()
            && read_at.elapsed() < REFRESH
        {
            return Ok(Arc::clone(value));
        }
        match (self.read().await, cached.as_ref()) {
            (Ok(value), _) => {
                let value = Arc::new(value);
                *cached = Some((Instant::now(), Arc::clone(&value)));
                Ok(value)
            }
            (Err(error), Some((_, stale))) => {
                tracing::warn!(error = %error, "keeping the secret read earlier");
                Ok(Arc::clone(stale))
            }
            (Err(error), None) => Err(error),
        }
    }

    /// Forgets the cached value, for a caller that has just met a key it does not know.
    pub async fn invalidate(&self) {
        *self.cached.lock().await = None;
    }

    async fn read(&self) -> Result<T, Error> {
        let output = self
            .client
            .get_secret_value()
            .secret_id(&self.id)
            .send()
            .await
            .map_err(|error| Error::Read { id: self.id.clone(), source: Box::new(error) })?;
        output
            .secret_string()
            .and_then(|text| serde_json::from_str(text).ok())
            .ok_or_else(|| Error::Malformed { id: self.id.clone() })
    }
}
