//! Values of Secrets Manager. They are parsed once, cached, and read again after [`REFRESH`], so that a rotation reaches
//! warm instances without a deployment.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use aws_sdk_secretsmanager::Client;
use sequent_core::{ApiError, ErrorDetails};
use serde::de::DeserializeOwned;
use tokio::sync::Mutex;

/// The time after which a value is read again. Rotated keys overlap for longer than this.
pub const REFRESH: Duration = Duration::from_secs(300);

/// A secret could not be read or parsed. The error never contains the text of the secret.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Secrets Manager refused the request or could not be reached.
    #[error("could not read the secret {id}")]
    Read {
        /// The name or ARN of the secret.
        id: String,
        /// The error of the SDK.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The value is not the expected JSON. The message of the parser is left out, because it may quote the value.
    #[error("the secret {id} is not the expected JSON")]
    Malformed {
        /// The name or ARN of the secret.
        id: String,
    },
}

impl ApiError for Error {
    fn details(&self) -> ErrorDetails {
        ErrorDetails::unavailable()
    }
}

/// One secret, whose JSON is a `T`.
pub struct Secrets<T> {
    client: Client,
    id: String,
    cached: Mutex<Option<(Instant, Arc<T>)>>,
}

impl<T: DeserializeOwned> Secrets<T> {
    /// The secret with this name or ARN. It is read when it is first used.
    #[must_use]
    pub fn new(client: Client, id: impl Into<String>) -> Self {
        Self { client, id: id.into(), cached: Mutex::new(None) }
    }

    /// Returns the value, at most [`REFRESH`] old. While Secrets Manager cannot be reached, an old value is used and the
    /// failure is logged.
    ///
    /// # Errors
    /// If it cannot be read and was never read before.
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
                tracing::warn!(error = %error, "could not read the secret; the earlier value is used");
                Ok(Arc::clone(stale))
            }
            (Err(error), None) => Err(error),
        }
    }

    /// Deletes the cached value, for a caller that has met an unknown key.
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
