//! Signing in, refreshing the tokens and signing out.

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use sequent_core::{ExposeSecret, SecretString, Timestamp};
use sequent_http::{
    Caller, Json, Problem, RequestContext,
    axum::{
        extract::State,
        response::{IntoResponse, Response},
    },
    csrf::SameSite,
    openapi::Problems,
    optional_json,
    rate_limit::Throttle,
};
use sequent_identity::{Error, email::Email, password::Password, token::RefreshToken};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::{
    App,
    account::device,
    signed_in::{AuthTokens, NO_STORE},
};

/// The address and the password of an account.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Credentials {
    #[schema(format = "email", max_length = 254)]
    email: String,
    #[schema(value_type = String, format = "password", max_length = 1024)]
    password: SecretString,
}

/// A refresh token that is not sent in a cookie.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RefreshRequest {
    /// A refresh token, which begins with `rt_`.
    #[schema(value_type = Option<String>)]
    refresh_token: Option<SecretString>,
}

/// Sign in.
///
/// The tokens are also set as cookies. Pages of a browser get the refresh token in a cookie only. After five wrong
/// passwords of a client, each further one has to wait longer, up to an hour (429 `too_many_attempts`). If clients of many
/// networks send wrong passwords for an address, each waits up to five minutes. A browser that was signed in before is
/// recognised by a cookie and does not wait for others.
#[utoipa::path(
    post,
    path = "/api/auth/login",
    operation_id = "sign_in",
    tag = "auth",
    security(()),
    request_body = Credentials,
    responses((status = 200, description = "The new session.", body = AuthTokens), Problems),
)]
pub(crate) async fn sign_in(
    State(app): State<App>,
    _: SameSite,
    throttle: Throttle,
    context: RequestContext,
    headers: HeaderMap,
    Json(body): Json<Credentials>,
) -> Result<impl IntoResponse, Problem> {
    throttle.by_address().await?;
    // A malformed address or password is answered like a wrong one, so that the response reveals nothing.
    let email: Email = body.email.parse().map_err(|_| Error::WrongCredentials)?;
    let password = Password::presented(body.password).map_err(|_| Error::WrongCredentials)?;
    let now = Timestamp::now();
    let client = device(&app, &headers, &context);
    let signed_in = app.identity.sign_in(&email, password, client, now).await?;
    let cookies = app.cookies.set(&signed_in, now);
    Ok((NO_STORE, cookies, Json(AuthTokens::new(signed_in).for_client(&headers))))
}

/// Refresh the tokens of a session.
///
/// The refresh token is read from the body or, if there is none, from the cookie. The next one is returned in the same
/// way. A refresh token can be used once. If it is used again within ten seconds, the response is the same. If it is
/// used later, the session ends.
#[utoipa::path(
    post,
    path = "/api/auth/refresh",
    operation_id = "refresh_tokens",
    tag = "auth",
    security(()),
    request_body(content = Option<RefreshRequest>, description = "Not needed if the cookie is sent."),
    responses((status = 200, description = "New tokens.", body = AuthTokens), Problems),
)]
pub(crate) async fn refresh_tokens(
    State(app): State<App>,
    _: SameSite,
    throttle: Throttle,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    throttle.refuse_guesses()?;
    let Presented { token, in_body, has_cookie } = Presented::find(&app, &headers, &body)?;
    let now = Timestamp::now();
    let refreshed = match &token {
        Some(token) => app.identity.refresh(token, now).await,
        None => Err(Error::InvalidRefreshToken),
    };
    if matches!(refreshed, Err(Error::InvalidRefreshToken)) {
        throttle.failed().await;
    }
    match refreshed {
        Ok(signed_in) => {
            // A browser with the cookie must get the next one even if it sent the token in the body. Otherwise the
            // next use of the old cookie would look like theft.
            let cookies = has_cookie.then(|| app.cookies.set(&signed_in, now));
            let tokens = AuthTokens::new(signed_in);
            let tokens = Json(if in_body { tokens } else { tokens.without_refresh_token() });
            Ok(match cookies {
                Some(cookies) => (NO_STORE, cookies, tokens).into_response(),
                None => (NO_STORE, tokens).into_response(),
            })
        }
        Err(error @ (Error::InvalidRefreshToken | Error::ReusedRefreshToken)) if has_cookie && !in_body => {
            Ok((app.cookies.clear_refresh(), Problem::from(error)).into_response())
        }
        Err(error) => Err(error.into()),
    }
}

/// Sign out.
///
/// Ends the session of the refresh token or, if there is none, of the access token, and clears the cookies. Access
/// tokens of the session are refused within five seconds.
#[utoipa::path(
    post,
    path = "/api/auth/logout",
    operation_id = "sign_out",
    tag = "auth",
    security((), ("bearer" = []), ("cookie" = [])),
    request_body(content = Option<RefreshRequest>, description = "Not needed if cookies or a bearer token are sent."),
    responses((status = 204, description = "The session has ended."), Problems),
)]
pub(crate) async fn sign_out(
    State(app): State<App>,
    _: SameSite,
    caller: Result<Caller, Problem>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<impl IntoResponse, Problem> {
    let caller = match caller {
        Ok(Caller(caller)) => Some(caller),
        // An expired access token does not prevent signing out.
        Err(problem) if problem.status() == StatusCode::UNAUTHORIZED => None,
        Err(problem) => return Err(problem),
    };
    let now = Timestamp::now();
    if let Some(token) = Presented::find(&app, &headers, &body)?.token {
        app.identity.sign_out(&token, now).await?;
    }
    if let Some((caller, session)) = caller.and_then(|caller| caller.session.map(|session| (caller, session)))
    {
        match app.identity.revoke_session(caller.tenant, caller.user, session, now).await {
            Ok(()) | Err(Error::NotFound) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok((StatusCode::NO_CONTENT, app.cookies.clear()))
}

/// The refresh token of a request, and the places in which it was sent.
struct Presented {
    token: Option<RefreshToken>,
    in_body: bool,
    has_cookie: bool,
}

impl Presented {
    fn find(app: &App, headers: &HeaderMap, body: &Bytes) -> Result<Self, Problem> {
        let cookie = app.cookies.refresh_token(headers);
        let sent = optional_json::<RefreshRequest>(body)?.and_then(|body| body.refresh_token);
        Ok(Self {
            in_body: sent.is_some(),
            has_cookie: cookie.is_some(),
            token: match sent {
                Some(text) => RefreshToken::parse(text.expose_secret()),
                None => cookie.flatten(),
            },
        })
    }
}
