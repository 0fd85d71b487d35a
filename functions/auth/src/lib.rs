//! Accounts, sessions, API keys and the public signing keys over HTTP.
//!
//! Each handler parses the request, checks the scope, calls [`sequent_identity`] and renders the result.

mod account;
mod api_keys;
mod cookies;
mod csrf_token;
mod deprecated;
mod jwks;
mod sessions;
mod sign_in;
mod signed_in;

use std::sync::Arc;

use sequent_http::{
    axum::{self, Router},
    openapi,
};
use sequent_identity::Identity;
use utoipa_axum::{router::OpenApiRouter, routes};

use cookies::Cookies;

/// The state of the handlers.
#[derive(Clone)]
pub struct App {
    identity: Arc<Identity>,
    cookies: Cookies,
}

impl App {
    /// The state of a deployment. `plain_http` is `true` if users connect over HTTP, which only development allows.
    /// Browsers refuse secure cookies there, so the cookies are set without the attribute.
    #[must_use]
    pub fn new(identity: Arc<Identity>, plain_http: bool) -> Self {
        Self { identity, cookies: Cookies::new(plain_http) }
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
        .routes(routes!(account::me))
        .routes(routes!(sign_in::sign_in))
        .routes(routes!(sign_in::refresh_tokens))
        .routes(routes!(sign_in::sign_out))
        .routes(routes!(csrf_token::csrf_token))
        .routes(routes!(jwks::jwks))
        .routes(routes!(sessions::list))
        .routes(routes!(sessions::delete))
        .routes(routes!(api_keys::create, api_keys::list))
        .routes(routes!(api_keys::delete))
}
