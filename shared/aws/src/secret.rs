//! Secrets as a process knows them. Each is parsed once, cached, and read again after [`REFRESH`], so that a change reaches
//! warm instances without a deployment.
//!
//! Nearly all are rows of the table of secrets, see [`SecretTable`]. Only the secret of the CDN is a value of Secrets
//! Manager, because CloudFormation has to read it, too.

mod origin;

use std::{
    fmt,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use ring::rand::{SecureRandom, SystemRandom};
use sequent_core::{ApiError, ErrorDetails, pace::scaled};
use sequent_tables::{SecretName, SecretTable};
use serde::{Serialize, de::DeserializeOwned};
use tokio::time::Instant;

pub use origin::OriginSecret;

/// The time after which a value is read again. Rotated keys overlap for longer than this.
pub const REFRESH: Duration = Duration::from_secs(300);
/// The time for which an earlier value is used after a read failed.
pub const RETRY: Duration = Duration::from_secs(30);
/// The shortest time between two reads that a refused key causes. A stranger can make up any.
pub const REREAD: Duration = Duration::from_secs(30);
/// The time for which the request that reads an expired value waits for it. An answer takes a tenth of it. Lambda freezes
/// a process without a request, so the read should end before the request does.
pub const PATIENCE: Duration = Duration::from_millis(300);
/// The time for which the request that meets a refused or unknown key waits for the new value. It fails without one.
const REREAD_PATIENCE: Duration = Duration::from_secs(5);

/// A secret could not be read or parsed. The error never contains the text of the secret.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The table or Secrets Manager refused the request or could not be reached.
    #[error("could not read the secret {id}")]
    Read {
        /// The name of the secret.
        id: String,
        /// The error of the table or of the SDK.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The first value of the secret could not be made or stored.
    #[error("could not store the secret {id}")]
    Write {
        /// The name of the secret.
        id: String,
        /// The error of the table or of the generator.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The secret does not exist yet.
    #[error("the secret {id} does not exist yet")]
    Missing {
        /// The name of the secret.
        id: String,
    },
    /// The value does not have the expected form. The message of the parser is left out, because it may quote the value.
    #[error("the secret {id} does not have the expected form")]
    Malformed {
        /// The name of the secret.
        id: String,
    },
}

impl ApiError for Error {
    fn details(&self) -> ErrorDetails {
        ErrorDetails::unavailable()
    }
}

/// One secret, which is a `T`. Clones share it.
pub struct Secrets<T>(Arc<Shared<T>>);

type Reading<T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send>>;

impl<T> Clone for Secrets<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

struct Shared<T> {
    id: String,
    read: Box<dyn Fn() -> Reading<T> + Send + Sync>,
    known: Mutex<CachedSecret<T>>,
    /// Held by the one request that reads the value. No lock is held by those that use a known one.
    reading: Arc<tokio::sync::Mutex<()>>,
}

/// The value as this process knows it.
struct CachedSecret<T> {
    value: Option<Arc<T>>,
    /// The time from which on the value is read again.
    stale_at: Instant,
    /// The latest read that failed, if none has succeeded since.
    failed_at: Option<Instant>,
    /// The latest read that a refused key caused.
    reread_at: Option<Instant>,
}

impl<T> CachedSecret<T> {
    fn fresh(&self) -> Option<Arc<T>> {
        self.value.clone().filter(|_| Instant::now() < self.stale_at)
    }
}

impl<T: DeserializeOwned + Send + Sync + 'static> Secrets<T> {
    /// The secret with this name. It is read when it is first used.
    #[must_use]
    pub fn row(table: &SecretTable, name: SecretName) -> Self {
        let table = table.clone();
        Self::read_by(name.to_string(), move || {
            let table = table.clone();
            async move { read_row(&table, name).await?.ok_or_else(|| missing(name)) }
        })
    }

    /// As [`row`](Self::row), but a secret that does not exist is the default: an operator who has stored no keys has
    /// none.
    #[must_use]
    pub fn optional_row(table: &SecretTable, name: SecretName) -> Self
    where
        T: Default,
    {
        let table = table.clone();
        Self::read_by(name.to_string(), move || {
            let table = table.clone();
            async move { Ok(read_row(&table, name).await?.unwrap_or_default()) }
        })
    }

    /// As [`row`](Self::row), but `make` stores a secret that does not exist, unless another process has stored it at the
    /// same time. All read what was stored.
    #[must_use]
    pub fn made_row<M>(
        table: &SecretTable,
        name: SecretName,
        make: impl Fn(SecretTable) -> M + Copy + Send + Sync + 'static,
    ) -> Self
    where
        M: Future<Output = Result<(), Error>> + Send + 'static,
    {
        let table = table.clone();
        Self::read_by(name.to_string(), move || {
            let table = table.clone();
            async move {
                if let Some(stored) = read_row(&table, name).await? {
                    return Ok(stored);
                }
                make(table.clone()).await?;
                read_row(&table, name).await?.ok_or_else(|| missing(name))
            }
        })
    }
}

fn missing(name: SecretName) -> Error {
    Error::Missing { id: name.to_string() }
}

/// Stores the first value of a secret. One that exists is kept.
///
/// # Errors
/// If it cannot be written.
pub async fn store_first(table: &SecretTable, name: SecretName, value: &impl Serialize) -> Result<(), Error> {
    table.insert_if_missing(name, value).await.map_err(|error| unwritten(name, error))
}

/// Makes a random key of 32 bytes, base 64, for the secret with this name.
///
/// # Errors
/// If the random generator of the operating system fails.
pub fn random_key(name: SecretName) -> Result<String, Error> {
    let mut bytes = [0; 32];
    let filled = SystemRandom::new().fill(&mut bytes);
    filled.map_err(|_| unwritten(name, "the random generator failed"))?;
    Ok(STANDARD.encode(bytes))
}

/// The error of a secret whose first value could not be made or stored.
pub fn unwritten(name: SecretName, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::Write { id: name.to_string(), source: source.into() }
}

/// Reads the secret with this name. Returns `None` if it does not exist.
async fn read_row<T: DeserializeOwned>(table: &SecretTable, name: SecretName) -> Result<Option<T>, Error> {
    table.get(name).await.map_err(|error| match error {
        sequent_tables::Error::Malformed(_) => Error::Malformed { id: name.to_string() },
        error => Error::Read { id: name.to_string(), source: Box::new(error) },
    })
}

impl<T: Send + Sync + 'static> Secrets<T> {
    /// A secret that `read` reads. `id` names it in errors.
    pub fn read_by<R>(id: impl Into<String>, read: impl Fn() -> R + Send + Sync + 'static) -> Self
    where
        R: Future<Output = Result<T, Error>> + Send + 'static,
    {
        let known = CachedSecret { value: None, stale_at: Instant::now(), failed_at: None, reread_at: None };
        let read = Box::new(move || -> Reading<T> { Box::pin(read()) });
        Self(Arc::new(Shared { id: id.into(), read, known: Mutex::new(known), reading: Arc::default() }))
    }

    /// Returns the value, at most [`REFRESH`] old. While it cannot be read, the earlier value is used, and
    /// one request in [`RETRY`] tries to read it again. That request waits for at most [`PATIENCE`], and others not at all.
    ///
    /// # Errors
    /// If it cannot be read and was never read before.
    pub async fn get(&self) -> Result<Arc<T>, Error> {
        let stale = {
            let known = self.0.known();
            if let Some(value) = known.fresh() {
                return Ok(value);
            }
            known.value.clone()
        };
        match stale {
            Some(stale) => Ok(self.refreshed(stale, PATIENCE).await),
            None => self.first().await,
        }
    }

    /// Reads a value that is due. Returns `stale` if another request does so, or if it fails or takes long.
    async fn refreshed(&self, stale: Arc<T>, patience: Duration) -> Arc<T> {
        let Ok(reading) = Arc::clone(&self.0.reading).try_lock_owned() else { return stale };
        let shared = Arc::clone(&self.0);
        // A task, so that a slow answer is still used by later requests.
        let read = tokio::spawn(async move {
            let value = shared.read_and_note().await;
            drop(reading);
            value.ok()
        });
        let fresh = tokio::time::timeout(patience, read).await;
        fresh.ok().and_then(Result::ok).flatten().unwrap_or(stale)
    }

    /// Reads the value for the first time. Requests that come meanwhile share the outcome.
    async fn first(&self) -> Result<Arc<T>, Error> {
        let asked_at = Instant::now();
        let _reading = self.0.reading.lock().await;
        {
            let known = self.0.known();
            if let Some(value) = known.fresh() {
                return Ok(value);
            }
            if known.failed_at.is_some_and(|at| at > asked_at) {
                return Err(Error::Read {
                    id: self.0.id.clone(),
                    source: "a read at the same time failed".into(),
                });
            }
        }
        self.0.read_and_note().await
    }

    /// Reads the value again, because a key in it was refused or one is not in it. The next callers within [`REREAD`] get
    /// `None`, because a stranger can cause such reads. The earlier value is kept if it cannot be read.
    ///
    /// # Errors
    /// If it cannot be read and was never read before.
    pub async fn reread(&self) -> Result<Option<Arc<T>>, Error> {
        let stale = {
            let mut known = self.0.known();
            if known.reread_at.is_some_and(|at| at.elapsed() < REREAD) {
                return Ok(None);
            }
            known.reread_at = Some(Instant::now());
            known.value.clone()
        };
        match stale {
            Some(stale) => Ok(Some(self.refreshed(stale, REREAD_PATIENCE).await)),
            None => self.first().await.map(Some),
        }
    }
}

impl<T> fmt::Debug for Secrets<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secrets").field("id", &self.0.id).finish_non_exhaustive()
    }
}

impl<T> Shared<T> {
    fn known(&self) -> MutexGuard<'_, CachedSecret<T>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads the value and notes the outcome. After a failure a known value is used for [`RETRY`] before the next try.
    async fn read_and_note(&self) -> Result<Arc<T>, Error> {
        let read = (self.read)().await.map(Arc::new);
        let now = Instant::now();
        let mut known = self.known();
        match &read {
            Ok(value) => {
                known.value = Some(Arc::clone(value));
                known.stale_at = now + REFRESH;
                known.failed_at = None;
            }
            Err(error) => {
                known.failed_at = Some(now);
                known.stale_at = now + scaled(RETRY);
                let has_earlier = known.value.is_some();
                tracing::warn!(%error, has_earlier, "could not read the secret; an earlier value is used if there is one");
            }
        }
        read
    }
}

#[cfg(test)]
mod tests;
