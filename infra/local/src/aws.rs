//! A small signing client for the AWS endpoint of the stack: MiniStack, or the endpoint that
//! `AWS_ENDPOINT_URL` names. One client for all services keeps the SDK crates, and their build time, out of
//! this tool.

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{PayloadChecksumKind, SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

/// Time limit of one call. A stack operation consists of many calls.
const CALL_TIMEOUT: Duration = Duration::from_secs(60);

/// Failures of a call.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "plain data")]
pub enum Error {
    /// The endpoint did not answer.
    #[error("cannot reach the AWS endpoint {endpoint}: {reason}")]
    Unreachable { endpoint: String, reason: String },
    /// The service refused the call.
    #[error("{operation}: {code}: {message}")]
    Refused {
        operation: String,
        /// AWS error code, without its namespace.
        code: String,
        message: String,
    },
    /// The request could not be built or the answer not read.
    #[error("{operation}: {reason}")]
    Malformed { operation: String, reason: String },
}

impl Error {
    /// Returns the AWS error code if the service refused the call.
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Refused { code, .. } => Some(code),
            _ => None,
        }
    }
}

/// An endpoint and the credentials for it. Clones are cheap and share the connection pool.
#[derive(Clone)]
pub struct Endpoint {
    url: String,
    /// URL of DynamoDB, if it has one of its own.
    database: Option<String>,
    region: String,
    credentials: Credentials,
    client: Client<HttpConnector, Full<Bytes>>,
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Endpoint")
            .field("url", &self.url)
            .field("region", &self.region)
            .finish_non_exhaustive()
    }
}

impl Endpoint {
    /// Creates the endpoint of an emulator on this machine, which accepts any credentials.
    pub fn local(url: &str) -> Self {
        Self::new(url, "us-east-1", Credentials::new("test", "test", None, None, "local"))
    }

    /// Creates an endpoint that the user has chosen, with the environment's region and credentials if they
    /// are set.
    pub fn from_env(url: &str) -> Self {
        let var = |name| std::env::var(name).ok().filter(|v: &String| !v.is_empty());
        let key = var("AWS_ACCESS_KEY_ID").unwrap_or_else(|| "test".to_owned());
        let secret = var("AWS_SECRET_ACCESS_KEY").unwrap_or_else(|| "test".to_owned());
        let region =
            var("AWS_REGION").or_else(|| var("AWS_DEFAULT_REGION")).unwrap_or_else(|| "us-east-1".to_owned());
        Self::new(url, &region, Credentials::new(key, secret, var("AWS_SESSION_TOKEN"), None, "environment"))
    }

