//! Names the permissions that a request needs, as the Service Authorization Reference of AWS lists them for each service.

mod bedrock;
mod dynamodb;
mod json;
mod query;
mod s3;

pub(super) use s3::to_know_that_it_is_missing;

use std::collections::BTreeMap;

use bytes::Bytes;
use http::request::Parts;

use super::arn::{ACCOUNT, Resources};
use super::condition::{Circumstances, SECURE_TRANSPORT};

/// One permission that a request needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Need {
    pub(super) action: String,
    /// ARN, or `*` for an action without a resource.
    pub(super) resource: String,
    pub(super) circumstances: Circumstances,
}

/// A request whose needs are not known. It is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unknown {
    pub(super) action: String,
    /// The cause, in words for the developer.
    pub(super) reason: String,
}

/// The credentials of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Signed {
    pub(super) key_id: String,
    pub(super) service: String,
    /// The request is a presigned link, which the function has given to its client.
    pub(super) by_link: bool,
}

/// Facts about the deployment that requests do not repeat.
#[derive(Debug, Clone)]
pub(super) struct World {
    region: String,
    /// Key attributes of each table by its name.
    tables: BTreeMap<String, dynamodb::Keys>,
}

impl Need {
    pub(super) fn new(action: &str, resource: &str) -> Self {
        // The connections of this machine count as TLS, which AWS's endpoints require.
        let circumstances = Circumstances::from([(SECURE_TRANSPORT, vec!["true".to_owned()])]);
        Self { action: action.to_owned(), resource: resource.to_owned(), circumstances }
    }

    fn with(mut self, key: &'static str, values: Vec<String>) -> Self {
        self.circumstances.insert(key, values);
        self
    }
}

impl std::fmt::Display for Need {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} on resource: {}", self.action, self.resource)
    }
}

impl Unknown {
    fn new(service: &str, operation: &str, reason: &str) -> Self {
        Self { action: format!("{service}:{operation}"), reason: reason.to_owned() }
    }
}

impl Signed {
    /// Reads the credential scope of the `Authorization` header or of a presigned URL:
    /// `KEY/20260101/us-east-1/dynamodb/aws4_request`.
    pub(super) fn of(parts: &Parts) -> Option<Self> {
        let header = parts.headers.get(http::header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let scope = match header {
            Some(header) => header.split("Credential=").nth(1)?.split(',').next()?.to_owned(),
            None => parameter(parts, "X-Amz-Credential")?,
        };
        let [key_id, _, _, service, _] = scope.split('/').collect::<Vec<_>>()[..] else { return None };
        Some(Self { key_id: key_id.to_owned(), service: service.to_owned(), by_link: header.is_none() })
    }
}

impl World {
    pub(super) fn new(resources: Resources<'_>) -> Self {
        let tables = resources.template.resources_of("AWS::DynamoDB::Table").filter_map(|(id, table)| {
            let name = resources.physical(id).ok()?;
            Some((name.to_owned(), dynamodb::Keys::of(&table["Properties"])))
        });
        Self { region: resources.region.to_owned(), tables: tables.collect() }
    }

    fn arn(&self, service: &str, rest: &str) -> String {
        format!("arn:aws:{service}:{}:{ACCOUNT}:{rest}", self.region)
    }

    /// Returns the needs of a request, each of which must be allowed. `body` is empty for S3.
    pub(super) fn needs(&self, service: &str, parts: &Parts, body: &Bytes) -> Result<Vec<Need>, Unknown> {
        match service {
            "dynamodb" => dynamodb::needs(self, &operation(parts), body),
            "s3" => s3::needs(parts),
            "sqs" | "secretsmanager" | "ssm" if !operation(parts).is_empty() => {
                json::needs(self, service, &operation(parts), body)
            }
            "bedrock" => bedrock::needs(self, parts),
            "lambda" | "ses" if parts.uri.path() != "/" => json::rest(self, service, parts, body),
            _ => query::needs(self, service, body),
        }
    }
}

/// Returns the operation that `X-Amz-Target` names.
fn operation(parts: &Parts) -> String {
    let target =
        parts.headers.get("x-amz-target").and_then(|target| target.to_str().ok()).unwrap_or_default();
    target.rsplit('.').next().unwrap_or_default().to_owned()
}

fn parameter(parts: &Parts, name: &str) -> Option<String> {
    let query = parts.uri.query()?;
    form_urlencoded::parse(query.as_bytes()).find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

#[cfg(test)]
mod tests;
