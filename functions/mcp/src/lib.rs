//! MCP in both directions: the servers whose tools a tenant's agents may use, and Sequent as a server for other agents.
//!
//! Each handler parses, authorises, calls [`sequent_mcp_client`] or [`sequent_conversation`] and renders. An object of
//! another tenant is not found.

mod endpoint;
mod get_run;
mod servers;
mod start;
mod tools;

use axum::{Extension, Router};
use sequent_billing::Credits;
use sequent_conversation::{RunStarter, RunStore};
use sequent_http::{openapi, rate_limit::Class};
use sequent_mcp_client::Servers;
use sequent_runlog::{DynamoStorage, Settings};
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
    // Any message may start a model.
    let endpoint = OpenApiRouter::new().routes(routes!(endpoint::serve)).route_layer(Extension(Class::Chat));
    OpenApiRouter::with_openapi(openapi::base())
        .merge(endpoint)
        .routes(routes!(endpoint::listen, endpoint::leave))
        .routes(routes!(servers::list, servers::create))
        .routes(routes!(servers::delete))
}
