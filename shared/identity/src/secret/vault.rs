//! The source of the secret, and the reading of a key that the process has not seen.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use aws_sdk_secretsmanager::Client;
use sequent_aws::{Secrets, secret};
use sequent_core::{
    ExposeSecret as _, SecretString,
    setting::{self, InvalidSetting},
};

use super::{AppSecret, HttpKeys};

/// The shortest time between two reads that an unknown `kid` causes. A stranger can make up any.
const REREAD: Duration = Duration::from_secs(30);

/// The secret of the deployment as this process knows it, kept up to date. Clones share it.
#[derive(Clone)]
pub struct Vault(Arc<Inner>);

struct Inner {
    source: Source,
    reread: Mutex<Option<Instant>>,
    /// The CDN's secret, which CloudFormation has to store as a plain text of its own. Without it every request would
    /// have to be refused or accepted, so an old one is used while it cannot be read.
    origin: Option<Secrets<SecretString>>,
}

enum Source {
    Manager(Secrets<AppSecret>),
    Fixed(Arc<AppSecret>),
}

impl Vault {
    /// The secrets that `SECRETS_ID` and, if a CDN is in front, `ORIGIN_SECRET_ID` name.
    ///
    /// # Errors
    /// [`InvalidSetting`] if `SECRETS_ID` is missing.
    pub fn from_env(client: &Client) -> Result<Self, InvalidSetting> {
        let id = setting::required("SECRETS_ID")?;
        let origin = setting::text("ORIGIN_SECRET_ID").map(|id| Secrets::text(client.clone(), id));
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

    fn of(source: Source, origin: Option<Secrets<SecretString>>) -> Self {
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
        if !self.is_reread_due() {
            return Ok(None);
        }
        secrets.expire();
        secrets.get().await.map(Some)
    }

    /// Returns `true` to one caller in [`REREAD`].
    fn is_reread_due(&self) -> bool {
        let mut last = self.0.reread.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = last.is_none_or(|at| at.elapsed() >= REREAD);
        if is_due {
            *last = Some(Instant::now());
        }
        is_due
    }

    /// The current keys of the HTTP pipeline. They rotate, so do not keep them.
    ///
    /// # Errors
    /// If a secret cannot be read and was never read before.
    pub async fn http_keys(&self) -> Result<HttpKeys, secret::Error> {
        let origin = match &self.0.origin {
            Some(origin) => Some((*origin.get().await?).clone()),
            None => None,
        };
        Ok(self.get().await?.http(origin))
    }
}
