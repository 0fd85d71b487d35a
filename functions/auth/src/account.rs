//! Accounts: signing up, and who the caller is.

use http::{HeaderMap, StatusCode, header::USER_AGENT};
use sequent_core::{SecretString, Timestamp};
use sequent_http::{
    Caller, Exchange, Json, Problem,
    axum::{extract::State, response::IntoResponse},
    csrf::SameSite,
    openapi::Problems,
    rate_limit::Throttle,
};
use sequent_identity::{
    account::{NewAccount, User},
    email::Email,
    password::Password,
    session::Device,
};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::{
    Auth,
    signed_in::{NO_STORE, Tokens},
};

/// Most characters of a name people give themselves or their keys.
pub(crate) const MAX_NAME: usize = 100;

/// A new account.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Registration {
    /// Address to sign in with.
    #[schema(format = "email", max_length = 254)]
    email: String,
    /// At least 8 characters, at most 1024 bytes, and none of the best-known passwords.
    #[schema(value_type = String, format = "password", min_length = 8, max_length = 1024)]
    password: SecretString,
    /// What to call the user; the address up to the `@` if not given.
    #[schema(max_length = 100)]
    name: Option<String>,
}

impl Registration {
    /// Names everything that is wrong at once.
    fn parse(self) -> Result<NewAccount, Problem> {
        let email = self.email.parse::<Email>();
        let password = Password::chosen(self.password, self.email.trim());
        let name = self.name.as_deref().map(valid_name).transpose();
        let mut problem = Problem::invalid("The account cannot be created like this.");
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

/// A name without the space around it, if it is one line of reasonable length.
pub(crate) fn valid_name(text: &str) -> Result<&str, &'static str> {
    let text = text.trim();
    match text.chars().count() {
        0 => Err("a name is not empty"),
        1..=MAX_NAME if !text.contains(char::is_control) => Ok(text),
        1..=MAX_NAME => Err("a name has no control characters"),
        _ => Err("a name has at most 100 characters"),
    }
}

/// What the request says of the client, for people to recognise their sessions by.
pub(crate) fn device(headers: &HeaderMap, exchange: &Exchange) -> Device {
    Device {
        user_agent: headers.get(USER_AGENT).and_then(|value| value.to_str().ok()).map(str::to_owned),
        address: exchange.client().map(str::to_owned),
    }
}

/// Sign up.
///
/// Creates an account with a tenant of its own and signs in. The tokens are also set as cookies.
#[utoipa::path(
    post,
    path = "/api/auth/register",
    operation_id = "register",
    tag = "auth",
    security(()),
    request_body = Registration,
    responses(
        (status = 201, description = "The account, signed in.", body = Tokens),
        (status = 409, description = "The address has an account (`email_taken`)."),
        Problems
    ),
)]
pub(crate) async fn register(
    State(auth): State<Auth>,
    _: SameSite,
    throttle: Throttle,
    exchange: Exchange,
    headers: HeaderMap,
    Json(body): Json<Registration>,
) -> Result<impl IntoResponse, Problem> {
    let account = body.parse()?;
    throttle.by_address().await?;
    let now = Timestamp::now();
    let signed_in = auth.identity.sign_up(account, device(&headers, &exchange), now).await?;
    let cookies = auth.cookies.set(&signed_in, now);
    Ok((StatusCode::CREATED, NO_STORE, cookies, Json(Tokens::new(signed_in))))
}

/// Who am I.
#[utoipa::path(
    get,
    path = "/api/auth/me",
    operation_id = "get_me",
    tag = "auth",
    responses((status = 200, description = "The caller's user.", body = User), Problems),
)]
pub(crate) async fn me(
    State(auth): State<Auth>,
    Caller(caller): Caller,
) -> Result<impl IntoResponse, Problem> {
    let user = auth.identity.user(caller.tenant, caller.user).await?;
    // The credential outlived its user.
    let user = user.ok_or_else(|| Problem::unauthenticated(true))?;
    Ok((NO_STORE, Json(user)))
}
