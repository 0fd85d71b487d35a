//! Webhooks over HTTP: where events are sent, and what became of each delivery.
//!
//! Each handler parses, authorises, calls [`sequent_webhooks`] and renders. A webhook of another tenant is not found.

mod deliveries;
mod secret;
mod webhooks;

use axum::{Extension, Router};
use sequent_http::{Scope, openapi, rate_limit::Class, scoped};
use sequent_identity::Vault;
use sequent_tables::Store;
use sequent_tool::Guard;
use sequent_webhooks::Webhooks;
use utoipa_axum::{router::OpenApiRouter, routes};

/// The state of the handlers.
#[derive(Clone)]
pub struct App {
    webhooks: Webhooks,
    /// Has the key of the cursors.
    vault: Vault,
}

impl App {
    /// The webhooks in `store`, whose secrets are sealed with the key in `vault`. `guard` limits addresses.
    #[must_use]
    pub fn new(store: Store, vault: Vault, guard: Guard) -> Self {
        Self { webhooks: Webhooks::new(store, vault.clone(), guard), vault }
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

const READ: &[Scope] = &[Scope::WebhooksRead];
const WRITE: &[Scope] = &[Scope::WebhooksWrite];

fn routed() -> OpenApiRouter<App> {
    // Each has a request sent to a server of the tenant.
    let costly = OpenApiRouter::new()
        .routes(scoped(WRITE, routes!(webhooks::test_webhook)))
        .routes(scoped(WRITE, routes!(deliveries::redeliver)))
        .route_layer(Extension(Class::Chat));
    OpenApiRouter::with_openapi(openapi::base())
        .merge(costly)
        .routes(scoped(READ, routes!(webhooks::list_webhooks)))
        .routes(scoped(WRITE, routes!(webhooks::create_webhook)))
        .routes(scoped(READ, routes!(webhooks::get_webhook)))
        .routes(scoped(WRITE, routes!(webhooks::change_webhook, webhooks::delete_webhook)))
        .routes(scoped(WRITE, routes!(secret::replace_webhook_secret)))
        .routes(scoped(READ, routes!(deliveries::list_deliveries)))
        .routes(scoped(READ, routes!(deliveries::get_delivery)))
}
