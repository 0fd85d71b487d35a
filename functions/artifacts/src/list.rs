//! Lists of artifacts and entities.

use axum::extract::State;
use sequent_artifacts::{Artifact, Entity, Filter};
use sequent_core::{Code, RunId};
use sequent_http::{Caller, Json, Limit, ListResponse, Problem, Query, openapi::Problems};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::App;

type ArtifactList = ListResponse<Artifact>;
type EntityList = ListResponse<Entity>;

/// The query of `GET /api/artifacts`.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct ArtifactsQuery {
    /// Only artifacts of this run.
    run: Option<RunId>,
    /// Only artifacts of this type, such as `report`.
    #[param(pattern = "^[a-z0-9_.:-]{1,64}$")]
    entity_type: Option<String>,
    /// Only artifacts with this tag.
    #[param(pattern = "^[a-z0-9_.:-]{1,64}$")]
    tag: Option<String>,
    /// Maximum number of items; 50 if not given.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 100)]
    limit: Option<Limit>,
    /// `next_cursor` of the previous page.
    cursor: Option<String>,
}

/// The query of `GET /api/entities`.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct EntitiesQuery {
    /// The type of the entities, such as `person` or `report`.
    #[param(pattern = "^[a-z0-9_.:-]{1,64}$")]
    r#type: String,
    /// Maximum number of items; 50 if not given.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 100)]
    limit: Option<Limit>,
    /// `next_cursor` of the previous page.
    cursor: Option<String>,
}

/// List artifacts.
///
/// Newest first. With more than one filter a page may have fewer items than `limit`, or none, before the end
/// of the list; only a `next_cursor` of null marks the end. Use a cursor only with the filters of its page.
#[utoipa::path(
    get,
    path = "/api/artifacts",
    operation_id = "list_artifacts",
    tag = "artifacts",
    params(ArtifactsQuery),
    responses((status = 200, description = "One page, newest first.", body = ArtifactList), Problems),
)]
pub(crate) async fn list_artifacts(
    State(app): State<App>,
    Caller(caller): Caller,
    Query(query): Query<ArtifactsQuery>,
) -> Result<Json<ArtifactList>, Problem> {
    let filter =
        Filter { run: query.run, entity_type: query.entity_type.as_deref(), tag: query.tag.as_deref() };
    check(filter)?;
    let secret = app.vault.get().await?;
    let cursor = query.cursor.as_deref();
    let limit = query.limit.map(Limit::get);
    let page = app.artifacts.list(caller.tenant, filter, secret.cursor(), cursor, limit).await?;
    Ok(Json(ListResponse::new(page, secret.cursor())))
}

/// List entities of a type.
///
/// First the entities that documents mention, such as persons and places, newest first; then the artifacts of
/// the type. The page on which the artifacts begin may have one item more than `limit`.
#[utoipa::path(
    get,
    path = "/api/entities",
    operation_id = "list_entities",
    tag = "artifacts",
    params(EntitiesQuery),
    responses((status = 200, description = "One page.", body = EntityList), Problems),
)]
pub(crate) async fn list_entities(
    State(app): State<App>,
    Caller(caller): Caller,
    Query(query): Query<EntitiesQuery>,
) -> Result<Json<EntityList>, Problem> {
    check(Filter { entity_type: Some(&query.r#type), ..Filter::default() })?;
    let secret = app.vault.get().await?;
    let cursor = query.cursor.as_deref();
    let limit = query.limit.map(Limit::get);
    let page = app.artifacts.entities(caller.tenant, &query.r#type, secret.cursor(), cursor, limit).await?;
    Ok(Json(ListResponse::new(page, secret.cursor())))
}

/// Refuses names that no artifact can have. Names become parts of keys.
fn check(filter: Filter<'_>) -> Result<(), Problem> {
    if filter.is_valid() {
        return Ok(());
    }
    let detail = "A type or tag must have 1 to 64 of the characters a-z, 0-9, `_`, `-`, `.` and `:`.";
    Err(Problem::new(Code::InvalidQuery, detail))
}
