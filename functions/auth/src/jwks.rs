//! The public signing keys, with which other services verify access tokens.

use http::header::CACHE_CONTROL;
use sequent_core::Timestamp;
use sequent_http::{
    Json, Problem,
    axum::{extract::State, response::IntoResponse},
    openapi::Problems,
};
use sequent_identity::signing::JwkSet;

use crate::App;

/// Get the public signing keys.
///
/// The set contains all keys that verify an access token now or sign one soon. A key is listed ten minutes before it
/// first signs, so a copy may be cached for the five minutes that `Cache-Control` allows.
#[utoipa::path(
    get,
    path = "/.well-known/jwks.json",
    operation_id = "get_jwks",
    tag = "auth",
    security(()),
    responses((status = 200, description = "JSON Web Key Set (RFC 7517).", body = JwkSet), Problems),
)]
pub(crate) async fn jwks(State(app): State<App>) -> Result<impl IntoResponse, Problem> {
    let secret = app.identity.vault().get().await?;
    Ok(([(CACHE_CONTROL, "public, max-age=300")], Json(secret.public_keys().jwks(Timestamp::now()))))
}
