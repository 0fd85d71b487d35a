//! Webhooks and hooks over HTTP: where events are sent, what became of each delivery, and addresses that start runs.
//!
//! Each handler parses, authorises, calls [`sequent_webhooks`] or [`sequent_hooks`] and renders. What belongs to another tenant
//! is not found.

mod calls;
mod deliveries;
mod hooks;
mod secret;
mod shown;
mod webhooks;

use axum::{Extension, Router};
use sequent_billing::Credits;
use sequent_conversation::{RunStarter, RunStore};
use sequent_hooks::{HookLauncher, Hooks};
use sequent_http::{Scope, openapi, rate_limit::Class, scoped};
use sequent_identity::Vault;
use sequent_runlog::{DynamoStorage, Settings};
use sequent_tool::Guard;
use sequent_webhooks::Webhooks;
use utoipa_axum::{router::OpenApiRouter, routes};

/// The state of the handlers.
#[derive(Clone)]
pub struct App {
    webhooks: Webhooks,
    launcher: HookLauncher,
    /// Has the key of the cursors.
    vault: Vault,
}

impl App {
    /// Webhooks and hooks, whose secrets are sealed with the key in `vault`. `guard` limits the addresses of webhooks. The runs
    /// of hooks have their logs in `storage` and are charged for at `credits`.
    #[must_use]
    pub fn new(
        storage: DynamoStorage,
        settings: Settings,
        vault: Vault,
        guard: Guard,
        credits: Credits,
    ) -> Self {
        let store = storage.store().clone();
        let hooks = Hooks::new(store.clone(), vault.clone());
        let launcher = HookLauncher::new(hooks, RunStarter::new(RunStore::new(storage, settings), credits));
        Self { webhooks: Webhooks::new(store, vault.clone(), guard), launcher, vault }
    }

    fn hooks(&self) -> &Hooks {
        self.launcher.hooks()
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
/// A hook starts runs, which spend credits.
const START: &[Scope] = &[Scope::WebhooksWrite, Scope::Chat];

fn routed() -> OpenApiRouter<App> {
    // Each has a request sent to a server of the tenant.
    let costly = OpenApiRouter::new()
        .routes(scoped(WRITE, routes!(webhooks::test_webhook)))
        .routes(scoped(WRITE, routes!(deliveries::redeliver)))
        .route_layer(Extension(Class::Chat));
    OpenApiRouter::with_openapi(openapi::base())
        .merge(costly)
        .merge(hooks())
        .routes(scoped(READ, routes!(webhooks::list_webhooks)))
        .routes(scoped(WRITE, routes!(webhooks::create_webhook)))
        .routes(scoped(READ, routes!(webhooks::get_webhook)))
        .routes(scoped(WRITE, routes!(webhooks::change_webhook, webhooks::delete_webhook)))
        .routes(scoped(WRITE, routes!(secret::replace_webhook_secret)))
        .routes(scoped(READ, routes!(deliveries::list_deliveries)))
        .routes(scoped(READ, routes!(deliveries::get_delivery)))
}

fn hooks() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(scoped(READ, routes!(hooks::list_hooks)))
        .routes(scoped(START, routes!(hooks::create_hook)))
        .routes(scoped(READ, routes!(hooks::get_hook)))
        .routes(scoped(START, routes!(hooks::change_hook)))
        .routes(scoped(WRITE, routes!(hooks::delete_hook)))
        .routes(scoped(START, routes!(hooks::replace_hook_token)))
        .routes(routes!(calls::call_hook))
}
