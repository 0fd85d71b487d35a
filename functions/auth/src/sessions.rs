//! The sessions of the caller, one per signed-in device.

use http::StatusCode;
use sequent_core::{SessionId, Timestamp};
use sequent_http::{
    Caller, Json, ListQuery, ListResponse, Path, Problem, Query, Scope,
    axum::{extract::State, response::IntoResponse},
    openapi::Problems,
};
use sequent_identity::session;
use sequent_tables::key;
use serde::Serialize;
use utoipa::ToSchema;

use crate::App;

/// A device that is signed in.
#[derive(Serialize, ToSchema)]
pub(crate) struct Session {
    id: SessionId,
    created_at: Timestamp,
    /// The time at which it last refreshed its tokens.
    last_used_at: Timestamp,
    /// The time at which it ends if it is not used.
    expires_at: Timestamp,
    /// The `User-Agent` header of the sign-in.
    user_agent: Option<String>,
    /// The network address of the sign-in.
    address: Option<String>,
    /// True if this request belongs to the session.
    current: bool,
}

impl Session {
    fn new(session: session::Session, current: Option<SessionId>) -> Self {
        Self {
            id: session.id,
            created_at: session.created_at,
            last_used_at: session.rotated_at,
            expires_at: session.expires_at(),
            current: current == Some(session.id),
            user_agent: session.user_agent,
            address: session.address,
        }
    }
}

pub(crate) type SessionList = ListResponse<Session>;

/// List the sessions of the caller.
///
/// The list contains open sessions, newest first. A page may have fewer than `limit` items and still have a
/// `next_cursor`.
#[utoipa::path(
    get,
    path = "/api/auth/sessions",
    operation_id = "list_sessions",
    tag = "auth",
    params(ListQuery),
    responses((status = 200, description = "One page.", body = SessionList), Problems),
)]
pub(crate) async fn list(
    State(app): State<App>,
    Caller(caller): Caller,
    Query(query): Query<ListQuery>,
) -> Result<impl IntoResponse, Problem> {
    caller.require(Scope::Account)?;
    let secret = app.identity.vault().get().await?;
    let request = query.page_of(key::sessions(caller.tenant, caller.user), secret.cursor())?;
    let page = app.identity.sessions(&request, Timestamp::now()).await?;
    let page = page.map(|session| Session::new(session, caller.session));
    Ok(Json(SessionList::new(page, secret.cursor())))
}

/// End a session.
///
/// Its refresh token is refused at once, and its access tokens within five seconds. Ending another session requires that
/// the password was presented within the last ten minutes.
#[utoipa::path(
    delete,
    path = "/api/auth/sessions/{id}",
    operation_id = "delete_session",
    tag = "auth",
    params(("id" = SessionId, Path, description = "The session.")),
    responses(
        (status = 204, description = "The session has ended."),
        (status = 404, description = "The caller has no such open session."),
        Problems
    ),
)]
pub(crate) async fn delete(
    State(app): State<App>,
    Caller(caller): Caller,
    Path(id): Path<SessionId>,
) -> Result<impl IntoResponse, Problem> {
    caller.require(Scope::Account)?;
    let now = Timestamp::now();
    if caller.session != Some(id) {
        app.identity.require_recent(&caller, now).await?;
    }
    app.identity.revoke_session(caller.tenant, caller.user, id, now).await?;
    Ok(StatusCode::NO_CONTENT)
}
