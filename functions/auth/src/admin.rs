//! Accounts as the operator of the deployment administers them: suspending, reinstating and unlocking.

use http::HeaderMap;
use sequent_core::{Code, Timestamp};
use sequent_http::{
    Caller, Json, Problem,
    axum::{extract::State, response::IntoResponse},
    openapi::Problems,
};
use sequent_identity::{account::User, email::Email, suspension};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{App, signed_in::NO_STORE};

/// The account that the operator means.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AccountName {
    #[schema(value_type = String, format = "email", max_length = 254)]
    email: Email,
}

/// An account as the operator sees it.
#[derive(Serialize, ToSchema)]
pub(crate) struct AccountStatus {
    user: User,
    /// The time at which the account was suspended; null if it is not.
    suspended_at: Option<Timestamp>,
}

impl From<suspension::AccountStanding> for AccountStatus {
    fn from(account: suspension::AccountStanding) -> Self {
        Self { user: account.user, suspended_at: account.suspended_at }
    }
}

/// Suspend an account.
///
/// Its sessions end, and its API keys are refused until it is reinstated, all within five seconds. Runs that execute go
/// on to their end. A repeated request completes one that was interrupted.
#[utoipa::path(
    post,
    path = "/api/admin/users/suspend",
    operation_id = "suspend_user",
    tag = "auth",
    request_body = AccountName,
    security(("adminKey" = [])),
    responses(
        (status = 200, description = "The account is suspended.", body = AccountStatus),
        (status = 404, description = "No account has the address."),
        Problems
    ),
)]
pub(crate) async fn suspend(
    State(app): State<App>,
    caller: Option<Caller>,
    headers: HeaderMap,
    Json(body): Json<AccountName>,
) -> Result<impl IntoResponse, Problem> {
    require_operator(&app, caller.is_some(), &headers).await?;
    let account = app.identity.suspend(&body.email, Timestamp::now()).await?;
    Ok((NO_STORE, Json(AccountStatus::from(account))))
}

/// End the suspension of an account.
///
/// Its API keys work again within a minute. Its user signs in again.
#[utoipa::path(
    post,
    path = "/api/admin/users/reinstate",
    operation_id = "end_suspension",
    tag = "auth",
    request_body = AccountName,
    security(("adminKey" = [])),
    responses(
        (status = 200, description = "The account is not suspended.", body = AccountStatus),
        (status = 404, description = "No account has the address."),
        Problems
    ),
)]
pub(crate) async fn reinstate(
    State(app): State<App>,
    caller: Option<Caller>,
    headers: HeaderMap,
    Json(body): Json<AccountName>,
) -> Result<impl IntoResponse, Problem> {
    require_operator(&app, caller.is_some(), &headers).await?;
    let account = app.identity.reinstate(&body.email, Timestamp::now()).await?;
    Ok((NO_STORE, Json(AccountStatus::from(account))))
}

/// Unlock an account.
///
/// Discards the counts of wrong passwords, so that the next password is compared at once from any client.
#[utoipa::path(
    post,
    path = "/api/admin/users/unlock",
    operation_id = "unlock_user",
    tag = "auth",
    request_body = AccountName,
    security(("adminKey" = [])),
    responses(
        (status = 200, description = "The counts are discarded.", body = AccountStatus),
        (status = 404, description = "No account has the address."),
        Problems
    ),
)]
pub(crate) async fn unlock(
    State(app): State<App>,
    caller: Option<Caller>,
    headers: HeaderMap,
    Json(body): Json<AccountName>,
) -> Result<impl IntoResponse, Problem> {
    require_operator(&app, caller.is_some(), &headers).await?;
    let account = app.identity.unlock(&body.email, Timestamp::now()).await?;
    Ok((NO_STORE, Json(AccountStatus::from(account))))
}

async fn require_operator(app: &App, has_caller: bool, headers: &HeaderMap) -> Result<(), Problem> {
    match headers.get("x-admin-key").map(http::HeaderValue::as_bytes) {
        Some(key) if app.identity.vault().get().await?.is_admin_key(key) => Ok(()),
        Some(_) => Err(Problem::unauthenticated(true)),
        None if has_caller => {
            let detail = "Only the operator of the deployment can do this. Send the header `X-Admin-Key`.";
            Err(Problem::new(Code::NotAnAdmin, detail))
        }
        None => Err(Problem::unauthenticated(false)),
    }
}
