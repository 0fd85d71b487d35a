//! The source of the secret, and the reading of a key that the process has not seen.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use aws_sdk_secretsmanager::{Client, error::DisplayErrorContext};
use sequent_aws::{Secrets, secret};
use sequent_core::{
    ExposeSecret, SecretString,
    setting::{self, InvalidSetting},
};
use tokio::sync::Mutex;

use super::{AppSecret, HttpKeys};

/// The shortest time between two reads that an unknown `kid` causes. A stranger can make up any.
const REREAD: Duration = Duration::from_secs(30);

/// The secret of the deployment as this process knows it, kept up to date. Clones share it.
#[derive(Clone)]
pub struct Vault(Arc<Inner>);

struct Inner {
    source: Source,
    reread: Mutex<Option<Instant>>,
    origin: Option<Origin>,
}

enum Source {
    Manager(Secrets<AppSecret>),
    Fixed(Arc<AppSecret>),
}

/// The CDN's secret, which CloudFormation has to store as a plain text of its own.
struct Origin {
    client: Client,
    id: String,
    read: Mutex<Option<(Instant, SecretString)>>,
}

impl Vault {
    /// The secrets that `SECRETS_ID` and, if a CDN is in front, `ORIGIN_SECRET_ID` name.
    ///
    /// # Errors
    /// [`InvalidSetting`] if `SECRETS_ID` is missing.
    pub fn from_env(client: &Client) -> Result<Self, InvalidSetting> {
        let id = setting::required("SECRETS_ID")?;
        let origin = setting::text("ORIGIN_SECRET_ID").map(|id| Origin {
            client: client.clone(),
            id,
            read: Mutex::default(),
        });
        Ok(Self::of(Source::Manager(Secrets::new(client.clone(), id)), origin))
    }

    /// The secret of the deployment, without that of a CDN.
    #[must_use]
    pub fn new(secrets: Secrets<AppSecret>) -> Self {
        Self::of(Source::Manager(secrets), None)
    }

    /// A secret that does not change, for tests and tools.
    ///
    /// # Errors
    /// If the text is not the expected JSON.
    pub fn fixed(document: &SecretString) -> Result<Self, serde_json::Error> {
        let secret = serde_json::from_str(document.expose_secret())?;
        Ok(Self::of(Source::Fixed(Arc::new(secret)), None))
    }

    fn of(source: Source, origin: Option<Origin>) -> Self {
        Self(Arc::new(Inner { source, reread: Mutex::default(), origin }))
    }

    /// The secret, at most [`secret::REFRESH`] old.
    ///
    /// # Errors
    /// If it cannot be read and was never read before.
    pub async fn get(&self) -> Result<Arc<AppSecret>, secret::Error> {
        match &self.0.source {
            Source::Manager(secrets) => secrets.get().await,
            Source::Fixed(secret) => Ok(Arc::clone(secret)),
        }
    }

    /// Reads the secret again, because a token names an unknown key. Returns `None` if that was done a moment ago.
    ///
    /// # Errors
    /// If it cannot be read.
    pub async fn reread(&self) -> Result<Option<Arc<AppSecret>>, secret::Error> {
        let Source::Manager(secrets) = &self.0.source else { return Ok(None) };
        let mut last = self.0.reread.lock().await;
        if last.is_some_and(|at| at.elapsed() < REREAD) {
            return Ok(None);
        }
        *last = Some(Instant::now());
        secrets.invalidate().await;
        secrets.get().await.map(Some)
    }

    /// The current keys of the HTTP pipeline. They rotate, so do not keep them.
    ///
    /// # Errors
    /// If a secret cannot be read and was never read before.
    pub async fn http_keys(&self) -> Result<HttpKeys, secret::Error> {
        let origin = match &self.0.origin {
            Some(origin) => Some(origin.get().await?),
            None => None,
        };
        Ok(self.get().await?.http(origin))
    }
}

impl Origin {
    async fn get(&self) -> Result<SecretString, secret::Error> {
        let mut read = self.read.lock().await;
        if let Some((at, text)) = read.as_ref()
            && at.elapsed() < secret::REFRESH
        {
            return Ok(text.clone());
        }
        let answer = self.client.get_secret_value().secret_id(&self.id).send().await;
        let fresh = answer.map(|answer| answer.secret_string.filter(|text| !text.is_empty()));
        match (fresh, read.as_ref()) {
            (Ok(Some(text)), _) => {
                let text = SecretString::from(text);
                *read = Some((Instant::now(), text.clone()));
                Ok(text)
            }
            // Without the secret every request would have to be refused or accepted. An old secret is better.
            (_, Some((_, stale))) => Ok(stale.clone()),
            (Ok(None), None) => Err(self.error("the secret is empty")),
            (Err(error), None) => Err(self.error(DisplayErrorContext(error).to_string())),
        }
    }

    fn error(&self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> secret::Error {
        secret::Error::Read { id: self.id.clone(), source: source.into() }
    }
}
