//! Uploads, which go to the bucket directly.
//!
//! A client announces digest, length and type of its bytes. The link that it gets is signed over all three,
//! so the bucket refuses anything else, and the key is the digest, so no object can be overwritten. The
//! artifact's row is stored after the bucket has confirmed that the announced bytes are there.

use std::time::Duration;

use sequent_core::{ArtifactId, TenantId, Timestamp};
use sequent_tables::{Row, Write, key};
use serde::{Deserialize, Serialize};

use crate::{
    Artifact, Artifacts, Content, Description, Digest, Error, Link, Origin,
    object::{ObjectState, retry_while_deleting},
};

/// The largest upload, in bytes.
pub const LARGEST: u64 = 256 << 20;
/// The time in which an upload can be completed. The collector waits far longer.
const LIFETIME: Duration = Duration::from_secs(3600);

/// Bytes that a client announces.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "plain data")]
pub struct Upload {
    pub sha256: Digest,
    /// Number of bytes that will be uploaded.
    pub size: u64,
    #[serde(flatten)]
    pub description: Description,
    #[serde(flatten)]
    pub origin: Origin,
}

/// The row of an upload that is not completed yet.
#[derive(Debug, Serialize, Deserialize)]
struct PendingUpload {
    #[serde(flatten)]
    upload: Upload,
    offered_at: Timestamp,
}

/// The next step of an upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Offer {
    /// Nothing is left to do: the tenant has these bytes already, and the artifact is stored.
    Stored(Artifact),
    /// Put the bytes, then complete the upload with this id.
    Put(ArtifactId, Link),
}

impl Artifacts {
    /// Offers a link to upload bytes.
    ///
    /// # Errors
    /// [`Error::Description`], [`Error::RunNotFound`], or an error of the table.
    pub async fn offer(&self, tenant: TenantId, upload: Upload) -> Result<Offer, Error> {
        let description = upload.description.checked()?;
        let upload = Upload { description, ..upload };
        retry_while_deleting(|| self.offer_once(tenant, &upload)).await
    }

    async fn offer_once(&self, tenant: TenantId, upload: &Upload) -> Result<Offer, Error> {
        let id = ArtifactId::new();
        let now = Timestamp::now();
        let object = self.want(tenant, upload.content()).await?;
        if object.state == ObjectState::Stored && object.size == upload.size {
            return self.record(tenant, &upload.artifact(id, now)).await.map(Offer::Stored);
        }
        let link = self.bucket.sign_put(tenant, upload.content(), &upload.description.media_type).await?;
        let pending = PendingUpload { upload: upload.clone(), offered_at: now };
        let row = Row::new(&key::upload(tenant, id), &pending)?;
        self.store.write(Write::insert(row.expires_at(now + LIFETIME))).await?;
        Ok(Offer::Put(id, link))
    }

    /// Stores the artifact of an upload whose bytes are in the bucket. A repeated call returns the same
    /// artifact.
    ///
    /// # Errors
    /// [`Error::NotFound`] if the upload does not exist or is too old, [`Error::NotUploaded`] if the bytes
    /// are missing, [`Error::Mismatch`] if they are not those that were announced, [`Error::RunNotFound`],
    /// or an error of the table or the bucket.
    pub async fn complete(&self, tenant: TenantId, id: ArtifactId) -> Result<Artifact, Error> {
        let key = key::upload(tenant, id);
        let pending: Option<PendingUpload> = self.store.get(&key).await?;
        let is_open = |pending: &PendingUpload| Timestamp::now().since(pending.offered_at) < LIFETIME;
        let Some(PendingUpload { upload, .. }) = pending.filter(is_open) else {
            return self.get(tenant, id).await; // completed before, or never offered
        };
        self.check_stored(tenant, &upload).await?;
        match self.record(tenant, &upload.artifact(id, Timestamp::now())).await {
            Ok(artifact) => {
                self.store.write(Write::delete(&key)).await?;
                Ok(artifact)
            }
            Err(Error::Deleting) => Err(Error::NotUploaded),
            Err(error) => Err(error),
        }
    }

    /// Compares the object in the bucket with the announcement.
    async fn check_stored(&self, tenant: TenantId, upload: &Upload) -> Result<(), Error> {
        let stored = self.bucket.head(tenant, &upload.sha256).await?.ok_or(Error::NotUploaded)?;
        if stored.sha256.as_deref() != Some(&upload.sha256.base64()) {
            return Err(Error::Mismatch("checksum"));
        }
        if stored.size != upload.size {
            return Err(Error::Mismatch("size"));
        }
        if stored.media_type != upload.description.media_type {
            return Err(Error::Mismatch("media_type"));
        }
        Ok(())
    }
}

impl Upload {
    fn content(&self) -> Content {
        Content { sha256: self.sha256, size: self.size }
    }

    fn artifact(&self, id: ArtifactId, now: Timestamp) -> Artifact {
        Artifact::new(id, self.description.clone(), self.origin.clone(), self.content(), now)
    }
}
