//! API keys: credentials for programs.

use http::StatusCode;
use sequent_core::{ApiKeyId, Timestamp};
use sequent_http::{
    Caller, Json, Limit, ListQuery, Path, Problem, Query, Scope,
    axum::{extract::State, response::IntoResponse},
    openapi::Problems,
};
use sequent_identity::api_key;
use sequent_tables::{PageRequest, key};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{Auth, account::valid_name, signed_in::NO_STORE};

/// A key to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewApiKey {
    /// What it is for.
    #[schema(min_length = 1, max_length = 100)]
    name: String,
    /// What it allows: no more than the caller may do.
    #[schema(min_items = 1)]
    scopes: Vec<Scope>,
}

/// A key without its secret.
#[derive(Serialize, ToSchema)]
pub(crate) struct ApiKey {
    id: ApiKeyId,
    name: String,
    /// The beginning of the secret, to tell keys apart by.
    prefix: String,
    scopes: Vec<Scope>,
    created_at: Timestamp,
    /// When it was last used, to the minute.
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
            last_used_at: key.last_used_at,
        }
    }
}

/// A key with its secret, which is shown this once.
#[derive(Serialize, ToSchema)]
pub(crate) struct CreatedApiKey {
    /// `sk_...`, for `Authorization: Bearer` or `x-api-key`.
    key: String,
    #[serde(flatten)]
    details: ApiKey,
}

/// One page of keys.
#[derive(Serialize, ToSchema)]
pub(crate) struct ApiKeyList {
    items: Vec<ApiKey>,
    /// Where the next page starts; null at the end.
    next_cursor: Option<String>,
}

/// Create an API key.
///
/// The secret is in this answer and nowhere else, which is also why this route takes no `Idempotency-Key`: to repeat
/// the answer, the secret would have to be kept.
#[utoipa::path(
    post,
    path = "/api/auth/api-keys",
    operation_id = "create_api_key",
    tag = "auth",
    request_body = NewApiKey,
    responses((status = 201, description = "The key.", body = CreatedApiKey), Problems),
)]
pub(crate) async fn create(
    State(auth): State<Auth>,
    Caller(caller): Caller,
    Json(body): Json<NewApiKey>,
) -> Result<impl IntoResponse, Problem> {
    caller.require(Scope::Account)?;
    let invalid = || Problem::invalid("The key cannot be created like this.");
    let name = valid_name(&body.name).map_err(|detail| invalid().at("/name", detail))?;
    if body.scopes.is_empty() {
        return Err(invalid().at("/scopes", "a key has at least one scope"));
    }
    let scopes = body.scopes.iter().copied().collect();
    let (key, token) =
        auth.identity.create_api_key(&caller, name.to_owned(), scopes, Timestamp::now()).await?;
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
    State(auth): State<Auth>,
    Caller(caller): Caller,
    Query(query): Query<ListQuery>,
) -> Result<impl IntoResponse, Problem> {
    caller.require(Scope::Account)?;
    let secret = auth.identity.vault().get().await?;
    let request = PageRequest::new(key::api_keys(caller.tenant))
        .limit(query.limit.map(Limit::get))
        .cursor(secret.cursor(), query.cursor.as_deref())?;
    let page = auth.identity.api_keys(&request).await?.map(ApiKey::from);
    Ok(Json(ApiKeyList { next_cursor: page.next_cursor(secret.cursor()), items: page.items }))
}

/// Revoke an API key.
///
/// It stops working within five seconds.
#[utoipa::path(
    delete,
    path = "/api/auth/api-keys/{id}",
    operation_id = "delete_api_key",
    tag = "auth",
    params(("id" = ApiKeyId, Path, description = "The key.")),
    responses(
        (status = 204, description = "Revoked."),
        (status = 404, description = "The tenant has no such key."),
        Problems
    ),
)]
pub(crate) async fn delete(
    State(auth): State<Auth>,
    Caller(caller): Caller,
    Path(id): Path<ApiKeyId>,
) -> Result<impl IntoResponse, Problem> {
    caller.require(Scope::Account)?;
    auth.identity.revoke_api_key(&caller, id, Timestamp::now()).await?;
    Ok(StatusCode::NO_CONTENT)
}
