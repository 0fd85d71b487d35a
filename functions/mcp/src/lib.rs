//! MCP in both directions: the servers that a tenant lets its agents use, and Sequent as a server for other agents.
//!
//! Thin: each handler parses, authorises, asks [`sequent_mcp_client`] or [`sequent_conversation`] and renders. What a caller may not see
//! is not found.

mod endpoint;
mod look;
mod servers;
mod start;
mod tools;

use axum::{Extension, Router};
use sequent_billing::Desk;
use sequent_http::{openapi, rate_limit::Class};
use sequent_mcp_client::Servers;
use sequent_runlog::{DynamoStorage, Settings};
use utoipa_axum::{router::OpenApiRouter, routes};

/// What the handlers share.
#[derive(Clone)]
pub struct Mcp {
    servers: Servers,
    storage: DynamoStorage,
    settings: Settings,
    desk: Desk,
}

impl Mcp {
    /// Servers of tenants, and runs whose logs are in `storage` and which are paid for at `desk`.
    #[must_use]
    pub fn new(servers: Servers, storage: DynamoStorage, settings: Settings, desk: Desk) -> Self {
        Self { servers, storage, settings, desk }
    }
}

/// The function's routes.
pub fn router(mcp: Mcp) -> Router {
    routed().split_for_parts().0.with_state(mcp)
}

/// The function's part of the API's document.
#[must_use]
pub fn openapi() -> utoipa::openapi::OpenApi {
    routed().into_openapi()
}

fn routed() -> OpenApiRouter<Mcp> {
    // Any of its messages may start a model.
    let endpoint = OpenApiRouter::new().routes(routes!(endpoint::serve)).route_layer(Extension(Class::Chat));
    OpenApiRouter::with_openapi(openapi::base())
        .merge(endpoint)
        .routes(routes!(endpoint::listen, endpoint::leave))
        .routes(routes!(servers::list, servers::create))
        .routes(routes!(servers::delete))
}
