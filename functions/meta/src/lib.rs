//! Describes a deployment to its callers: the health report, the API document and the catalogue of error
//! codes.
//!
//! Everything here is public. The function reads no secret, so it checks neither credentials nor the CDN's
//! secret: it must be able to report that the secrets are unavailable. It
//! also answers the CORS preflight of every route of the HTTP API; the pipeline around the router does that.

mod documents;
mod health;

use std::sync::Arc;

use axum::Router;
use sequent_http::openapi;
use utoipa_axum::{router::OpenApiRouter, routes};

pub use documents::OPENAPI;
use health::Health;
pub use health::{Dependencies, FRESH, LIMIT};

/// The state of the function.
#[derive(Clone)]
pub struct App {
    health: Arc<Health>,
}

impl App {
    /// Creates the state without checking any dependency yet.
    #[must_use]
    pub fn new(dependencies: Dependencies) -> Self {
        Self { health: Arc::new(Health::new(dependencies)) }
    }
}

/// Returns the function's routes.
pub fn router(app: App) -> Router {
    routed().split_for_parts().0.with_state(app)
}

/// Returns the function's part of the API document.
#[must_use]
pub fn openapi() -> utoipa::openapi::OpenApi {
    routed().into_openapi()
}

fn routed() -> OpenApiRouter<App> {
    OpenApiRouter::with_openapi(openapi::base())
        .routes(routes!(health::get_health))
        .routes(routes!(documents::get_openapi))
        .routes(routes!(documents::get_errors))
}
