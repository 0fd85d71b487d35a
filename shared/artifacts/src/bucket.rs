//! The bucket. Objects are put once, read, and deleted version by version.

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

use crate::{Artifact, Content, Digest, Disposition, Error, inert};

/// The validity of a signed link. Clients use it at once.
const LINK: Duration = Duration::from_secs(300);
/// Enough for the largest object that passes through a function, on a slow connection.
const ATTEMPT: Duration = Duration::from_secs(20);
const OPERATION: Duration = Duration::from_secs(60);

/// The bucket of a deployment's objects. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Bucket {
    client: Client,
    name: Arc<str>,
}

/// A signed request, which needs no credentials and is valid for five minutes.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "plain data")]
pub struct Link {
    pub method: String,
    pub url: String,
    /// Headers that the request must have, with exactly these values: the signature covers them.
    pub headers: BTreeMap<String, String>,
}

/// The properties of an object in the bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredObject {
    pub(crate) size: u64,
    pub(crate) media_type: String,
    pub(crate) sha256: Option<String>,
    pub(crate) version: Option<String>,
}

impl Bucket {
    /// Makes a client for the bucket of this name.
    #[must_use]
    pub fn new(config: &SdkConfig, name: &str) -> Self {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(Duration::from_secs(2))
            .operation_attempt_timeout(ATTEMPT)
            .operation_timeout(OPERATION)
            .build();
        // Emulators have no host name per bucket.
        let by_path = config.endpoint_url().is_some();
        let config =
            aws_sdk_s3::config::Builder::from(config).timeout_config(timeouts).force_path_style(by_path);
        Self { client: Client::from_conf(config.build()), name: name.into() }
    }

    /// Puts the bytes unless the object exists.
    pub(crate) async fn put(
        &self,
        tenant: TenantId,
        digest: &Digest,
        media_type: &str,
        bytes: Bytes,
    ) -> Result<(), Error> {
        let put = self.client.put_object();
        let put = put.bucket(&*self.name).key(key::object_path(tenant, digest.bytes()));
        // S3 computes the checksum itself and refuses bytes with another one.
        let put = put.if_none_match("*").checksum_sha256(digest.base64()).content_type(media_type);
        match put.body(ByteStream::from(bytes)).send().await {
            Ok(_) => Ok(()),
            Err(error) if is(&error, "PreconditionFailed") => Ok(()), // the existing object has the same digest
            Err(error) => Err(Error::bucket(error)),
        }
    }

    /// Reads the properties of an object. Returns `None` if it does not exist.
    pub(crate) async fn head(
        &self,
        tenant: TenantId,
        digest: &Digest,
    ) -> Result<Option<StoredObject>, Error> {
        let head =
            self.client.head_object().bucket(&*self.name).key(key::object_path(tenant, digest.bytes()));
        match head.checksum_mode(ChecksumMode::Enabled).send().await {
            Ok(head) => Ok(Some(StoredObject {
                size: head.content_length().and_then(|size| size.try_into().ok()).unwrap_or_default(),
                media_type: head.content_type().unwrap_or_default().to_owned(),
                sha256: head.checksum_sha256().map(str::to_owned),
                version: head.version_id().filter(|version| *version != "null").map(str::to_owned),
            })),
            Err(SdkError::ServiceError(error)) if error.err().is_not_found() => Ok(None),
            Err(error) => Err(Error::bucket(error)),
        }
    }

    /// Reads the bytes of an object. Returns `None` if it does not exist.
    ///
    /// # Errors
    /// [`Error::Mismatch`] if the object has more than `most` bytes, or an error of the bucket.
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

    /// Deletes one version. Does nothing if the version does not exist.
    pub(crate) async fn delete(&self, tenant: TenantId, digest: &Digest, version: &str) -> Result<(), Error> {
        let delete =
            self.client.delete_object().bucket(&*self.name).key(key::object_path(tenant, digest.bytes()));
        match delete.version_id(version).send().await {
            Ok(_) => Ok(()),
            Err(error) if is(&error, "NoSuchVersion") => Ok(()),
            Err(error) => Err(Error::bucket(error)),
        }
    }

    /// Signs a link that downloads the artifact's bytes, whole or by `Range`.
    pub(crate) async fn sign_get(&self, tenant: TenantId, artifact: &Artifact) -> Result<Link, Error> {
        let Artifact { title, media_type, sha256, .. } = artifact;
        let get = self.client.get_object().bucket(&*self.name).key(key::object_path(tenant, sha256.bytes()));
        let get = get
            .response_content_type(inert(media_type))
            .response_content_disposition(Disposition { title, media_type }.attachment())
            .response_cache_control("private, max-age=300");
        Ok(link(&get.presigned(lifetime()).await.map_err(Error::bucket)?))
    }

    /// Signs a link that uploads exactly these bytes, once.
    pub(crate) async fn sign_put(
        &self,
        tenant: TenantId,
        content: Content,
        media_type: &str,
    ) -> Result<Link, Error> {
        let Content { sha256, size } = content;
        let put = self.client.put_object().bucket(&*self.name).key(key::object_path(tenant, sha256.bytes()));
        let put = put
            .if_none_match("*")
            .content_length(i64::try_from(size).unwrap_or(i64::MAX))
            .content_type(media_type)
            .checksum_sha256(sha256.base64());
        Ok(link(&put.presigned(lifetime()).await.map_err(Error::bucket)?))
    }
}

fn lifetime() -> PresigningConfig {
    PresigningConfig::expires_in(LINK).expect("five minutes are less than the maximum of a week")
}

fn link(request: &PresignedRequest) -> Link {
    let headers = request.headers().map(|(name, value)| (name.to_owned(), value.to_owned()));
    Link { method: request.method().to_owned(), url: request.uri().to_owned(), headers: headers.collect() }
}

fn is<E: ProvideErrorMetadata, R>(error: &SdkError<E, R>, code: &str) -> bool {
    error.as_service_error().and_then(ProvideErrorMetadata::code) == Some(code)
}
