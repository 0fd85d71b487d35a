//! Extractors whose problems name the wrong place of a request.
//!
//! Types decide what is allowed. Put `#[serde(deny_unknown_fields)]` on request bodies.

mod strict;

use axum::extract::{FromRequest, FromRequestParts, Request, path::ErrorKind, rejection::PathRejection};
use bytes::Bytes;
use http::{HeaderMap, header, request::Parts};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use sequent_core::Code;
use serde::{Serialize, de::DeserializeOwned};
use serde_path_to_error::Segment;

use crate::Problem;
use strict::Strict;

/// A JSON body, of requests and responses.
#[derive(Debug, Clone, Copy, Default)]
pub struct Json<T>(pub T);

/// A JSON body that may have the type `text/plain` or none, because `fetch` sends it so by default. A form can send such
/// a body, too; [`crate::csrf`] protects against that.
#[derive(Debug, Clone, Copy, Default)]
pub struct UnlabelledJson<T>(pub T);

/// The maximum size of a body in bytes. The pipeline sets it, and a route overrides it with the layer
/// `axum::Extension(BodyLimit(..))`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BodyLimit(pub usize);

/// Extracts and validates the query string.
#[derive(Debug, Clone, Copy, Default)]
pub struct Query<T>(pub T);

/// The parameters in the path. A malformed id is 404.
#[derive(Debug, Clone, Copy)]
pub struct Path<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        if is_json(&media_type(request.headers())) {
            read(request).await.map(Self)
        } else {
            Err(not_labelled())
        }
    }
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for UnlabelledJson<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let media_type = media_type(request.headers());
        let unlabelled = media_type.is_empty() || media_type == "text/plain";
        if unlabelled || is_json(&media_type) { read(request).await.map(Self) } else { Err(not_labelled()) }
    }
}

async fn read<T: DeserializeOwned>(request: Request) -> Result<T, Problem> {
    from_json(&body(request).await?)
}

fn not_labelled() -> Problem {
    Problem::new(Code::UnsupportedMediaType, "The body must be application/json.")
}

impl<T: Serialize> axum::response::IntoResponse for Json<T> {
    fn into_response(self) -> axum::response::Response {
        axum::Json(self.0).into_response()
    }
}

/// Reads the body, up to the limit of the route.
pub(crate) async fn body(request: Request) -> Result<Bytes, Problem> {
    let limit = request.extensions().get::<BodyLimit>().copied();
    let BodyLimit(limit) =
        limit.ok_or_else(|| Problem::internal("the router is not wrapped in the HTTP pipeline"))?;
    match Limited::new(request.into_body(), limit).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => {
            let detail = format!("The body is larger than this route allows: at most {limit} bytes.");
            Err(Problem::new(Code::BodyTooLarge, detail).with("max_bytes", limit))
        }
        Err(_) => Err(Problem::new(Code::BodyUnreadable, "The body ended early. Send the request again.")),
    }
}

/// Parses a JSON body.
///
/// # Errors
/// 400 if it is not JSON, and 422 with the wrong place if it is not a `T`.
pub fn from_json<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    use serde_json::error::Category;

    let mut json = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(Strict(&mut json)).map_err(|error| {
        let pointer = pointer(error.path());
        let error = error.into_inner();
        match error.classify() {
            Category::Data => {
                Problem::invalid("The body is JSON, but not of the form that the route accepts.")
                    .at(&pointer, message(&error))
            }
            Category::Syntax | Category::Eof | Category::Io => not_json(&error),
        }
    })?;
    json.end().map_err(|error| not_json(&error))?;
    Ok(value)
}

/// Parses a JSON body that may be missing. `null` also means none.
///
/// # Errors
/// As [`from_json`].
pub fn optional_json<T: DeserializeOwned>(body: &[u8]) -> Result<Option<T>, Problem> {
    if body.is_empty() { Ok(None) } else { from_json(body) }
}

fn not_json(error: &serde_json::Error) -> Problem {
    let detail = format!("The body is not JSON (line {}, column {}).", error.line(), error.column());
    Problem::new(Code::InvalidJson, detail)
}

/// The message without the position, because the pointer is more useful.
fn message(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.rsplit_once(" at line ").map_or_else(|| text.clone(), |(message, _)| message.to_owned())
}

/// The JSON pointer of a path (RFC 6901). `~` and `/` in a name are escaped.
fn pointer(path: &serde_path_to_error::Path) -> String {
    path.iter().fold(String::new(), |pointer, segment| match segment {
        Segment::Seq { index } => format!("{pointer}/{index}"),
        Segment::Map { key } => format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1")),
        Segment::Enum { .. } | Segment::Unknown => pointer,
    })
}

/// The content type in lower case, without its parameters. Empty if there is none.
fn media_type(headers: &HeaderMap) -> String {
    let text = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

fn is_json(media_type: &str) -> bool {
    media_type == "application/json"
        || (media_type.starts_with("application/") && media_type.ends_with("+json"))
}

impl<T: DeserializeOwned, S: Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let pairs = form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes());
        serde_path_to_error::deserialize(serde_urlencoded::Deserializer::new(pairs)).map(Self).map_err(
            |error| {
                let name = error.path().to_string();
                let problem = Problem::new(
                    Code::InvalidQuery,
                    "A query parameter is unknown or has a value that is not allowed.",
                );
                problem.at_parameter(if name == "." { "" } else { &name }, error.into_inner().to_string())
            },
        )
    }
}

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let found = axum::extract::Path::<T>::from_request_parts(parts, state).await;
        found.map(|axum::extract::Path(value)| Self(value)).map_err(|rejection| {
            let PathRejection::FailedToDeserializePathParams(failed) = &rejection else {
                return Problem::internal(rejection); // the route has no parameters, which is a bug
            };
            let problem = Problem::not_found("There is nothing with this id.");
            match failed.kind() {
                ErrorKind::WrongNumberOfParameters { .. } | ErrorKind::UnsupportedType { .. } => {
                    Problem::internal(rejection)
                }
                ErrorKind::ParseErrorAtKey { key, .. } | ErrorKind::DeserializeError { key, .. } => {
                    problem.at_parameter(key, "not a valid id")
                }
                _ => problem,
            }
        })
    }
}

#[cfg(test)]
mod tests;
