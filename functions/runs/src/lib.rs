//! Runs over HTTP: starting one in the background, what was executed, at what cost, and stopping it.
//!
//! Thin: each handler parses, authorises, asks [`sequent_conversation`] and renders. What a caller may not see is not found.

mod cancel;
mod create;
mod runs;
mod steer;

use axum::Router;
use sequent_billing::Desk;
use sequent_http::{Problem, axum::Extension, openapi, rate_limit::Class};
use sequent_identity::Vault;
use sequent_runlog::{DynamoStorage, Settings};
use utoipa_axum::{router::OpenApiRouter, routes};

/// What the handlers share.
#[derive(Clone)]
pub struct Executions {
    storage: DynamoStorage,
    settings: Settings,
    vault: Vault,
    desk: Desk,
}

impl Executions {
    /// Runs whose logs are in `storage`, paged with the cursor key in `vault`, and paid for at `desk`.
    #[must_use]
    pub fn new(storage: DynamoStorage, settings: Settings, vault: Vault, desk: Desk) -> Self {
        Self { storage, settings, vault, desk }
    }
}

/// The function's routes.
pub fn router(executions: Executions) -> Router {
    routed().split_for_parts().0.with_state(executions)
}

/// The function's part of the API's document.
#[must_use]
pub fn openapi() -> utoipa::openapi::OpenApi {
    routed().into_openapi()
}

fn routed() -> OpenApiRouter<Executions> {
    let starts = OpenApiRouter::new().routes(routes!(create::create)).route_layer(Extension(Class::Chat));
    OpenApiRouter::with_openapi(openapi::base())
        .merge(starts)
        .routes(routes!(runs::list))
        .routes(routes!(runs::get))
        .routes(routes!(cancel::cancel))
        .routes(routes!(steer::steer))
}

/// What a caller is told when a run operation fails.
fn problem(error: sequent_conversation::Error) -> Problem {
    use sequent_conversation::Error;
    match error {
        Error::NotFound => Problem::not_found("There is no such run."),
        Error::NoProject => Problem::not_found("There is no such project."),
        Error::ClaimTaken => Problem::conflict("conflict", "Another request was first. Try again."),
        Error::Cursor(error) => error.into(),
        Error::Data(error) => error.into(),
        error => Problem::unavailable(error),
    }
}
