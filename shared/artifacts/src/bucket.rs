//! The bucket: objects are put once, read, and deleted version by version.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use aws_config::SdkConfig;
use aws_sdk_s3::{
    Client,
    config::timeout::TimeoutConfig,
    error::{ProvideErrorMetadata, SdkError},
    presigning::{PresignedRequest, PresigningConfig},
    primitives::ByteStream,
    types::ChecksumMode,
};
use bytes::Bytes;
use sequent_core::TenantId;
use sequent_tables::key;

use crate::{Artifact, Digest, Disposition, Error, inert};

/// How long a link to read or write an object works. What it is for begins at once.
const LINK: Duration = Duration::from_secs(300);
/// A put of the most that passes through a function takes this long on a poor day.
const ATTEMPT: Duration = Duration::from_secs(20);
const OPERATION: Duration = Duration::from_secs(60);

/// The bucket of a deployment's objects. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Bucket {
    client: Client,
    name: Arc<str>,
}

/// A request that somebody without credentials of ours may make for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Its method.
    pub method: String,
    /// Where to.
    pub url: String,
    /// The headers it must have, with exactly these values: they are signed.
    pub headers: BTreeMap<String, String>,
}

/// What stands in the bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) size: u64,
    pub(crate) media_type: String,
    pub(crate) sha256: Option<String>,
    pub(crate) version: Option<String>,
}

impl Bucket {
    /// The bucket of this name.
    #[must_use]
    pub fn new(config: &SdkConfig, name: &str) -> Self {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(Duration::from_secs(2))
            .operation_attempt_timeout(ATTEMPT)
            .operation_timeout(OPERATION)
            .build();
        // Emulators have no name of their own for each bucket.
        let by_path = config.endpoint_url().is_some();
        let config =
            aws_sdk_s3::config::Builder::from(config).timeout_config(timeouts).force_path_style(by_path);
        Self { client: Client::from_conf(config.build()), name: name.into() }
    }

    /// Puts the bytes, unless they are there.
    pub(crate) async fn put(
        &self,
        tenant: TenantId,
        digest: &Digest,
        media_type: &str,
        bytes: Bytes,
    ) -> Result<(), Error> {
        let put = self.client.put_object();
        let put = put.bucket(&*self.name).key(key::object_path(tenant, digest.bytes()));
        // S3 computes the checksum itself and refuses bytes that have another.
        let put = put.if_none_match("*").checksum_sha256(digest.base64()).content_type(media_type);
        match put.body(ByteStream::from(bytes)).send().await {
            Ok(_) => Ok(()),
            Err(error) if is(&error, "PreconditionFailed") => Ok(()), // what is there has the same digest
            Err(error) => Err(Error::bucket(error)),
        }
    }

    /// What stands there.
    pub(crate) async fn head(&self, tenant: TenantId, digest: &Digest) -> Result<Option<Stored>, Error> {
        let head =
            self.client.head_object().bucket(&*self.name).key(key::object_path(tenant, digest.bytes()));
        match head.checksum_mode(ChecksumMode::Enabled).send().await {
            Ok(head) => Ok(Some(Stored {
                size: head.content_length().and_then(|size| size.try_into().ok()).unwrap_or_default(),
                media_type: head.content_type().unwrap_or_default().to_owned(),
                sha256: head.checksum_sha256().map(str::to_owned),
                version: head.version_id().filter(|version| *version != "null").map(str::to_owned),
            })),
            Err(SdkError::ServiceError(error)) if error.err().is_not_found() => Ok(None),
            Err(error) => Err(Error::bucket(error)),
        }
    }

    /// The bytes, if they are there and at most `most`.
    ///
    /// # Errors
    /// When there are more, or the bucket fails.
    pub async fn get(&self, tenant: TenantId, digest: &Digest, most: u64) -> Result<Option<Bytes>, Error> {
        let get = self.client.get_object().bucket(&*self.name).key(key::object_path(tenant, digest.bytes()));
        let found = match get.send().await {
            Ok(found) => found,
            Err(SdkError::ServiceError(error)) if error.err().is_no_such_key() => return Ok(None),
            Err(error) => return Err(Error::bucket(error)),
        };
        if found.content_length().is_none_or(|size| u64::try_from(size).is_ok_and(|size| size > most)) {
            return Err(Error::Mismatch("size"));
        }
        let bytes = found.body.collect().await.map_err(|error| Error::Bucket(Box::new(error)))?;
        Ok(Some(bytes.into_bytes()))
    }

    /// Deletes one version; one that is gone already is as good.
    pub(crate) async fn delete(&self, tenant: TenantId, digest: &Digest, version: &str) -> Result<(), Error> {
        let delete =
            self.client.delete_object().bucket(&*self.name).key(key::object_path(tenant, digest.bytes()));
        match delete.version_id(version).send().await {
            Ok(_) => Ok(()),
            Err(error) if is(&error, "NoSuchVersion") => Ok(()),
            Err(error) => Err(Error::bucket(error)),
        }
    }

    /// A link under which the artifact's bytes can be saved, whole or by `Range`.
    pub(crate) async fn reading(&self, tenant: TenantId, artifact: &Artifact) -> Result<Link, Error> {
        let Artifact { title, media_type, sha256, .. } = artifact;
        let get = self.client.get_object().bucket(&*self.name).key(key::object_path(tenant, sha256.bytes()));
        let get = get
            .response_content_type(inert(media_type))
            .response_content_disposition(Disposition { title, media_type }.attachment())
            .response_cache_control("private, max-age=300");
        Ok(link(&get.presigned(lifetime()).await.map_err(Error::bucket)?))
    }

    /// A link to put exactly these bytes, once.
    pub(crate) async fn writing(
        &self,
        tenant: TenantId,
        (digest, size): (&Digest, u64),
        media_type: &str,
    ) -> Result<Link, Error> {
        let put = self.client.put_object().bucket(&*self.name).key(key::object_path(tenant, digest.bytes()));
        let put = put
            .if_none_match("*")
            .content_length(i64::try_from(size).unwrap_or(i64::MAX))
            .content_type(media_type)
            .checksum_sha256(digest.base64());
        Ok(link(&put.presigned(lifetime()).await.map_err(Error::bucket)?))
    }
}

fn lifetime() -> PresigningConfig {
    PresigningConfig::expires_in(LINK).expect("minutes are less than the week that links may live")
}

fn link(request: &PresignedRequest) -> Link {
    let headers = request.headers().map(|(name, value)| (name.to_owned(), value.to_owned()));
    Link { method: request.method().to_owned(), url: request.uri().to_owned(), headers: headers.collect() }
}

fn is<E: ProvideErrorMetadata, R>(error: &SdkError<E, R>, code: &str) -> bool {
    error.as_service_error().and_then(ProvideErrorMetadata::code) == Some(code)
}
