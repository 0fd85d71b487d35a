//! Invitations, with which people register while registration is not open.

use std::time::Duration;

use http::StatusCode;
use sequent_core::{InvitationId, Timestamp};
use sequent_http::{
    Json, ListQuery, ListResponse, Operator, Path, Problem, Query,
    axum::{extract::State, response::IntoResponse},
    openapi::Problems,
};
use sequent_identity::{
    Error, RegistrationMode,
    email::Email,
    invitation::{self, InvitationKind, NewInvitation},
};
use sequent_tables::key;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{App, signed_in::NO_STORE};

/// The time for which an invitation can be used if the request names none: a week.
const USUAL_LIFETIME_S: u64 = 7 * 24 * 3600;

/// An invitation to create.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct InvitationRequest {
    /// The only address that can register with the invitation. Any address if absent.
    #[schema(format = "email", max_length = 254)]
    email: Option<String>,
    /// Seconds for which the invitation can be used: 60 to 7,776,000 (90 days).
    #[serde(default = "usual_lifetime")]
    #[schema(minimum = 60, maximum = 7_776_000, default = 604_800)]
    expires_in: u64,
}

const fn usual_lifetime() -> u64 {
    USUAL_LIFETIME_S
}

/// An invitation, without its code.
#[derive(Serialize, ToSchema)]
pub(crate) struct Invitation {
    id: InvitationId,
    kind: InvitationKind,
    /// The only address that can register with it.
    #[schema(value_type = Option<String>, format = "email")]
    email: Option<Email>,
    created_at: Timestamp,
    expires_at: Timestamp,
    /// The time at which an account was created with it. Null as long as it is open.
    used_at: Option<Timestamp>,
}

impl From<invitation::Invitation> for Invitation {
    fn from(invitation: invitation::Invitation) -> Self {
        let invitation::Invitation { id, kind, email, created_at, valid_until, used_at, .. } = invitation;
        Self { id, kind, email, created_at, expires_at: valid_until, used_at }
    }
}

/// An invitation with its code. No other response contains the code.
#[derive(Serialize, ToSchema)]
pub(crate) struct CreatedInvitation {
    /// The code to send as `invitation` when registering.
    invitation: String,
    #[serde(flatten)]
    details: Invitation,
}

pub(crate) type InvitationList = ListResponse<Invitation>;

impl InvitationRequest {
    fn parse(self) -> Result<NewInvitation, Problem> {
        let mut problem = Problem::invalid("The invitation cannot be created with these values.");
        let email = self.email.map(|email| email.parse::<Email>()).transpose();
        let lifetime = Duration::from_secs(self.expires_in);
        let is_allowed = (Duration::from_secs(60)..=invitation::LONGEST).contains(&lifetime);
        match email {
            Ok(email) if is_allowed => {
                return Ok(NewInvitation { kind: InvitationKind::Guest, email, lifetime });
            }
            Ok(_) => {}
            Err(error) => problem = problem.at("/email", error.to_string()),
        }
        if !is_allowed {
            problem = problem.at("/expires_in", "must be 60 to 7776000");
        }
        Err(problem)
    }
}

/// Create an invitation.
///
/// One account can be created with it. Only the operator of the deployment can do this, with `X-Admin-Key`. The code is
/// only in this response.
#[utoipa::path(
    post,
    path = "/api/auth/invitations",
    operation_id = "create_invitation",
    tag = "auth",
    security(("adminKey" = [])),
    request_body = InvitationRequest,
    responses(
        (status = 201, description = "The invitation.", body = CreatedInvitation),
        (status = 403, description = "Registration is closed (`registration_closed`), or the caller is not the operator (`not_an_admin`)."),
        Problems
    ),
)]
pub(crate) async fn create(
    State(app): State<App>,
    _: Operator,
    Json(body): Json<InvitationRequest>,
) -> Result<impl IntoResponse, Problem> {
    if app.registration == RegistrationMode::Closed {
        return Err(Error::RegistrationClosed.into());
    }
    let new = body.parse()?;
    let created = invitation::Invitation::create(app.identity.store(), new, Timestamp::now()).await?;
    let (invitation, code) = created;
    let created = CreatedInvitation { invitation: code.expose().to_owned(), details: invitation.into() };
    Ok((StatusCode::CREATED, NO_STORE, Json(created)))
}

/// List the invitations.
///
/// Only the operator of the deployment can do this, with `X-Admin-Key`. The list contains used and expired invitations
/// for 90 days.
#[utoipa::path(
    get,
    path = "/api/auth/invitations",
    operation_id = "list_invitations",
    tag = "auth",
    security(("adminKey" = [])),
    params(ListQuery),
    responses((status = 200, description = "One page, newest first.", body = InvitationList), Problems),
)]
pub(crate) async fn list(
    State(app): State<App>,
    _: Operator,
    Query(query): Query<ListQuery>,
) -> Result<impl IntoResponse, Problem> {
    let secret = app.identity.vault().get().await?;
    let request = query.page_of(key::invitations(), secret.cursor())?;
    let page = invitation::Invitation::list(app.identity.store(), &request).await?.map(Invitation::from);
    Ok(Json(InvitationList::new(page, secret.cursor())))
}

/// Revoke an invitation.
///
/// Only the operator of the deployment can do this, with `X-Admin-Key`. An account that was created with it stays.
#[utoipa::path(
    delete,
    path = "/api/auth/invitations/{id}",
    operation_id = "delete_invitation",
    tag = "auth",
    security(("adminKey" = [])),
    params(("id" = InvitationId, Path, description = "The invitation.")),
    responses(
        (status = 204, description = "The invitation is revoked."),
        (status = 404, description = "There is no such invitation, or it is used."),
        Problems
    ),
)]
pub(crate) async fn delete(
    State(app): State<App>,
    _: Operator,
    Path(id): Path<InvitationId>,
) -> Result<impl IntoResponse, Problem> {
    invitation::Invitation::revoke(app.identity.store(), id, Timestamp::now()).await?;
    Ok(StatusCode::NO_CONTENT)
}
