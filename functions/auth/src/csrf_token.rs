//! The proof that writes with a cookie need.

use sequent_http::{
    Caller, Json, Keyring, Problem,
    axum::{extract::State, response::IntoResponse},
    csrf,
    openapi::Problems,
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{Auth, signed_in::NO_STORE};

/// A CSRF token.
#[derive(Serialize, ToSchema)]
pub(crate) struct CsrfToken {
    /// For the header `X-CSRF-Token`, as long as the session lasts.
    csrf_token: String,
}

/// Get the CSRF token of the session.
#[utoipa::path(
    get,
    path = "/api/auth/csrf-token",
    operation_id = "get_csrf_token",
    tag = "auth",
    responses((status = 200, description = "The token.", body = CsrfToken), Problems),
)]
pub(crate) async fn csrf_token(
    State(auth): State<Auth>,
    Caller(caller): Caller,
) -> Result<impl IntoResponse, Problem> {
    let session = caller.session.ok_or_else(|| {
        Problem::bad_request("no_session", "Only sessions have a CSRF token; an API key does not need one.")
    })?;
    let keys = auth.identity.vault().keys().await?;
    Ok((NO_STORE, Json(CsrfToken { csrf_token: csrf::token(&keys, session) })))
}
