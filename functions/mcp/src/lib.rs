//! MCP in both directions: the servers whose tools a tenant's agents may use, and Sequent as a server for other agents.
//! Beside the servers, a tenant sets which web pages its agents may read.
//!
//! Each handler parses, authorises, calls [`sequent_mcp_client`] or [`sequent_conversation`] and renders. An object of
//! another tenant is not found.

mod agents;
mod endpoint;
mod get_run;
mod servers;
mod sign_in;
mod start;
mod tools;
mod web_fetch;

use axum::{Extension, Router};
use sequent_billing::Credits;
use sequent_conversation::{RunStarter, RunStore};
use sequent_http::{Scope, openapi, rate_limit::Class, scoped};
use sequent_mcp_client::Servers;
use sequent_runlog::{DynamoStorage, Settings};
use sequent_tables::Store;
use utoipa_axum::{router::OpenApiRouter, routes};

/// The state of the handlers.
#[derive(Clone)]
pub struct App {
    servers: Servers,
    starter: RunStarter,
}

impl App {
    /// The MCP servers of tenants, and runs whose logs are in `storage` and which are charged for at `credits`.
    #[must_use]
    pub fn new(servers: Servers, storage: DynamoStorage, settings: Settings, credits: Credits) -> Self {
        Self { servers, starter: RunStarter::new(RunStore::new(storage, settings), credits) }
    }
}

impl App {
    fn store(&self) -> &Store {
        self.starter.runs().tables()
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

fn routed() -> OpenApiRouter<App> {
    // Any message may start a model, and a server of the tenant's may take its time.
    let costly = OpenApiRouter::new()
        .routes(routes!(endpoint::serve))
        .routes(scoped(&[Scope::Account], routes!(servers::create)))
        .routes(scoped(&[Scope::Account], routes!(servers::get, servers::delete)))
        .routes(scoped(&[Scope::Account], routes!(sign_in::begin, sign_in::finish)))
        .route_layer(Extension(Class::Chat));
    OpenApiRouter::with_openapi(openapi::base())
        .merge(costly)
        .routes(routes!(endpoint::listen, endpoint::leave))
        .routes(scoped(&[Scope::ProjectsRead], routes!(servers::list)))
        .routes(scoped(&[Scope::Account], routes!(servers::accept)))
        .routes(scoped(&[Scope::ProjectsRead], routes!(web_fetch::get)))
        .routes(scoped(&[Scope::Account], routes!(web_fetch::set)))
}
