//! Schedules over HTTP, and running them by hand.
//!
//! Each handler parses, authorises, calls [`sequent_schedules`] and renders. A schedule of another tenant is not found.

mod run;
mod schedules;
mod shown;

use axum::{Extension, Router, middleware::from_fn};
use sequent_billing::Credits;
use sequent_conversation::{RunStarter, RunStore};
use sequent_http::{Scope, idempotency, openapi, rate_limit::Class, scoped};
use sequent_identity::Vault;
use sequent_runlog::{DynamoStorage, Settings};
use sequent_schedules::{RunLauncher, Schedules};
use utoipa_axum::{
    router::{OpenApiRouter, UtoipaMethodRouterExt as _},
    routes,
};

/// The state of the handlers.
#[derive(Clone)]
pub struct App {
    schedules: Schedules,
    launcher: RunLauncher,
    /// Has the key of the cursors.
    vault: Vault,
}

impl App {
    /// Schedules whose runs have their logs in `storage` and are charged for at `credits`.
    #[must_use]
    pub fn new(storage: DynamoStorage, settings: Settings, vault: Vault, credits: Credits) -> Self {
        let schedules = Schedules::new(storage.store().clone());
        let launcher = RunLauncher::new(RunStarter::new(RunStore::new(storage, settings), credits));
        Self { schedules, launcher, vault }
    }
}

/// Builds the routes of the function.
pub fn router(app: App) -> Router {
    routed().split_for_parts().0.with_state(app)
}

/// Builds the function's part of the API description.
#[must_use]
pub fn openapi() -> utoipa::openapi::OpenApi {
    routed().into_openapi()
}

const READ: &[Scope] = &[Scope::SchedulesRead];
const WRITE: &[Scope] = &[Scope::SchedulesWrite];
/// A schedule starts runs, which spend credits.
const START: &[Scope] = &[Scope::SchedulesWrite, Scope::Chat];

fn routed() -> OpenApiRouter<App> {
    let create = routes!(schedules::create_schedule).layer(from_fn(idempotency::layer));
    let starts = OpenApiRouter::new()
        .routes(scoped(START, routes!(run::start_scheduled_run)))
        .route_layer(Extension(Class::Chat));
    OpenApiRouter::with_openapi(openapi::base())
        .merge(starts)
        .routes(scoped(READ, routes!(schedules::list_schedules)))
        .routes(scoped(START, create))
        .routes(scoped(READ, routes!(schedules::get_schedule)))
        .routes(scoped(START, routes!(schedules::change_schedule)))
        .routes(scoped(WRITE, routes!(schedules::delete_schedule)))
}
