//! The committed documents: the OpenAPI 3.1 description of the whole API, and the catalogue of error codes.
//!
//! The API document is generated from the annotations of all functions and committed. This way the function
//! contains no code of the others, and a change of the API shows in review. A test compares the two;
//! `UPDATE_OPENAPI=1` writes the file again.

use axum::response::IntoResponse;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use sequent_http::openapi;

/// The committed API document as JSON.
pub const OPENAPI: &str = include_str!("../openapi.json");

/// The committed catalogue of error codes as Markdown.
const ERRORS: &str = include_str!("../../../infra/docs/errors.md");

/// Get the API document.
///
/// The OpenAPI 3.1 document of the whole API, for generating clients and for tools.
#[utoipa::path(
    get,
    path = "/api/openapi.json",
    operation_id = "get_openapi",
    tag = "meta",
    security(()),
    responses(
        (status = 200, description = "The API document.", content_type = "application/json"),
        openapi::Problems
    ),
)]
pub(crate) async fn get_openapi() -> impl IntoResponse {
    document("application/json", OPENAPI)
}

/// List the error codes.
///
/// The catalogue of error codes as Markdown. The `type` of a problem is a link to its section (RFC 9457,
/// section 3.1.1).
#[utoipa::path(
    get,
    path = "/api/errors",
    operation_id = "get_errors",
    tag = "meta",
    security(()),
    responses(
        (status = 200, description = "The catalogue of error codes.", body = String, content_type = "text/markdown"),
        openapi::Problems
    ),
)]
pub(crate) async fn get_errors() -> impl IntoResponse {
    document("text/markdown; charset=utf-8", ERRORS)
}

/// Answers with a committed text. It changes only with a deployment, so caches may keep it for a minute.
fn document(media_type: &'static str, text: &'static str) -> impl IntoResponse {
    ([(CONTENT_TYPE, media_type), (CACHE_CONTROL, "public, max-age=60")], text)
}
