//! Feedback, what is counted of agents, and datasets over HTTP.
//!
//! Each handler parses, authorises, calls [`sequent_evaluations`] or [`sequent_conversation`] and renders. Feedback itself is
//! given to the function `runs`.

mod datasets;
mod feedback;
mod items;
mod statistics;

use axum::{Router, middleware::from_fn};
use sequent_core::Principal;
use sequent_definitions::Agents;
use sequent_evaluations::Datasets;
use sequent_http::{Scope, idempotency, openapi, scoped};
use sequent_identity::Vault;
use sequent_runlog::DynamoStorage;
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
    /// Has the key of the cursors.
    vault: Vault,
}

impl App {
    /// The datasets and the feedback in `store`.
    #[must_use]
    pub fn new(store: Store, vault: Vault) -> Self {
        Self { agents: Agents::new(store.clone()), storage: DynamoStorage::new(store), vault }
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

fn routed() -> OpenApiRouter<App> {
    let create = routes!(datasets::create_dataset).layer(from_fn(idempotency::layer));
    let add = routes!(items::add_dataset_items).layer(from_fn(idempotency::layer));
    OpenApiRouter::with_openapi(openapi::base())
        .routes(scoped(&[Scope::RunsRead], routes!(feedback::list_feedback)))
        .routes(scoped(&[Scope::AgentsRead], routes!(statistics::get_agent_statistics)))
        .routes(scoped(READ, routes!(datasets::list_datasets)))
        .routes(scoped(WRITE, create))
        .routes(scoped(READ, routes!(datasets::get_dataset)))
        .routes(scoped(WRITE, routes!(datasets::delete_dataset)))
        .routes(scoped(READ, routes!(items::list_dataset_items)))
        .routes(scoped(WRITE, add))
}
