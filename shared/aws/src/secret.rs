//! Values of Secrets Manager. They are parsed once, cached, and read again after [`REFRESH`], so that a rotation reaches
//! warm instances without a deployment.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use aws_sdk_secretsmanager::Client;
use sequent_core::{ApiError, ErrorDetails, SecretString, pace::scaled};
use serde::de::DeserializeOwned;
use tokio::time::Instant;

/// The time after which a value is read again. Rotated keys overlap for longer than this.
pub const REFRESH: Duration = Duration::from_secs(300);
/// The time for which an earlier value is used after a read failed.
pub const RETRY: Duration = Duration::from_secs(30);
/// The time for which the request that reads an expired value waits for it. An answer takes a tenth of it. Lambda freezes
/// a process without a request, so the read should end before the request does.
pub const PATIENCE: Duration = Duration::from_millis(300);

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
    /// The value does not have the expected form. The message of the parser is left out, because it may quote the value.
    #[error("the secret {id} does not have the expected form")]
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

/// One secret, whose text is a `T`. Clones share it.
pub struct Secrets<T>(Arc<Shared<T>>);

impl<T> Clone for Secrets<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

struct Shared<T> {
    client: Client,
    id: String,
    /// Returns `None` for a text that is not a `T`.
    parse: fn(&str) -> Option<T>,
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
}

impl<T> CachedSecret<T> {
    fn fresh(&self) -> Option<Arc<T>> {
        self.value.clone().filter(|_| Instant::now() < self.stale_at)
    }
}

impl<T: DeserializeOwned + Send + Sync + 'static> Secrets<T> {
    /// The secret with this name or ARN, whose text is JSON. It is read when it is first used.
    #[must_use]
    pub fn new(client: Client, id: impl Into<String>) -> Self {
        Self::parsed(client, id, |text| serde_json::from_str(text).ok())
    }
}

impl Secrets<SecretString> {
    /// The secret with this name or ARN, whose text is the value. It is read when it is first used.
    #[must_use]
    pub fn text(client: Client, id: impl Into<String>) -> Self {
        Self::parsed(client, id, |text| (!text.is_empty()).then(|| SecretString::from(text)))
    }
}

impl<T: Send + Sync + 'static> Secrets<T> {
    fn parsed(client: Client, id: impl Into<String>, parse: fn(&str) -> Option<T>) -> Self {
        let known = Mutex::new(CachedSecret { value: None, stale_at: Instant::now(), failed_at: None });
        Self(Arc::new(Shared { client, id: id.into(), parse, known, reading: Arc::default() }))
    }

    /// Returns the value, at most [`REFRESH`] old. While Secrets Manager cannot be reached, the earlier value is used, and
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
            Some(stale) => Ok(self.refreshed(stale).await),
            None => self.first().await,
        }
    }

    /// Reads a value that is due. Returns `stale` if another request does so, or if it fails or takes long.
    async fn refreshed(&self, stale: Arc<T>) -> Arc<T> {
        let Ok(reading) = Arc::clone(&self.0.reading).try_lock_owned() else { return stale };
        let shared = Arc::clone(&self.0);
        // A task, so that a slow answer is still used by later requests.
        let read = tokio::spawn(async move {
            let value = shared.read_and_note().await;
            drop(reading);
            value.ok()
        });
        let fresh = tokio::time::timeout(PATIENCE, read).await;
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

    /// Reads the value now, for a check of Secrets Manager itself. After a failure the earlier value stays in use.
    ///
    /// # Errors
    /// If it cannot be read.
    pub async fn read_now(&self) -> Result<Arc<T>, Error> {
        self.0.read_and_note().await
    }

    /// Lets the next [`get`](Self::get) read the value again, for a caller that has met an unknown key. The value is kept: a
    /// stranger can make up a key while Secrets Manager cannot be reached.
    pub fn expire(&self) {
        self.0.known().stale_at = Instant::now();
    }
}

