//! Accounts, invitations, sessions, API keys and the public signing keys over HTTP.
//!
//! Each handler parses the request, checks the scope, calls [`sequent_identity`] and renders the result.

mod account;
mod admin;
mod api_keys;
mod audit;
mod cookies;
mod csrf_token;
mod deprecated;
mod invitations;
mod job;
mod jwks;
mod mail;
mod me;
mod sessions;
mod sign_in;
mod signed_in;

use std::sync::Arc;

use sequent_http::{
    Scope,
    axum::{self, Router},
    openapi, scoped,
};
use sequent_identity::{Identity, RegistrationMode};
use sequent_tables::Store;
use utoipa_axum::{router::OpenApiRouter, routes};

use cookies::Cookies;

/// The state of the handlers.
#[derive(Clone)]
pub struct App {
    identity: Arc<Identity>,
    cookies: Cookies,
    /// Jobs are enqueued here.
    store: Store,
    registration: RegistrationMode,
}

impl App {
    /// The state of a deployment. `plain_http` is `true` if users connect over HTTP, which only development allows.
    /// Browsers refuse secure cookies there, so the cookies are set without the attribute. Registration is closed.
    #[must_use]
    pub fn new(identity: Arc<Identity>, store: Store, plain_http: bool) -> Self {
        let registration = RegistrationMode::Closed;
        Self { identity, cookies: Cookies::new(plain_http), store, registration }
    }

    /// Sets the people who may register.
    #[must_use]
    pub fn with_registration(self, registration: RegistrationMode) -> Self {
        Self { registration, ..self }
    }
}

/// The routes of the function.
pub fn router(app: App) -> Router {
    deprecated::routes(routed().split_for_parts().0).with_state(app)
}

/// The API description of the function.
#[must_use]
pub fn openapi() -> utoipa::openapi::OpenApi {
    deprecated::document(routed().into_openapi())
}

fn routed() -> OpenApiRouter<App> {
    OpenApiRouter::with_openapi(openapi::base())
        .routes(routes!(account::sign_up))
        .routes(routes!(me::me, me::delete_me))
        .routes(routes!(me::reauthenticate))
        .routes(routes!(me::change_password))
        .routes(routes!(invitations::create, invitations::list))
        .routes(routes!(invitations::delete))
        .routes(routes!(sign_in::sign_in))
        .routes(routes!(sign_in::refresh_tokens))
        .routes(routes!(sign_in::sign_out))
        .routes(routes!(csrf_token::csrf_token))
        .routes(routes!(jwks::jwks))
        .routes(scoped(&[Scope::Account], routes!(sessions::list)))
        .routes(scoped(&[Scope::Account], routes!(sessions::delete)))
        .routes(scoped(&[Scope::Account], routes!(api_keys::create, api_keys::list)))
        .routes(scoped(&[Scope::Account], routes!(api_keys::delete)))
        .routes(routes!(mail::request_reset))
        .routes(routes!(mail::reset))
        .routes(scoped(&[Scope::Account], routes!(mail::request_verification)))
        .routes(routes!(mail::verify))
        .routes(scoped(&[Scope::Account], routes!(audit::list)))
        .routes(routes!(admin::suspend))
        .routes(routes!(admin::reinstate))
        .routes(routes!(admin::unlock))
}
