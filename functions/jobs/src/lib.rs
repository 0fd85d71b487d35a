//! Jobs over HTTP: their progress, results and errors, and redriving and cancelling them.
//!
//! Thin: each handler finds the tenant whose jobs the caller may use (`access`), calls [`sequent_jobs`] and
//! renders.

mod access;
mod admin;
mod jobs;

use axum::Router;
use sequent_http::{Scope, openapi, scoped};
use sequent_identity::Vault;
use sequent_runlog::DynamoStorage;
use sequent_tables::Store;
use utoipa_axum::{router::OpenApiRouter, routes};

/// The state of the handlers.
#[derive(Clone)]
pub struct App {
    storage: DynamoStorage,
    /// Has the key of the cursors and the admin key.
    vault: Vault,
}

impl App {
    /// Creates the state of the handlers.
    #[must_use]
    pub fn new(storage: DynamoStorage, vault: Vault) -> Self {
        Self { storage, vault }
    }

    fn store(&self) -> &Store {
        self.storage.store()
    }
}

/// The routes of the function.
pub fn router(app: App) -> Router {
    routed().split_for_parts().0.with_state(app)
}

/// The function's part of the API description.
#[must_use]
pub fn openapi() -> utoipa::openapi::OpenApi {
    routed().into_openapi()
}

fn routed() -> OpenApiRouter<App> {
    OpenApiRouter::with_openapi(openapi::base())
        .routes(scoped(&[Scope::RunsRead], routes!(jobs::list_jobs)))
        .routes(scoped(&[Scope::RunsRead], routes!(jobs::get_job)))
        .routes(scoped(&[Scope::Account], routes!(admin::redrive_job)))
        .routes(scoped(&[Scope::Account], routes!(admin::cancel_job)))
        .routes(scoped(&[Scope::Account], routes!(admin::enqueue_hello)))
}
