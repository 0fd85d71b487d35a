//! Uploads that go to the bucket directly.
//!
//! Whoever uploads says beforehand what: digest, length and type. The link they get is signed over all three, so the
//! bucket refuses anything else, and the key is the digest, so nothing can be overwritten. The artifact's row appears
//! once the bucket itself has said that what stands there is what was announced.

use std::time::Duration;

use sequent_core::{ArtifactId, TenantId, Timestamp};
use sequent_tables::{Row, key};
use serde::{Deserialize, Serialize};

use crate::{
    Artifact, Artifacts, Description, Digest, Error, Link, Origin,
    artifacts::pause,
    object::{Standing, want},
};

/// Most bytes of an upload.
pub const LARGEST: u64 = 256 << 20;
/// How long an upload may be completed. Far less than the collector waits.
const LIFETIME: Duration = Duration::from_secs(3600);
const ATTEMPTS: u32 = 10;

/// Bytes that somebody wants to upload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upload {
    /// Their digest.
    pub sha256: Digest,
    /// How many.
    pub size: u64,
    /// What they are.
    #[serde(flatten)]
    pub description: Description,
    /// Who makes the artifact.
    #[serde(flatten)]
    pub origin: Origin,
}

/// An upload as it is kept until it is completed.
#[derive(Debug, Serialize, Deserialize)]
struct Offered {
    #[serde(flatten)]
    upload: Upload,
    offered_at: Timestamp,
}

/// What there is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Offer {
    /// Nothing: the tenant has these bytes, and this is the artifact.
    Stored(Artifact),
    /// Put the bytes, then complete the upload with this id.
    Put(ArtifactId, Link),
}

impl Artifacts {
    /// Offers a link to upload bytes.
    ///
    /// # Errors
    /// When the description cannot be taken, or the table fails.
    pub async fn offer(&self, tenant: TenantId, upload: Upload) -> Result<Offer, Error> {
        let description = upload.description.clone().checked()?;
        let upload = Upload { description, ..upload };
        let (id, now) = (ArtifactId::new(), Timestamp::now());
        for attempt in 0..ATTEMPTS {
            let Some(object) = want(&self.store, tenant, (&upload.sha256, upload.size)).await? else {
                pause(attempt).await;
                continue;
            };
            if object.standing == Standing::Stored && object.size == upload.size {
                match self.record(tenant, &artifact(id, &upload, now)).await? {
                    Some(artifact) => return Ok(Offer::Stored(artifact)),
                    None => continue,
                }
            }
            let media_type = &upload.description.media_type;
            let link = self.bucket.writing(tenant, (&upload.sha256, upload.size), media_type).await?;
            let row = Row::new(&key::upload(tenant, id), &Offered { upload, offered_at: now })?;
            self.store.insert(row.expires_at(now + LIFETIME)).await?;
            return Ok(Offer::Put(id, link));
        }
        Err(Error::Busy)
    }

    /// Makes the artifact of an upload, once the bytes are there. Completing it again gives the same artifact.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such upload any more, [`Error::NotUploaded`] and [`Error::Mismatch`] when what
    /// is there is not what was announced; when the table or the bucket fails.
    pub async fn complete(&self, tenant: TenantId, id: ArtifactId) -> Result<Artifact, Error> {
        let place = key::upload(tenant, id);
        let offered: Option<Offered> = self.store.get(&place).await?;
        let live = |offered: &Offered| Timestamp::now().since(offered.offered_at) < LIFETIME;
        let Some(Offered { upload, .. }) = offered.filter(live) else {
            return self.get(tenant, id).await; // completed before, or never offered
        };
        let digest = upload.sha256;
        let stored = self.bucket.head(tenant, &digest).await?.ok_or(Error::NotUploaded)?;
        if stored.sha256.as_deref() != Some(&digest.base64()) {
            return Err(Error::Mismatch("checksum"));
        }
        if stored.size != upload.size {
            return Err(Error::Mismatch("size"));
        }
        if stored.media_type != upload.description.media_type {
            return Err(Error::Mismatch("media_type"));
        }
        match self.record(tenant, &artifact(id, &upload, Timestamp::now())).await? {
            Some(artifact) => {
                self.store.delete(&place).await?;
                Ok(artifact)
            }
            None => Err(Error::NotUploaded),
        }
    }
}

fn artifact(id: ArtifactId, upload: &Upload, now: Timestamp) -> Artifact {
    let Upload { sha256, size, description, origin } = upload.clone();
    Artifact::new(id, description, origin, (sha256, size), now)
}
