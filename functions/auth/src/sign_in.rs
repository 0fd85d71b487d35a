//! Signing in, staying signed in and signing out.

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use sequent_core::{ExposeSecret, SecretString, Timestamp};
use sequent_http::{
    Caller, Exchange, Json, Problem,
    axum::{
        extract::State,
        response::{IntoResponse, Response},
    },
    csrf::SameSite,
    from_json,
    openapi::Problems,
    rate_limit::Throttle,
};
use sequent_identity::{Error, email::Email, password::Password, token::RefreshToken};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::{
    Auth,
    account::device,
    signed_in::{NO_STORE, Tokens},
};

/// Address and password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Credentials {
    #[schema(format = "email", max_length = 254)]
    email: String,
    #[schema(value_type = String, format = "password", max_length = 1024)]
    password: SecretString,
}

/// A refresh token, where it does not come in a cookie.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Refresh {
    /// `rt_...`.
    #[schema(value_type = Option<String>)]
    refresh_token: Option<SecretString>,
}

/// Sign in.
///
/// The tokens are also set as cookies. After five wrong passwords in a row the address has to wait longer and longer
/// between attempts (429 `too_many_attempts`); after a hundred its password is locked (403 `password_locked`).
#[utoipa::path(
    post,
    path = "/api/auth/login",
    operation_id = "login",
    tag = "auth",
    security(()),
    request_body = Credentials,
    responses((status = 200, description = "Signed in.", body = Tokens), Problems),
)]
pub(crate) async fn login(
    State(auth): State<Auth>,
    _: SameSite,
    throttle: Throttle,
    exchange: Exchange,
    headers: HeaderMap,
    Json(body): Json<Credentials>,
) -> Result<impl IntoResponse, Problem> {
    throttle.by_address().await?;
    // What cannot be an address or a password of ours is wrong, and says so in the same words as any other.
    let email: Email = body.email.parse().map_err(|_| Error::WrongCredentials)?;
    let password = Password::presented(body.password).map_err(|_| Error::WrongCredentials)?;
    let now = Timestamp::now();
    let signed_in = auth.identity.sign_in(&email, password, device(&headers, &exchange), now).await?;
    let cookies = auth.cookies.set(&signed_in, now);
    Ok((NO_STORE, cookies, Json(Tokens::new(signed_in))))
}

/// Replace the tokens.
///
/// Takes the refresh token from the body or, without one, from the cookie, and gives the next one in the same way. A
/// refresh token is good once; shown again within ten seconds it yields the same answer, shown later it ends the
/// session.
#[utoipa::path(
    post,
    path = "/api/auth/refresh",
    operation_id = "refresh",
    tag = "auth",
    security(()),
    request_body(content = Option<Refresh>, description = "Not needed where the cookie is sent."),
    responses((status = 200, description = "New tokens.", body = Tokens), Problems),
)]
pub(crate) async fn refresh(
    State(auth): State<Auth>,
    _: SameSite,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    let Presented { token, in_body, has_cookie } = Presented::find(&auth, &headers, &body)?;
    let now = Timestamp::now();
    let refreshed = match &token {
        Some(token) => auth.identity.refresh(token, now).await,
        None => Err(Error::InvalidRefreshToken),
    };
    match refreshed {
        Ok(signed_in) => {
            // A browser that holds the cookie must get the next one, also when it sent the token in the body:
            // otherwise the cookie's next use would look like theft.
            let cookies = has_cookie.then(|| auth.cookies.set(&signed_in, now));
            let tokens = Tokens::new(signed_in);
            let tokens = Json(if in_body { tokens } else { tokens.without_refresh_token() });
            Ok(match cookies {
                Some(cookies) => (NO_STORE, cookies, tokens).into_response(),
                None => (NO_STORE, tokens).into_response(),
            })
        }
        Err(error @ (Error::InvalidRefreshToken | Error::ReusedRefreshToken)) if has_cookie && !in_body => {
            Ok((auth.cookies.clear_refresh(), Problem::from(error)).into_response())
        }
        Err(error) => Err(error.into()),
    }
}

/// Sign out.
///
/// Ends the session of the refresh token or, without one, of the access token, and clears the cookies. Access tokens
/// already given out run out by themselves, within 15 minutes.
#[utoipa::path(
    post,
    path = "/api/auth/logout",
    operation_id = "logout",
    tag = "auth",
    security((), ("bearer" = []), ("cookie" = [])),
    request_body(content = Option<Refresh>, description = "Not needed where cookies or a bearer token are sent."),
    responses((status = 204, description = "Signed out."), Problems),
)]
pub(crate) async fn logout(
    State(auth): State<Auth>,
    _: SameSite,
    caller: Result<Caller, Problem>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<impl IntoResponse, Problem> {
    let caller = match caller {
        Ok(Caller(caller)) => Some(caller),
        // Without a valid access token one can still sign out: it may have run out.
        Err(problem) if problem.status() == StatusCode::UNAUTHORIZED => None,
        Err(problem) => return Err(problem),
    };
    let now = Timestamp::now();
    if let Some(token) = Presented::find(&auth, &headers, &body)?.token {
        auth.identity.sign_out(&token, now).await?;
    }
    if let Some((caller, session)) = caller.and_then(|caller| caller.session.map(|session| (caller, session)))
    {
        match auth.identity.revoke_session(caller.tenant, caller.user, session, now).await {
            Ok(()) | Err(Error::NotFound) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok((StatusCode::NO_CONTENT, auth.cookies.clear()))
}

/// The refresh token of a request, and where it was.
struct Presented {
    token: Option<RefreshToken>,
    in_body: bool,
    has_cookie: bool,
}

impl Presented {
    fn find(auth: &Auth, headers: &HeaderMap, body: &Bytes) -> Result<Self, Problem> {
        let cookie = auth.cookies.refresh_token(headers);
        let sent = if body.is_empty() { None } else { from_json::<Refresh>(body)?.refresh_token };
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
