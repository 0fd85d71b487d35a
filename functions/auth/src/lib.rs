//! Signing up, in and out, sessions, API keys and the public signing keys over HTTP.
//!
//! Thin: each handler parses, authorises, asks [`sequent_identity`] and renders.

mod account;
mod api_keys;
mod cookies;
mod csrf_token;
mod jwks;
mod older;
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

/// What the handlers share.
#[derive(Clone)]
pub struct Auth {
    identity: Arc<Identity>,
    cookies: Cookies,
}

impl Auth {
    /// `plain_http` tells that users come over HTTP, which only development allows: browsers then refuse secure
    /// cookies, so these are set without.
    #[must_use]
    pub fn new(identity: Arc<Identity>, plain_http: bool) -> Self {
        Self { identity, cookies: Cookies::new(plain_http) }
    }
}

/// The function's routes.
pub fn router(auth: Auth) -> Router {
    older::routes(routed().split_for_parts().0).with_state(auth)
}

/// The function's part of the API's document.
#[must_use]
pub fn openapi() -> utoipa::openapi::OpenApi {
    older::document(routed().into_openapi())
}

fn routed() -> OpenApiRouter<Auth> {
    OpenApiRouter::with_openapi(openapi::base())
        .routes(routes!(account::register))
        .routes(routes!(account::me))
        .routes(routes!(sign_in::login))
        .routes(routes!(sign_in::refresh))
        .routes(routes!(sign_in::logout))
        .routes(routes!(csrf_token::csrf_token))
        .routes(routes!(jwks::jwks))
        .routes(routes!(sessions::list))
        .routes(routes!(sessions::delete))
        .routes(routes!(api_keys::create, api_keys::list))
        .routes(routes!(api_keys::delete))
}
