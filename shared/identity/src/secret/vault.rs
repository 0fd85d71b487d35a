//! The secrets as a process knows them.

use std::sync::Arc;

use sequent_aws::{OriginSecret, Secrets, secret};
use sequent_core::{ExposeSecret as _, SecretString, Timestamp, setting};
use sequent_tables::{SecretName, SecretTable};

use super::{
    AdminKey, PipelineSecret, SealingKeys, create_keys,
    sealing::SealingDocument,
    seed::{SeedDocument, SeededSecrets},
};
use crate::signing::KeyRing;

/// The secrets of the deployment, kept up to date. Each is read when it is first used. A function that may not read one
/// gets an error. Clones share them.
#[derive(Clone)]
pub struct Vault(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    pipeline: Source<PipelineSecret>,
    signing: Source<KeyRing>,
    sealing: Source<SealingKeys>,
    admin: Source<AdminKey>,
    /// The CDN's secret, if a CDN is in front. Without it every request would have to be refused or accepted, so an old
    /// one is used while it cannot be read.
    origin: Option<Source<OriginSecret>>,
}

enum Source<T> {
    Stored(Secrets<T>),
    Fixed(Arc<T>),
}

impl<T> Clone for Source<T> {
    fn clone(&self) -> Self {
        match self {
            Self::Stored(secrets) => Self::Stored(secrets.clone()),
            Self::Fixed(value) => Self::Fixed(Arc::clone(value)),
        }
    }
}

impl<T: Send + Sync + 'static> Source<T> {
    fn fixed(value: T) -> Self {
        Self::Fixed(Arc::new(value))
    }

    async fn get(&self) -> Result<Arc<T>, secret::Error> {
        match self {
            Self::Stored(secrets) => secrets.get().await,
            Self::Fixed(value) => Ok(Arc::clone(value)),
        }
    }

    async fn reread(&self) -> Result<Option<Arc<T>>, secret::Error> {
        match self {
            Self::Stored(secrets) => secrets.reread().await,
            Self::Fixed(_) => Ok(None),
        }
    }
}

impl Vault {
    /// The secrets in the table that `SECRETS_TABLE` names and, if a CDN is in front, the secret that `ORIGIN_SECRET_ID`
    /// names.
    ///
    /// # Errors
    /// The error names the missing variable.
    pub fn from_env(sdk: &aws_config::SdkConfig) -> Result<Self, String> {
        let vault = Self::new(&SecretTable::from_env(sdk)?);
        let Some(id) = setting::text("ORIGIN_SECRET_ID") else { return Ok(vault) };
        Ok(vault.with_origin(Secrets::origin(aws_sdk_secretsmanager::Client::new(sdk), id)))
    }

    /// The secrets in this table, without that of a CDN.
    #[must_use]
    pub fn new(table: &SecretTable) -> Self {
        Self(Arc::new(Inner {
            pipeline: Source::Stored(Secrets::row(table, SecretName::Pipeline)),
            signing: Source::Stored(Secrets::made_row(table, SecretName::Signing, |table| async move {
                create_keys(&table, Timestamp::now()).await
            })),
            sealing: Source::Stored(Secrets::made_row(table, SecretName::Sealing, |table| async move {
                secret::store_first(&table, SecretName::Sealing, &SealingDocument::generate()?).await
            })),
            admin: Source::Stored(Secrets::optional_row(table, SecretName::Admin)),
            origin: None,
        }))
    }

    /// The same secrets behind a CDN with this secret.
    #[must_use]
    pub fn with_origin(&self, origin: Secrets<OriginSecret>) -> Self {
        Self(Arc::new(Inner { origin: Some(Source::Stored(origin)), ..Inner::clone(&self.0) }))
    }

    /// Secrets that do not change and come from one seed, for tests and tools: `{"seed": ".."}`.
    ///
    /// # Errors
    /// If the text is not the expected JSON, or a key in it cannot be used.
    pub fn fixed(document: &SecretString) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let document: SeedDocument = serde_json::from_str(document.expose_secret())?;
        let seeded = SeededSecrets::try_from(document)?;
        Ok(Self(Arc::new(Inner {
            pipeline: Source::fixed(seeded.pipeline),
            signing: Source::fixed(seeded.signing),
            sealing: Source::fixed(seeded.sealing),
            admin: Source::fixed(seeded.admin),
            origin: seeded.origin.map(Source::fixed),
        })))
    }

    /// The keys of the HTTP pipeline, at most [`secret::REFRESH`] old. They rotate, so do not keep them.
    ///
    /// # Errors
    /// If they cannot be read and were never read before.
    pub async fn get(&self) -> Result<Arc<PipelineSecret>, secret::Error> {
        self.0.pipeline.get().await
    }

    /// Reads the keys of the HTTP pipeline again, because a token names an unknown key. Returns `None` if that was done a
    /// moment ago.
    ///
    /// # Errors
    /// If they cannot be read.
    pub async fn reread(&self) -> Result<Option<Arc<PipelineSecret>>, secret::Error> {
        self.0.pipeline.reread().await
    }

    /// The private keys of tokens. The first keys are made here.
    ///
    /// # Errors
    /// If they cannot be read and were never read before.
    pub async fn signing(&self) -> Result<Arc<KeyRing>, secret::Error> {
        self.0.signing.get().await
    }

    /// The keys that seal secrets of tenants. The first key is made here.
    ///
    /// # Errors
    /// If they cannot be read and were never read before.
    pub async fn sealing(&self) -> Result<Arc<SealingKeys>, secret::Error> {
        self.0.sealing.get().await
    }

    /// The keys that open this sealed text. They are read again if the text was sealed with a newer one.
    ///
    /// # Errors
    /// If they cannot be read and were never read before.
    pub async fn sealing_of(&self, sealed: &str) -> Result<Arc<SealingKeys>, secret::Error> {
        let keys = self.sealing().await?;
        if keys.has_key_of(sealed) {
            return Ok(keys);
        }
        Ok(self.0.sealing.reread().await?.unwrap_or(keys))
    }

    /// The key of the operator.
    ///
    /// # Errors
    /// If it cannot be read and was never read before.
    pub async fn admin(&self) -> Result<Arc<AdminKey>, secret::Error> {
        self.0.admin.get().await
    }

    /// The secret of the CDN, if one is in front.
    ///
    /// # Errors
    /// If it cannot be read and was never read before.
    pub async fn origin(&self) -> Result<Option<Arc<OriginSecret>>, secret::Error> {
        match &self.0.origin {
            Some(origin) => origin.get().await.map(Some),
            None => Ok(None),
        }
    }

    /// The secret of the CDN, read again because a request had another one. Returns `None` if no CDN is in front, or if it
    /// was read again a short time ago.
    ///
    /// # Errors
    /// If it cannot be read and was never read before.
    pub async fn reread_origin(&self) -> Result<Option<Arc<OriginSecret>>, secret::Error> {
        match &self.0.origin {
            Some(origin) => origin.reread().await,
            None => Ok(None),
        }
    }
}
