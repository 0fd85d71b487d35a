//! The operator's routes for accounts: suspending, reinstating and unlocking.

use sequent_core::Timestamp;
use sequent_http::{
    Json, Operator, Problem,
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
    _: Operator,
    Json(body): Json<AccountName>,
) -> Result<impl IntoResponse, Problem> {
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
    _: Operator,
    Json(body): Json<AccountName>,
) -> Result<impl IntoResponse, Problem> {
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
    _: Operator,
    Json(body): Json<AccountName>,
) -> Result<impl IntoResponse, Problem> {
    let account = app.identity.unlock(&body.email, Timestamp::now()).await?;
    Ok((NO_STORE, Json(AccountStatus::from(account))))
}
