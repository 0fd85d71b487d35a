//! API keys: credentials for programs.

use http::StatusCode;
use sequent_core::{ApiKeyId, SessionId, Timestamp};
use sequent_http::{
    Caller, Json, ListQuery, ListResponse, Path, Problem, Query, Reauthenticated, Scope,
    axum::{extract::State, response::IntoResponse},
    openapi::Problems,
};
use sequent_identity::api_key;
use sequent_tables::key;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{App, account::valid_name, signed_in::NO_STORE};

/// A new API key.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewApiKey {
    /// The purpose of the key, for people.
    #[schema(
        min_length = 1,
        max_length = 100,
        pattern = r"^[^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x1f\x7f-\x9f]*$"
    )]
    name: String,
    /// The permissions of the key. The caller must have each of them.
    #[schema(min_items = 1)]
    scopes: Vec<Scope>,
    /// The time at which the key expires. Without it, the key is valid until it is revoked. A key that is created with
    /// another key expires with that key at the latest.
    expires_at: Option<Timestamp>,
}

/// An API key, without its secret.
#[derive(Serialize, ToSchema)]
pub(crate) struct ApiKey {
    id: ApiKeyId,
    name: String,
    /// The first characters of the secret, by which people recognise the key.
    prefix: String,
    scopes: Vec<Scope>,
    created_at: Timestamp,
    /// The session in which the key was created, also if it was created with another key of that session.
    created_by_session: Option<SessionId>,
    /// The time at which the key expires; null if it does not.
    expires_at: Option<Timestamp>,
    /// The time of the last use, to the minute.
    last_used_at: Option<Timestamp>,
}

impl From<api_key::ApiKey> for ApiKey {
    fn from(key: api_key::ApiKey) -> Self {
        Self {
            id: key.id,
            name: key.name,
            prefix: key.prefix,
            scopes: key.scopes.iter().collect(),
            created_at: key.created_at,
            created_by_session: key.session,
            expires_at: key.valid_until,
            last_used_at: key.last_used_at,
        }
    }
}

/// An API key with its secret. No other response contains the secret.
#[derive(Serialize, ToSchema)]
pub(crate) struct CreatedApiKey {
    /// `sk_...`, for `Authorization: Bearer` or `x-api-key`.
    key: String,
    #[serde(flatten)]
    details: ApiKey,
}

pub(crate) type ApiKeyList = ListResponse<ApiKey>;

/// Create an API key.
///
/// The secret is only in this response. The route takes no `Idempotency-Key`, because a repeated response would
/// require that the secret is stored. A session must have presented its password within the last ten minutes.
#[utoipa::path(
    post,
    path = "/api/auth/api-keys",
    operation_id = "create_api_key",
    tag = "auth",
    request_body = NewApiKey,
    responses((status = 201, description = "The key.", body = CreatedApiKey), Problems),
)]
pub(crate) async fn create(
    State(app): State<App>,
    Reauthenticated(caller): Reauthenticated,
    Json(body): Json<NewApiKey>,
) -> Result<impl IntoResponse, Problem> {
    caller.require(Scope::Account)?;
    let invalid = || Problem::invalid("The API key cannot be created with these values.");
    let name = valid_name(&body.name).map_err(|detail| invalid().at("/name", detail))?;
    if body.scopes.is_empty() {
        return Err(invalid().at("/scopes", "must contain at least one scope"));
    }
    let now = Timestamp::now();
    if body.expires_at.is_some_and(|end| end <= now) {
        return Err(invalid().at("/expires_at", "must be in the future"));
    }
    let scopes = body.scopes.iter().copied().collect();
    let new = api_key::NewApiKey { name: name.to_owned(), scopes, valid_until: body.expires_at };
    let (key, token) = app.identity.create_api_key(&caller, new, now).await?;
    let created = CreatedApiKey { key: token.expose().to_owned(), details: key.into() };
    Ok((StatusCode::CREATED, NO_STORE, Json(created)))
}

/// List the tenant's API keys.
#[utoipa::path(
    get,
    path = "/api/auth/api-keys",
    operation_id = "list_api_keys",
    tag = "auth",
    params(ListQuery),
    responses((status = 200, description = "One page, newest first.", body = ApiKeyList), Problems),
)]
pub(crate) async fn list(
    State(app): State<App>,
    Caller(caller): Caller,
    Query(query): Query<ListQuery>,
) -> Result<impl IntoResponse, Problem> {
    caller.require(Scope::Account)?;
    let secret = app.identity.vault().get().await?;
    let request = query.page_of(key::api_keys(caller.tenant), secret.cursor())?;
    let page = app.identity.api_keys(&request).await?.map(ApiKey::from);
    Ok(Json(ApiKeyList::new(page, secret.cursor())))
}

/// Revoke an API key.
///
/// The key stops working within five seconds. A session must have presented its password within the last ten minutes.
#[utoipa::path(
    delete,
    path = "/api/auth/api-keys/{id}",
    operation_id = "delete_api_key",
    tag = "auth",
    params(("id" = ApiKeyId, Path, description = "The key.")),
    responses(
        (status = 204, description = "The key is revoked."),
        (status = 404, description = "The tenant has no such key."),
        Problems
    ),
)]
pub(crate) async fn delete(
    State(app): State<App>,
    Reauthenticated(caller): Reauthenticated,
    Path(id): Path<ApiKeyId>,
) -> Result<impl IntoResponse, Problem> {
    caller.require(Scope::Account)?;
    app.identity.revoke_api_key(&caller, id, Timestamp::now()).await?;
    Ok(StatusCode::NO_CONTENT)
}
