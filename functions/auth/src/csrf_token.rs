//! The CSRF token, which writes with a cookie require.

use sequent_core::Code;
use sequent_http::{
    Caller, Json, Problem,
    axum::{extract::State, response::IntoResponse},
    csrf,
    openapi::Problems,
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{App, signed_in::NO_STORE};

/// The CSRF token of a session.
#[derive(Serialize, ToSchema)]
pub(crate) struct CsrfToken {
    /// The value of the header `X-CSRF-Token`. It is valid as long as the session.
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
    State(app): State<App>,
    Caller(caller): Caller,
) -> Result<impl IntoResponse, Problem> {
    let session = caller.session.ok_or_else(|| {
        Problem::new(Code::NoSession, "An API key has no session. Its requests need no CSRF token.")
    })?;
    let secret = app.identity.vault().get().await?;
    Ok((NO_STORE, Json(CsrfToken { csrf_token: csrf::token(secret.http(), session) })))
}
