//! Accounts: signing up, and the user of the caller.

use http::{
    HeaderMap, StatusCode,
    header::{ORIGIN, USER_AGENT},
};
use sequent_core::{SecretString, Timestamp};
use sequent_http::{
    Json, Problem, RequestContext,
    axum::{extract::State, response::IntoResponse},
    csrf::SameSite,
    openapi::Problems,
    rate_limit::Throttle,
};
use sequent_identity::{account::NewAccount, email::Email, password::Password, session::Device};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::{
    App,
    mail::verify_later,
    signed_in::{AuthTokens, NO_STORE},
};

/// The maximum number of characters in the name of a user or an API key.
pub(crate) const MAX_NAME: usize = 100;

/// A registration with address and password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Registration {
    /// The address to sign in with.
    #[schema(format = "email", max_length = 254)]
    email: String,
    /// At least 8 characters and at most 1024 bytes. A password that is easy to guess is refused.
    #[schema(value_type = String, format = "password", min_length = 8, max_length = 1024)]
    password: SecretString,
    /// The name of the user. The default is the address up to the `@`.
    #[schema(
        min_length = 1,
        max_length = 100,
        pattern = r"^[^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x1f\x7f-\x9f]*$"
    )]
    name: Option<String>,
    /// The code of an invitation. It is not needed if the deployment accepts every registration.
    #[schema(value_type = Option<String>)]
    invitation: Option<SecretString>,
}

impl Registration {
    /// Checks all fields, so that the problem names every one that is wrong.
    fn parse(self) -> Result<NewAccount, Problem> {
        let email = self.email.parse::<Email>();
        let password = Password::chosen(self.password, self.email.trim());
        let name = self.name.as_deref().map(valid_name).transpose();
        let mut problem = Problem::invalid("The account cannot be created with these values.");
        match (email, password, name) {
            (Ok(email), Ok(password), Ok(name)) => {
                let local = email.as_str().split('@').next().unwrap_or_default();
                let name = name.map_or_else(|| local.to_owned(), str::to_owned);
                return Ok(NewAccount { email, password, name });
            }
            (email, password, name) => {
                if let Err(error) = email {
                    problem = problem.at("/email", error.to_string());
                }
                if let Err(error) = password {
                    problem = problem.at("/password", error.to_string());
                }
                if let Err(detail) = name {
                    problem = problem.at("/name", detail);
                }
            }
        }
        Err(problem)
    }
}

/// Trims a name, and checks that it is one line of at most [`MAX_NAME`] characters.
pub(crate) fn valid_name(text: &str) -> Result<&str, &'static str> {
    let text = text.trim();
    match text.chars().count() {
        0 => Err("must not be empty"),
        1..=MAX_NAME if !text.contains(char::is_control) => Ok(text),
        1..=MAX_NAME => Err("must not contain control characters"),
        _ => Err("must have at most 100 characters"),
    }
}

/// The client of the request, by which people recognise their sessions and throttles their devices.
pub(crate) fn device(app: &App, headers: &HeaderMap, context: &RequestContext) -> Device {
    Device {
        user_agent: headers.get(USER_AGENT).and_then(|value| value.to_str().ok()).map(str::to_owned),
        address: context.client().map(str::to_owned),
        token: app.cookies.device_token(headers),
    }
}

/// Returns `true` if a page that can use the cookies sent the request. Browsers send these headers with every `POST` (Fetch
/// Standard, section 3.2; Fetch Metadata), and other clients have no reason to. A page of another site, which
/// `ALLOWED_ORIGINS` may admit, gets no `SameSite` cookie back.
pub(crate) fn has_cookies(headers: &HeaderMap) -> bool {
    match headers.get("sec-fetch-site").map(|value| value.as_bytes()) {
        Some(site) => site != b"cross-site",
        None => headers.contains_key(ORIGIN),
    }
}

/// Sign up.
///
/// Creates an account with a tenant of its own and signs in. The tokens are also set as cookies. Pages of a browser get
/// the refresh token in a cookie only. The operator decides who may register:
/// everyone, people with an invitation, or only people with a setup code.
#[utoipa::path(
    post,
    path = "/api/auth/register",
    operation_id = "sign_up",
    tag = "auth",
    security(()),
    request_body = Registration,
    responses(
        (status = 201, description = "The account is created and signed in.", body = AuthTokens),
        (status = 403, description = "Registration is closed (`registration_closed`) or needs an invitation (`invitation_required`, `invitation_invalid`)."),
        (status = 409, description = "An account with the address exists (`email_taken`)."),
        Problems
    ),
)]
pub(crate) async fn sign_up(
    State(app): State<App>,
    _: SameSite,
    throttle: Throttle,
    context: RequestContext,
    headers: HeaderMap,
    Json(mut body): Json<Registration>,
) -> Result<impl IntoResponse, Problem> {
    let invitation = body.invitation.take();
    let account = body.parse()?;
    throttle.by_address().await?;
    let now = Timestamp::now();
    let admission = app.identity.admit(app.registration, invitation.as_ref(), &account.email, now).await?;
    let device = device(&app, &headers, &context);
    let signed_in = app.identity.register(account, admission, device, now).await?;
    if let Some(origin) = context.public_origin()
        && let Err(problem) = verify_later(&app, &signed_in.user, origin, now).await
    {
        tracing::warn!(code = problem.code().as_str(), "could not request the mail that verifies an address");
    }
    let cookies = app.cookies.set(&signed_in, now);
    let tokens = AuthTokens::new(signed_in).for_client(&headers);
    Ok((StatusCode::CREATED, NO_STORE, cookies, Json(tokens)))
}
