//! The account of the caller: reading it, presenting its password again, replacing the password, and deleting it.

use http::StatusCode;
use sequent_core::{SecretString, TenantId, Timestamp, UserId};
use sequent_http::{
    Caller, Json, Problem, Query, Reauthenticated, Scope,
    axum::{extract::State, response::IntoResponse},
    openapi::Problems,
};
use sequent_identity::{
    Error, PasswordChange,
    account::{User, UserRole},
    closing::AccountDeletion,
    password::Password,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{App, job::deployment_job, signed_in::NO_STORE};

/// The user of the caller. A caller without the scope `account` sees neither the address nor the name.
#[derive(Serialize, ToSchema)]
pub(crate) struct Me {
    id: UserId,
    tenant_id: TenantId,
    role: UserRole,
    created_at: Timestamp,
    #[schema(format = "email")]
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<String>,
    /// The time at which the user proved to receive mail at the address.
    #[serde(skip_serializing_if = "Option::is_none")]
    email_verified_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// The scopes of the credential.
    scopes: Vec<Scope>,
}

/// A password that is presented again.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Reauthentication {
    #[schema(value_type = String, format = "password", max_length = 1024)]
    password: SecretString,
}

/// The query of `DELETE /api/auth/me`.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct DeletionQuery {
    /// The id of the user, as a confirmation.
    user_id: UserId,
}

/// The password of the account and the one that replaces it.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PasswordReplacement {
    #[schema(value_type = String, format = "password", max_length = 1024)]
    current_password: SecretString,
    /// At least 8 characters and at most 1024 bytes. A password that is easy to guess is refused.
    #[schema(value_type = String, format = "password", min_length = 8, max_length = 1024)]
    new_password: SecretString,
}

/// Get the user of the caller.
///
/// An API key without the scope `account` sees only ids, the role and its own scopes.
#[utoipa::path(
    get,
    path = "/api/auth/me",
    operation_id = "get_me",
    tag = "auth",
    responses((status = 200, description = "The user.", body = Me), Problems),
)]
pub(crate) async fn me(State(app): State<App>, Caller(caller): Caller) -> Result<impl IntoResponse, Problem> {
    let user = app.identity.user(caller.tenant, caller.user).await?;
    // The credential is older than the deletion of its user.
    let User { id, email, email_verified_at, name, tenant_id, created_at, role } =
        user.ok_or_else(|| Problem::unauthenticated(true))?;
    let is_private = caller.scopes.contains(Scope::Account);
    let me = Me {
        id,
        tenant_id,
        role,
        created_at,
        email: is_private.then(|| email.into()),
        email_verified_at: email_verified_at.filter(|_| is_private),
        name: is_private.then_some(name),
        scopes: caller.scopes.iter().collect(),
    };
    Ok((NO_STORE, Json(me)))
}

/// Present the password again.
///
/// Routes that change credentials or the account answer 403 `reauthentication_required` if the session has not presented
/// its password within the last ten minutes. Wrong passwords are limited as at the sign-in.
#[utoipa::path(
    post,
    path = "/api/auth/reauthenticate",
    operation_id = "present_password",
    tag = "auth",
    security(("bearer" = []), ("cookie" = [])),
    request_body = Reauthentication,
    responses((status = 204, description = "The password is right."), Problems),
)]
pub(crate) async fn reauthenticate(
    State(app): State<App>,
    Caller(caller): Caller,
    Json(body): Json<Reauthentication>,
) -> Result<impl IntoResponse, Problem> {
    let password = Password::presented(body.password).map_err(|_| Error::WrongCredentials)?;
    app.identity.reauthenticate(&caller, password, Timestamp::now()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Change the password.
///
/// Ends all other sessions of the user. API keys stay valid.
#[utoipa::path(
    post,
    path = "/api/auth/password",
    operation_id = "change_password",
    tag = "auth",
    security(("bearer" = []), ("cookie" = [])),
    request_body = PasswordReplacement,
    responses((status = 204, description = "The password is changed."), Problems),
)]
pub(crate) async fn change_password(
    State(app): State<App>,
    Caller(caller): Caller,
    Json(body): Json<PasswordReplacement>,
) -> Result<impl IntoResponse, Problem> {
    let user = app.identity.user(caller.tenant, caller.user).await?;
    let user = user.ok_or_else(|| Problem::unauthenticated(true))?;
    let current = Password::presented(body.current_password).map_err(|_| Error::WrongCredentials)?;
    let new = Password::chosen(body.new_password, user.email.as_str()).map_err(|weakness| {
        Problem::invalid("The new password is not allowed.").at("/new_password", weakness.to_string())
    })?;
    app.identity.change_password(&caller, PasswordChange { current, new }, Timestamp::now()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Delete the account.
///
/// No one can sign in from now on, and all sessions and API keys are refused within five seconds. A job deletes the
/// conversations, runs, artifacts, MCP servers, jobs and the audit trail. Records of payments and of what runs cost stay,
/// without content. A session must have presented its password within the last ten minutes; an API key cannot do this.
#[utoipa::path(
    delete,
    path = "/api/auth/me",
    operation_id = "delete_me",
    tag = "auth",
    params(DeletionQuery),
    security(("bearer" = []), ("cookie" = [])),
    responses(
        (status = 202, description = "The account is closed and is being deleted."),
        (status = 404, description = "The caller has another id."),
        Problems
    ),
)]
pub(crate) async fn delete_me(
    State(app): State<App>,
    Reauthenticated(caller): Reauthenticated,
    Query(query): Query<DeletionQuery>,
) -> Result<impl IntoResponse, Problem> {
    caller.require(Scope::Account)?;
    if query.user_id != caller.user {
        return Err(Problem::not_found("The id is not that of the caller."));
    }
    let now = Timestamp::now();
    let input = AccountDeletion { tenant_id: caller.tenant, user_id: caller.user, closed_at: now };
    let job = deployment_job(AccountDeletion::TYPE, Some(input.key()), &input);
    app.identity.close_account(&caller, job.rows(now), now).await?;
    Ok((StatusCode::ACCEPTED, app.cookies.clear()))
}
