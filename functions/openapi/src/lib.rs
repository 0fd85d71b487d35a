//! Serves the OpenAPI 3.1 document of the whole API.
//!
//! The document is generated from the functions' own annotations and committed, so that this function carries none of
//! their code and a change of the API shows in review. A test compares the two; `UPDATE_OPENAPI=1` writes it anew.

use axum::{Router, response::IntoResponse};
use sequent_http::openapi;
use utoipa_axum::{router::OpenApiRouter, routes};

/// The committed document.
pub const DOCUMENT: &str = include_str!("../openapi.json");

/// The function's routes.
pub fn router() -> Router {
    routed().split_for_parts().0
}

/// The function's own part of the document.
#[must_use]
pub fn openapi() -> utoipa::openapi::OpenApi {
    routed().into_openapi()
}

fn routed() -> OpenApiRouter {
    OpenApiRouter::with_openapi(openapi::base()).routes(routes!(document))
}

/// This document.
///
/// OpenAPI 3.1, for generating clients and for tools.
#[utoipa::path(
    get,
    path = "/api/openapi.json",
    operation_id = "get_openapi",
    tag = "meta",
    security(()),
    responses((status = 200, description = "The document.", content_type = "application/json"), openapi::Problems),
)]
async fn document() -> impl IntoResponse {
    // It changes only with a deployment; a minute keeps tools from asking for every page they draw.
    ([("content-type", "application/json"), ("cache-control", "public, max-age=60")], DOCUMENT)
}
