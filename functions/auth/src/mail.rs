//! Verifying the address of an account, and replacing a forgotten password, by mail.

use http::StatusCode;
use sequent_core::{Code, ExposeSecret, SecretString, Timestamp};
use sequent_http::{
    Caller, Json, Problem, PublicOrigin, Scope,
    axum::{extract::State, response::IntoResponse},
    csrf::SameSite,
    openapi::Problems,
    rate_limit::Throttle,
};
use sequent_identity::{
    Error,
    account::User,
    email::Email,
    mail::{MailRequest, MailToken},
    password::Password,
};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::{App, job::deployment_job};

/// The address of an account whose password is forgotten.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PasswordResetRequest {
    #[schema(value_type = String, format = "email", max_length = 254)]
    email: Email,
}

/// The token of a mail and the new password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PasswordReset {
    /// The part of the link after `#token=`, which begins with `mt_`.
    #[schema(value_type = String)]
    token: SecretString,
    /// At least 8 characters and at most 1024 bytes. A password that is easy to guess is refused.
    #[schema(value_type = String, format = "password", min_length = 8, max_length = 1024)]
    password: SecretString,
}

/// The token of a mail.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct EmailVerification {
    /// The part of the link after `#token=`, which begins with `mt_`.
    #[schema(value_type = String)]
    token: SecretString,
}

/// Request a mail that resets the password.
///
/// The response is the same whether an account has the address or not. An address gets three such mails an hour. The
/// link in the mail is valid for 30 minutes.
#[utoipa::path(
    post,
    path = "/api/auth/password-reset",
    operation_id = "request_password_reset",
    tag = "auth",
    security(()),
    request_body = PasswordResetRequest,
    responses(
        (status = 202, description = "If an account has the address, a mail is on its way."),
        (status = 404, description = "The deployment sends no mail (`mail_not_configured`)."),
        Problems
    ),
)]
pub(crate) async fn request_reset(
    State(app): State<App>,
    _: SameSite,
    PublicOrigin(origin): PublicOrigin,
    throttle: Throttle,
    Json(body): Json<PasswordResetRequest>,
) -> Result<impl IntoResponse, Problem> {
    app.require_mail()?;
    throttle.by_address().await?;
    let now = Timestamp::now();
    let request = app.identity.request_password_reset(&body.email, &origin, now).await?;
    send(&app, request, now).await?;
    Ok(StatusCode::ACCEPTED)
}

/// Reset the password.
///
/// Replaces the password, ends all sessions and verifies the address. Sign in with the new password afterwards.
#[utoipa::path(
    post,
    path = "/api/auth/password-reset/confirm",
    operation_id = "reset_password",
    tag = "auth",
    security(()),
    request_body = PasswordReset,
    responses((status = 204, description = "The password is replaced."), Problems),
)]
pub(crate) async fn reset(
    State(app): State<App>,
    _: SameSite,
    throttle: Throttle,
    Json(body): Json<PasswordReset>,
) -> Result<impl IntoResponse, Problem> {
    throttle.by_address().await?;
    let token = parse(&body.token)?;
    let now = Timestamp::now();
    let user = app.identity.user_of_reset(&token, now).await?;
    let password = Password::chosen(body.password, user.email.as_str()).map_err(|weakness| {
        Problem::invalid("The new password is not allowed.").at("/password", weakness.to_string())
    })?;
    let device = app.identity.reset_password(&token, password, now).await?;
    Ok((StatusCode::NO_CONTENT, app.cookies.set_device(&device)))
}

/// Request a mail that verifies the address.
///
/// An address gets three such mails an hour, and none once it is verified. The link in the mail is valid for a day. If
/// the deployment sends mail, registering requests the first one.
#[utoipa::path(
    post,
    path = "/api/auth/verification",
    operation_id = "request_email_verification",
    tag = "auth",
    responses(
        (status = 202, description = "A mail is on its way, unless the address is verified."),
        (status = 404, description = "The deployment sends no mail (`mail_not_configured`)."),
        Problems
    ),
)]
pub(crate) async fn request_verification(
    State(app): State<App>,
    PublicOrigin(origin): PublicOrigin,
    Caller(caller): Caller,
) -> Result<impl IntoResponse, Problem> {
    caller.require(Scope::Account)?;
    let user = app.identity.user(caller.tenant, caller.user).await?;
    let user = user.ok_or_else(|| Problem::unauthenticated(true))?;
    app.require_mail()?;
    verify_later(&app, &user, &origin, Timestamp::now()).await?;
    Ok(StatusCode::ACCEPTED)
}

/// Verify the address.
#[utoipa::path(
    post,
    path = "/api/auth/verification/confirm",
    operation_id = "verify_email",
    tag = "auth",
    security(()),
    request_body = EmailVerification,
    responses((status = 204, description = "The address is verified."), Problems),
)]
pub(crate) async fn verify(
    State(app): State<App>,
    _: SameSite,
    throttle: Throttle,
    Json(body): Json<EmailVerification>,
) -> Result<impl IntoResponse, Problem> {
    throttle.by_address().await?;
    app.identity.verify_email(&parse(&body.token)?, Timestamp::now()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Requests the mail that verifies the address of a user, if the deployment sends mail.
pub(crate) async fn verify_later(
    app: &App,
    user: &User,
    origin: &str,
    now: Timestamp,
) -> Result<(), Problem> {
    if !app.identity.sends_mail() {
        return Ok(());
    }
    let request = app.identity.request_verification(user, origin, now).await?;
    send(app, request, now).await
}

async fn send(app: &App, request: Option<MailRequest>, now: Timestamp) -> Result<(), Problem> {
    if let Some(request) = request {
        let job = deployment_job(MailRequest::TYPE, None, &request);
        sequent_jobs::enqueue(&app.store, &job, now).await?;
    }
    Ok(())
}

fn parse(text: &SecretString) -> Result<MailToken, Error> {
    MailToken::parse(text.expose_secret()).ok_or(Error::InvalidMailToken)
}

impl App {
    fn require_mail(&self) -> Result<(), Problem> {
        if self.identity.sends_mail() {
            return Ok(());
        }
        let detail = "The deployment sends no mail, because its parameter MailFrom is empty.";
        Err(Problem::new(Code::MailNotConfigured, detail))
    }
}
