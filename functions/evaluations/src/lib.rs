//! Feedback, what is counted of agents, datasets, and evaluations over HTTP.
//!
//! Each handler parses, authorises, calls [`sequent_evaluations`] or [`sequent_conversation`] and renders. Feedback itself is
//! given to the function `runs`.

mod datasets;
mod evaluations;
mod feedback;
mod items;
mod shown;
mod statistics;

use axum::{Extension, Router, middleware::from_fn};
use sequent_billing::Credits;
use sequent_conversation::{RunStarter, RunStore};
use sequent_core::Principal;
use sequent_definitions::Agents;
use sequent_evaluations::Datasets;
use sequent_http::{Scope, idempotency, openapi, rate_limit::Class, scoped};
use sequent_identity::Vault;
use sequent_runlog::{DynamoStorage, Settings};
use sequent_tables::Store;
use utoipa_axum::{
    router::{OpenApiRouter, UtoipaMethodRouterExt as _},
    routes,
};

/// The state of the handlers.
#[derive(Clone)]
pub struct App {
    storage: DynamoStorage,
    agents: Agents,
    starter: RunStarter,
    /// Has the key of the cursors.
    vault: Vault,
}

impl App {
    /// Evaluations whose runs have their logs in `storage` and are charged for at `credits`; and what is rated and counted there.
    #[must_use]
    pub fn new(storage: DynamoStorage, settings: Settings, vault: Vault, credits: Credits) -> Self {
        let agents = Agents::new(storage.store().clone());
        let starter = RunStarter::new(RunStore::new(storage.clone(), settings), credits);
        Self { storage, starter: starter.with_agents(agents.clone()), agents, vault }
    }

    fn store(&self) -> &Store {
        self.storage.store()
    }

    /// The datasets that the caller may see.
    fn datasets_of(&self, caller: &Principal) -> Datasets<'_> {
        Datasets::new(self.store(), caller.tenant)
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

const READ: &[Scope] = &[Scope::EvaluationsRead];
const WRITE: &[Scope] = &[Scope::EvaluationsWrite];
/// An evaluation starts runs, which spend credits.
const START: &[Scope] = &[Scope::EvaluationsWrite, Scope::Chat];

fn routed() -> OpenApiRouter<App> {
    let create = routes!(datasets::create_dataset).layer(from_fn(idempotency::layer));
    let add = routes!(items::add_dataset_items).layer(from_fn(idempotency::layer));
    let starts = OpenApiRouter::new()
        .routes(scoped(START, routes!(evaluations::create_evaluation)))
        .route_layer(Extension(Class::Chat));
    OpenApiRouter::with_openapi(openapi::base())
        .merge(starts)
        .routes(scoped(READ, routes!(evaluations::list_evaluations)))
        .routes(scoped(READ, routes!(evaluations::get_evaluation)))
        .routes(scoped(READ, routes!(evaluations::list_evaluation_results)))
        .routes(scoped(&[Scope::RunsRead], routes!(feedback::list_feedback)))
        .routes(scoped(&[Scope::AgentsRead], routes!(statistics::get_agent_statistics)))
        .routes(scoped(READ, routes!(datasets::list_datasets)))
        .routes(scoped(WRITE, create))
        .routes(scoped(READ, routes!(datasets::get_dataset)))
        .routes(scoped(WRITE, routes!(datasets::delete_dataset)))
        .routes(scoped(READ, routes!(items::list_dataset_items)))
        .routes(scoped(WRITE, add))
}