impl<T> Shared<T> {
    fn known(&self) -> MutexGuard<'_, CachedSecret<T>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Shared<T> {
    /// Reads the value and notes the outcome. After a failure a known value is used for [`RETRY`] before the next try.
    async fn read_and_note(&self) -> Result<Arc<T>, Error> {
        let read = self.read().await.map(Arc::new);
        let now = Instant::now();
        let mut known = self.known();
        match &read {
            Ok(value) => {
                *known =
                    CachedSecret { value: Some(Arc::clone(value)), stale_at: now + REFRESH, failed_at: None };
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

    async fn read(&self) -> Result<T, Error> {
        let output = self
            .client
            .get_secret_value()
            .secret_id(&self.id)
            .send()
            .await
            .map_err(|error| Error::Read { id: self.id.clone(), source: Box::new(error) })?;
        output.secret_string().and_then(self.parse).ok_or_else(|| Error::Malformed { id: self.id.clone() })
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_secretsmanager::config::{BehaviorVersion, Credentials, Region, retry::RetryConfig};
    use http_body_util::Full;
    use hyper::{Request, Response, body::Bytes, body::Incoming, server::conn::http1, service::service_fn};
    use hyper_util::rt::TokioIo;
    use serde_json::{Value, json};
    use std::{
        convert::Infallible,
        sync::atomic::{AtomicUsize, Ordering},
    };
    use tokio::{net::TcpListener, sync::Semaphore};

    use super::*;

    /// A Secrets Manager that answers once for each permit, and otherwise not at all.
    struct Manager {
        asked: AtomicUsize,
        answers: Semaphore,
        is_failing: Mutex<bool>,
    }

    impl Manager {
        async fn start() -> (Arc<Self>, Secrets<Value>) {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let manager = Arc::new(Self {
                asked: AtomicUsize::new(0),
                answers: Semaphore::new(0),
                is_failing: Mutex::new(false),
            });
            tokio::spawn(Arc::clone(&manager).serve(listener));
            let config = aws_sdk_secretsmanager::Config::builder()
                .behavior_version(BehaviorVersion::latest())
                .region(Region::new("us-east-1"))
                .endpoint_url(format!("http://{address}"))
                .credentials_provider(Credentials::new("test", "test", None, None, "test"))
                .retry_config(RetryConfig::disabled())
                .http_client(aws_smithy_http_client::Builder::new().build_http())
                .build();
            (manager, Secrets::new(Client::from_conf(config), "app"))
        }

        async fn serve(self: Arc<Self>, listener: TcpListener) {
            while let Ok((stream, _)) = listener.accept().await {
                let manager = Arc::clone(&self);
                let answer = service_fn(move |_: Request<Incoming>| {
                    let manager = Arc::clone(&manager);
                    async move { Ok::<_, Infallible>(manager.answer().await) }
                });
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), answer));
            }
        }

        async fn answer(&self) -> Response<Full<Bytes>> {
            let asked = self.asked.fetch_add(1, Ordering::SeqCst) + 1;
            self.answers.acquire().await.unwrap().forget();
            let is_failing = *self.is_failing.lock().unwrap();
            let value = json!({"Name": "app", "SecretString": json!({"version": asked}).to_string()});
            let body = if is_failing { json!({"__type": "InternalServiceError"}) } else { value };
            Response::builder()
                .status(if is_failing { 500 } else { 200 })
                .header("content-type", "application/x-amz-json-1.1")
                .body(Full::new(Bytes::from(body.to_string())))
                .unwrap()
        }

        fn asked(&self) -> usize {
            self.asked.load(Ordering::SeqCst)
        }

        async fn wait_until_asked(&self, times: usize) {
            while self.asked() < times {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        }
    }

    fn versions(values: &[Result<Arc<Value>, Error>]) -> Vec<Option<i64>> {
        values.iter().map(|value| value.as_ref().ok().and_then(|value| value["version"].as_i64())).collect()
    }

    async fn many(secrets: &Secrets<Value>) -> Vec<Option<i64>> {
        let all =
            (0..50).map(|_| secrets.clone()).map(|secrets| tokio::spawn(async move { secrets.get().await }));
        let mut values = Vec::new();
        for one in all.collect::<Vec<_>>() {
            values.push(one.await.unwrap());
        }
        versions(&values)
    }

    #[tokio::test]
    async fn no_request_waits_for_a_slow_and_failing_secrets_manager_while_a_value_is_known() {
        let (manager, secrets) = Manager::start().await;
        manager.answers.add_permits(1);
        assert_eq!(secrets.get().await.unwrap()["version"], 1);
        *manager.is_failing.lock().unwrap() = true;
        secrets.expire();
        // No answer comes, so a request that waited for one would wait for ever.
        assert_eq!(many(&secrets).await, [Some(1); 50]);
        assert_eq!(many(&secrets).await, [Some(1); 50]);
        manager.wait_until_asked(2).await;
        // The failure arrives. The next tries are made half a minute later.
        manager.answers.add_permits(1);
        while secrets.0.known().failed_at.is_none() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        assert_eq!(many(&secrets).await, [Some(1); 50]);
        assert_eq!(manager.asked(), 2);
        // A stranger's key does not take the value away.
        secrets.expire();
        assert_eq!(many(&secrets).await, [Some(1); 50]);
        manager.wait_until_asked(3).await;
        *manager.is_failing.lock().unwrap() = false;
        manager.answers.add_permits(1);
        while secrets.get().await.unwrap()["version"] == 1 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        assert_eq!(secrets.get().await.unwrap()["version"], 3);
    }

    #[tokio::test]
    async fn requests_that_wait_for_the_first_value_share_one_read() {
        let (manager, secrets) = Manager::start().await;
        *manager.is_failing.lock().unwrap() = true;
        let waiting = {
            let secrets = secrets.clone();
            tokio::spawn(async move { many(&secrets).await })
        };
        manager.wait_until_asked(1).await;
        manager.answers.add_permits(1);
        let failed = waiting.await.unwrap().iter().filter(|version| version.is_none()).count();
        assert_eq!(failed, 50);
        assert!(manager.asked() <= 2, "{} reads", manager.asked());
        *manager.is_failing.lock().unwrap() = false;
        manager.answers.add_permits(9);
        assert!(secrets.get().await.is_ok());
    }
}