    fn new(url: &str, region: &str, credentials: Credentials) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        Self {
            url: url.trim_end_matches('/').to_owned(),
            database: None,
            region: region.to_owned(),
            credentials,
            client: Client::builder(TokioExecutor::new()).build(connector),
        }
    }

    /// Returns the URL of DynamoDB, without a trailing slash.
    pub fn database_url(&self) -> &str {
        self.database.as_ref().unwrap_or(&self.url)
    }

    /// Returns this endpoint with another URL for DynamoDB.
    #[must_use]
    pub fn with_database(&self, url: &str) -> Self {
        Self { database: Some(url.to_owned()), ..self.clone() }
    }

    /// Returns the endpoint at another URL, which serves all services to the owner of these credentials.
    #[must_use]
    pub fn seen_by(&self, url: &str, credentials: Credentials) -> Self {
        Self { url: url.to_owned(), database: None, credentials, ..self.clone() }
    }

    /// Returns the id of the access key that signs requests.
    pub fn key_id(&self) -> &str {
        self.credentials.access_key_id()
    }

    /// Returns the base URL, without a trailing slash.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Returns the region that requests are signed for.
    pub fn region(&self) -> &str {
        &self.region
    }

    /// Returns the environment variables with which a function reaches this endpoint.
    pub fn function_env(&self) -> Vec<(String, String)> {
        let mut env = vec![
            ("AWS_ENDPOINT_URL".to_owned(), self.url.clone()),
            ("AWS_REGION".to_owned(), self.region.clone()),
            ("AWS_DEFAULT_REGION".to_owned(), self.region.clone()),
            ("AWS_ACCESS_KEY_ID".to_owned(), self.credentials.access_key_id().to_owned()),
            ("AWS_SECRET_ACCESS_KEY".to_owned(), self.credentials.secret_access_key().to_owned()),
        ];
        if let Some(url) = &self.database {
            env.push(("AWS_ENDPOINT_URL_DYNAMODB".to_owned(), url.clone()));
        }
        if let Some(token) = self.credentials.session_token() {
            env.push(("AWS_SESSION_TOKEN".to_owned(), token.to_owned()));
        }
        env
    }

    /// Calls a service with a JSON protocol (DynamoDB, Secrets Manager, ...). `target` is the `X-Amz-Target`.
    pub async fn json(&self, service: &str, target: &str, body: &Value) -> Result<Value, Error> {
        let request = http::Request::post("/")
            // Secrets Manager uses version 1.1 and DynamoDB 1.0. Both accept either version here.
            .header("content-type", "application/x-amz-json-1.0")
            .header("x-amz-target", target);
        let answer = self.call(service, target, request, Bytes::from(body.to_string())).await?;
        parse_json(target, &answer)
    }

    /// Calls a service with the query protocol (CloudFormation, IAM): the request is a form, the answer XML.
    pub async fn query(&self, service: &str, action: &str, fields: &[(&str, &str)]) -> Result<String, Error> {
        let version = if service == "iam" { "2010-05-08" } else { "2010-05-15" };
        let body = form_urlencoded::Serializer::new(String::new())
            .append_pair("Action", action)
            .append_pair("Version", version)
            .extend_pairs(fields)
            .finish();
        let request = http::Request::post("/").header("content-type", "application/x-www-form-urlencoded");
        let answer = self.call(service, action, request, Bytes::from(body)).await?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }

    /// Calls a REST service (S3, Lambda).
    pub async fn rest(
        &self,
        service: &str,
        method: http::Method,
        path: &str,
        body: Bytes,
    ) -> Result<Bytes, Error> {
        let operation = format!("{service} {method} {path}");
        self.call(service, &operation, http::Request::builder().method(method).uri(path), body).await
    }

    /// Puts an S3 object if there is none. Returns `false` if there is one.
    pub async fn put_new(&self, path: &str, body: Bytes) -> Result<bool, Error> {
        let operation = format!("s3 PUT {path}, if there is none");
        let request = http::Request::put(path).header("if-none-match", "*");
        match self.call("s3", &operation, request, body).await {
            Ok(_) => Ok(true),
            // A conflict means that another put is in progress: it has won or will win.
            Err(Error::Refused { code, .. })
                if matches!(&*code, "PreconditionFailed" | "ConditionalRequestConflict") =>
            {
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    async fn call(
        &self,
        service: &str,
        operation: &str,
        request: http::request::Builder,
        body: Bytes,
    ) -> Result<Bytes, Error> {
        let malformed = |reason: String| Error::Malformed { operation: operation.to_owned(), reason };
        let unreachable = |reason: String| Error::Unreachable { endpoint: self.url.clone(), reason };
        let request = self.sign(service, request, body).map_err(|e| malformed(e.to_string()))?;
        let exchange = async {
            let answer = self.client.request(request).await.map_err(|e| unreachable(chain(&e)))?;
            let (parts, body) = answer.into_parts();
            let bytes = body.collect().await.map_err(|e| unreachable(chain(&e)))?.to_bytes();
            Ok((parts.status, bytes))
        };
        let (status, bytes) = tokio::time::timeout(CALL_TIMEOUT, exchange)
            .await
            .map_err(|_| unreachable(format!("no answer within {} s", CALL_TIMEOUT.as_secs())))??;
        if status.is_success() {
            return Ok(bytes);
        }
        let (code, message) = refusal(&bytes);
        let code = if code.is_empty() { status.as_u16().to_string() } else { code };
        Err(Error::Refused { operation: operation.to_owned(), code, message })
    }

    fn sign(
        &self,
        service: &str,
        request: http::request::Builder,
        body: Bytes,
    ) -> Result<http::Request<Full<Bytes>>, Box<dyn std::error::Error + Send + Sync>> {
        let mut request = request.body(Full::new(body.clone()))?;
        let url = if service == "dynamodb" { self.database_url() } else { self.url() };
        let uri = format!("{url}{}", request.uri());
        *request.uri_mut() = uri.parse()?;
        let authority = request.uri().authority().map(ToString::to_string).unwrap_or_default();
        request.headers_mut().insert(http::header::HOST, authority.parse()?);

        let identity = self.credentials.clone().into();
        let mut settings = SigningSettings::default();
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name(service)
            .time(SystemTime::now())
            .settings(settings)
            .build()?
            .into();
        let headers =
            request.headers().iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
        let signable =
            SignableRequest::new(request.method().as_str(), uri, headers, SignableBody::Bytes(&body))?;
        let (instructions, _) = sign(signable, &params)?.into_parts();
        instructions.apply_to_request_http1x(&mut request);
        Ok(request)
    }
}

fn parse_json(operation: &str, bytes: &[u8]) -> Result<Value, Error> {
    if bytes.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_slice(bytes)
        .map_err(|e| Error::Malformed { operation: operation.to_owned(), reason: e.to_string() })
}

/// Returns the code and message of an error body, in JSON or XML.
fn refusal(bytes: &[u8]) -> (String, String) {
    let text = String::from_utf8_lossy(bytes);
    if let Ok(json) = serde_json::from_slice::<Value>(bytes) {
        let pick =
            |names: &[&str]| names.iter().find_map(|name| json[name].as_str()).unwrap_or_default().to_owned();
        let code = pick(&["__type", "code", "Code", "Type"]);
        let code = code.rsplit('#').next().unwrap_or_default().to_owned();
        return (code, pick(&["message", "Message"]));
    }
    let code = xml_text(&text, "Code").unwrap_or_default();
    (code, xml_text(&text, "Message").unwrap_or_else(|| text.chars().take(500).collect()))
}

/// Returns the text of the first element with this name. This suffices for the flat answers of the query
/// protocol.
pub(crate) fn xml_text(xml: &str, name: &str) -> Option<String> {
    xml_all(xml, name).next().map(unescape)
}

/// Returns the raw contents of every element with this name, in order.
pub(crate) fn xml_all<'a>(xml: &'a str, name: &str) -> impl Iterator<Item = &'a str> {
    let open = format!("<{name}>");
    let close = format!("</{name}>");
    let mut rest = xml;
    std::iter::from_fn(move || {
        let start = rest.find(&open)? + open.len();
        let end = start + rest[start..].find(&close)?;
        let inner = &rest[start..end];
        rest = &rest[end + close.len()..];
        Some(inner)
    })
}

fn unescape(text: &str) -> String {
    text.replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", "\"")
        .replace("&#39;", "'")
        .replace("&amp;", "&")
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text = format!("{text}: {inner}");
        source = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_read_in_both_protocols() {
        let json = br#"{"__type":"com.amazonaws.dynamodb#ConditionalCheckFailedException","message":"no"}"#;
        assert_eq!(refusal(json), ("ConditionalCheckFailedException".into(), "no".into()));
        let xml = b"<ErrorResponse><Error><Code>ValidationError</Code><Message>a &lt; b</Message></Error></ErrorResponse>";
        assert_eq!(refusal(xml), ("ValidationError".into(), "a < b".into()));
    }

    #[test]
    fn xml_elements_are_found_in_order() {
        let xml = "<m><k>1</k></m><m><k>2</k></m>";
        let values: Vec<_> = xml_all(xml, "m").filter_map(|m| xml_text(m, "k")).collect();
        assert_eq!(values, ["1", "2"]);
    }

    #[test]
    fn debug_shows_no_credentials() {
        let endpoint = Endpoint::new("http://x", "r", Credentials::new("AKID", "hidden", None, None, "t"));
        assert!(!format!("{endpoint:?}").contains("hidden"));
    }
}
