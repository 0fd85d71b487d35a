//! Jobs over HTTP: what was done in the background, how far it is, why it failed, and trying again.
//!
//! Thin: each handler finds out whose jobs the caller may see (`access`), asks [`sequent_jobs`] and renders.

mod access;
mod admin;
mod jobs;

use axum::Router;
use sequent_http::{Problem, openapi};
use sequent_identity::Vault;
use sequent_runlog::DynamoStorage;
use utoipa_axum::{router::OpenApiRouter, routes};

/// What the handlers share.
#[derive(Clone)]
pub struct Background {
    storage: DynamoStorage,
    vault: Vault,
}

impl Background {
    /// Jobs in `storage`, paged with the cursor key in `vault`, which has the administrators' key too.
    #[must_use]
    pub fn new(storage: DynamoStorage, vault: Vault) -> Self {
        Self { storage, vault }
    }
}

/// The function's routes.
pub fn router(background: Background) -> Router {
    routed().split_for_parts().0.with_state(background)
}

/// The function's part of the API's document.
#[must_use]
pub fn openapi() -> utoipa::openapi::OpenApi {
    routed().into_openapi()
}

fn routed() -> OpenApiRouter<Background> {
    OpenApiRouter::with_openapi(openapi::base())
        .routes(routes!(jobs::list))
        .routes(routes!(jobs::get))
        .routes(routes!(admin::redrive))
        .routes(routes!(admin::cancel))
        .routes(routes!(admin::hello))
}

/// What a caller is told when a job operation fails.
fn problem(error: sequent_jobs::Error) -> Problem {
    use sequent_jobs::Error;
    match error {
        Error::NotFound => Problem::not_found("There is no such job."),
        Error::Cursor(error) => error.into(),
        Error::Data(error) => error.into(),
        error => Problem::unavailable(error),
    }
}
