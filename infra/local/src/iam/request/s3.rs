//! S3, with buckets in the path. The permission depends on the method, on a few parameters, and on headers.

use http::Method;
use http::request::Parts;

use super::{Need, Unknown, parameter};
use crate::iam::condition::{IF_NONE_MATCH, OBJECT_CREATION, PREFIX};

/// Bucket and key of a request.
struct Place {
    bucket: String,
    key: String,
}

impl Place {
    fn of(parts: &Parts) -> Self {
        let path = parts.uri.path().trim_start_matches('/');
        let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
        Self { bucket: bucket.to_owned(), key: percent_decoded(key) }
    }

    fn bucket_arn(&self) -> String {
        format!("arn:aws:s3:::{}", self.bucket)
    }

    fn arn(&self) -> String {
        format!("arn:aws:s3:::{}/{}", self.bucket, self.key)
    }
}

pub(super) fn needs(parts: &Parts) -> Result<Vec<Need>, Unknown> {
    let place = Place::of(parts);
    if let Some(unknown) = unknown(parts) {
        return Err(Unknown::new("s3", &format!("{} {}", parts.method, parts.uri.path()), &unknown));
    }
    let has = |name: &str| parameter(parts, name).is_some();
    let versioned = has("versionId");
    let one = |action: &str| Ok(vec![Need::new(action, &place.arn())]);
    match (&parts.method, place.key.is_empty()) {
        (&Method::GET | &Method::HEAD, true) => Ok(vec![of_bucket(parts, &place)]),
        (&Method::GET, false) if has("uploadId") => one("s3:ListMultipartUploadParts"),
        (&Method::GET | &Method::HEAD, false) if versioned => one("s3:GetObjectVersion"),
        (&Method::GET | &Method::HEAD, false) => one("s3:GetObject"),
        (&Method::PUT, false) => Ok(vec![creation(parts, &place, !has("uploadId"))]),
        (&Method::POST, false) if has("uploads") => Ok(vec![creation(parts, &place, false)]),
        (&Method::POST, false) if has("uploadId") => Ok(vec![creation(parts, &place, true)]),
        (&Method::DELETE, false) if has("uploadId") => one("s3:AbortMultipartUpload"),
        (&Method::DELETE, false) if versioned => one("s3:DeleteObjectVersion"),
        (&Method::DELETE, false) => one("s3:DeleteObject"),
        (method, _) => {
            let reason = "the operation is not known";
            Err(Unknown::new("s3", &format!("{method} {}", parts.uri.path()), reason))
        }
    }
}

/// Returns the need without which S3 answers 403 instead of 404 for an object that does not exist, if the request reads one.
pub(in crate::iam) fn to_know_that_it_is_missing(parts: &Parts) -> Option<Need> {
    let place = Place::of(parts);
    let reads = matches!(parts.method, Method::GET | Method::HEAD) && !place.key.is_empty();
    reads.then(|| Need::new("s3:ListBucket", &place.bucket_arn()))
}

fn of_bucket(parts: &Parts, place: &Place) -> Need {
    let has = |name: &str| parameter(parts, name).is_some();
    let action = if has("versions") {
        "s3:ListBucketVersions"
    } else if has("uploads") {
        "s3:ListBucketMultipartUploads"
    } else if has("location") {
        "s3:GetBucketLocation"
    } else {
        "s3:ListBucket"
    };
    let need = Need::new(action, &place.bucket_arn());
    match parameter(parts, "prefix") {
        Some(prefix) => need.with(PREFIX, vec![prefix]),
        None => need,
    }
}

/// Returns the need of a write. `creates` is false for the parts of a multipart upload, which create no object yet.
fn creation(parts: &Parts, place: &Place, creates: bool) -> Need {
    let need = Need::new("s3:PutObject", &place.arn()).with(OBJECT_CREATION, vec![creates.to_string()]);
    match header_or_parameter(parts, "if-none-match") {
        Some(tag) => need.with(IF_NONE_MATCH, vec![tag]),
        None => need,
    }
}

fn header_or_parameter(parts: &Parts, name: &str) -> Option<String> {
    let header = parts.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    header.or_else(|| parameter(parts, name))
}

/// Returns the reason if the request has a part that needs more permissions than are known here.
fn unknown(parts: &Parts) -> Option<String> {
    let headers = ["x-amz-copy-source", "x-amz-acl", "x-amz-tagging", "x-amz-bypass-governance-retention"];
    let header = headers.iter().find(|name| parts.headers.contains_key(**name));
    let subresources = [
        "acl",
        "attributes",
        "delete",
        "legal-hold",
        "policy",
        "restore",
        "retention",
        "select",
        "tagging",
        "torrent",
    ];
    let parameter = subresources.iter().find(|name| parameter(parts, name).is_some());
    header.or(parameter).map(|name| format!("the permissions that {name} needs are not known"))
}

/// Decodes a path. In a form a plus sign would be a space, here it is itself.
fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let digits = after.get(..2).filter(|_| *first == b'%').and_then(|hex| std::str::from_utf8(hex).ok());
        match digits.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
