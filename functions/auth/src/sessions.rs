//! The caller's sessions: where they are signed in.

use http::StatusCode;
use sequent_core::{SessionId, Timestamp};
use sequent_http::{
    Caller, Json, Limit, ListQuery, Path, Problem, Query, Scope,
    axum::{extract::State, response::IntoResponse},
    openapi::Problems,
};
use sequent_identity::session;
use sequent_tables::{PageRequest, key};
use serde::Serialize;
use utoipa::ToSchema;

use crate::Auth;

/// A device that is signed in.
#[derive(Serialize, ToSchema)]
pub(crate) struct Session {
    id: SessionId,
    /// When it signed in.
    created_at: Timestamp,
    /// When it last refreshed its tokens.
    last_used_at: Timestamp,
    /// When it ends if it is not used.
    expires_at: Timestamp,
    /// What the client called itself when it signed in.
    user_agent: Option<String>,
    /// The network address it signed in from.
    address: Option<String>,
    /// Whether it is the session of this request.
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

/// One page of sessions.
#[derive(Serialize, ToSchema)]
pub(crate) struct SessionList {
    items: Vec<Session>,
    /// Where the next page starts; null at the end.
    next_cursor: Option<String>,
}

/// List my sessions.
///
/// Those that are open, newest first. A page may have fewer than `limit` items and still be followed by another.
#[utoipa::path(
    get,
    path = "/api/auth/sessions",
    operation_id = "list_sessions",
    tag = "auth",
    params(ListQuery),
    responses((status = 200, description = "One page.", body = SessionList), Problems),
)]
pub(crate) async fn list(
    State(auth): State<Auth>,
    Caller(caller): Caller,
    Query(query): Query<ListQuery>,
) -> Result<impl IntoResponse, Problem> {
    caller.require(Scope::Account)?;
    let secret = auth.identity.vault().get().await?;
    let request = PageRequest::new(key::sessions(caller.tenant, caller.user))
        .limit(query.limit.map(Limit::get))
        .cursor(secret.cursor(), query.cursor.as_deref())?;
    let page = auth.identity.sessions(&request, Timestamp::now()).await?;
    let next_cursor = page.next_cursor(secret.cursor());
    let items = page.items.into_iter().map(|session| Session::new(session, caller.session)).collect();
    Ok(Json(SessionList { items, next_cursor }))
}

/// End a session.
///
/// Its refresh token is refused at once; access tokens already given out run out by themselves, within 15 minutes.
#[utoipa::path(
    delete,
    path = "/api/auth/sessions/{id}",
    operation_id = "delete_session",
    tag = "auth",
    params(("id" = SessionId, Path, description = "The session.")),
    responses(
        (status = 204, description = "Ended."),
        (status = 404, description = "The caller has no such open session."),
        Problems
    ),
)]
pub(crate) async fn delete(
    State(auth): State<Auth>,
    Caller(caller): Caller,
    Path(id): Path<SessionId>,
) -> Result<impl IntoResponse, Problem> {
    caller.require(Scope::Account)?;
    auth.identity.revoke_session(caller.tenant, caller.user, id, Timestamp::now()).await?;
    Ok(StatusCode::NO_CONTENT)
}
