//! Where the secret comes from, and how a process learns of a key it has not seen yet.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use aws_sdk_secretsmanager::{Client, error::DisplayErrorContext};
use sequent_aws::{Secrets, secret};
use sequent_core::{ExposeSecret, SecretString};
use tokio::sync::Mutex;

use super::{AppSecret, HttpKeys};

/// A stranger can name any `kid`; this bounds how often that makes us read the secret.
const REREAD: Duration = Duration::from_secs(30);

/// The deployment's secret as this process has it, kept fresh. Clones share it.
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

/// The CDN's secret, which CloudFormation has to keep as a plain text of its own.
struct Origin {
    client: Client,
    id: String,
    read: Mutex<Option<(Instant, SecretString)>>,
}

impl Vault {
    /// The secrets that `SECRETS_ID` and, where a CDN stands in front, `ORIGIN_SECRET_ID` name.
    ///
    /// # Errors
    /// Names the variable that is missing.
    pub fn from_env(client: &Client) -> Result<Self, String> {
        let id = std::env::var("SECRETS_ID").map_err(|_| "SECRETS_ID is not set".to_owned())?;
        let origin = std::env::var("ORIGIN_SECRET_ID").ok().filter(|id| !id.is_empty());
        let origin = origin.map(|id| Origin { client: client.clone(), id, read: Mutex::default() });
        Ok(Self::of(Source::Manager(Secrets::new(client.clone(), id)), origin))
    }

    /// The deployment's secret alone.
    #[must_use]
    pub fn new(secrets: Secrets<AppSecret>) -> Self {
        Self::of(Source::Manager(secrets), None)
    }

    /// A secret's text that does not change: what tests and tools use.
    ///
    /// # Errors
    /// When the text is not the JSON expected.
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
    /// When it was never read and cannot be.
    pub async fn get(&self) -> Result<Arc<AppSecret>, secret::Error> {
        match &self.0.source {
            Source::Manager(secrets) => secrets.get().await,
            Source::Fixed(secret) => Ok(Arc::clone(secret)),
        }
    }

    /// The secret read anew because a token named a key we do not have; `None` when that was done a moment ago.
    ///
    /// # Errors
    /// When it cannot be read.
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

    /// The keys of the HTTP pipeline as of now. They rotate, so each use asks for them.
    ///
    /// # Errors
    /// When a secret was never read and cannot be.
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
            // Without the secret every request would be refused or let through; the one read before is better.
            (_, Some((_, stale))) => Ok(stale.clone()),
            (Ok(None), None) => Err(self.error("the secret is empty")),
            (Err(error), None) => Err(self.error(DisplayErrorContext(error).to_string())),
        }
    }

    fn error(&self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> secret::Error {
        secret::Error::Read { id: self.id.clone(), source: source.into() }
    }
}
