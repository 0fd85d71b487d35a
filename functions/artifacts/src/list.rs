//! Lists of artifacts.

use axum::extract::State;
use sequent_artifacts::{Artifact, Entity, Filter};
use sequent_core::RunId;
use sequent_http::{Caller, Json, Limit, Problem, Query, Scope, openapi::Problems};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{Kept, problem};

/// Which artifacts, and which page of them.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct ArtifactsQuery {
    /// Only those that this run made.
    run: Option<RunId>,
    /// Only those of this type, such as `report`.
    entity_type: Option<String>,
    /// Only those with this tag.
    tag: Option<String>,
    /// Most items of the page; 50 if not given.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 100)]
    limit: Option<Limit>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Which entities, and which page of them.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct EntitiesQuery {
    /// What they are, such as `person` or `report`.
    r#type: String,
    /// Most items of the page; 50 if not given.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 100)]
    limit: Option<Limit>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// One page of artifacts.
#[derive(Serialize, ToSchema)]
pub(crate) struct ArtifactList {
    items: Vec<Artifact>,
    /// Where the next page starts; null at the end.
    next_cursor: Option<String>,
}

/// One page of entities.
#[derive(Serialize, ToSchema)]
pub(crate) struct EntityList {
    items: Vec<Entity>,
    /// Where the next page starts; null at the end.
    next_cursor: Option<String>,
}

/// List artifacts.
///
/// Newest first. With more than one filter a page may have fewer items than asked for, or none, and still not be the
/// last: `next_cursor` tells. A cursor belongs to the filters it came with.
#[utoipa::path(
    get,
    path = "/api/artifacts",
    operation_id = "list_artifacts",
    tag = "artifacts",
    params(ArtifactsQuery),
    responses((status = 200, description = "One page, newest first.", body = ArtifactList), Problems),
)]
pub(crate) async fn list(
    State(kept): State<Kept>,
    Caller(caller): Caller,
    Query(query): Query<ArtifactsQuery>,
) -> Result<Json<ArtifactList>, Problem> {
    caller.require(Scope::ArtifactsRead)?;
    let ArtifactsQuery { run, entity_type, tag, limit, cursor } = &query;
    let filter = Filter { run: *run, entity_type: entity_type.as_deref(), tag: tag.as_deref() };
    possible(filter)?;
    let secret = kept.vault.get().await?;
    let (cursors, limit) = ((secret.cursor(), cursor.as_deref()), limit.map(Limit::get));
    let page = kept.artifacts.list(caller.tenant, filter, cursors, limit).await.map_err(problem)?;
    Ok(Json(ArtifactList { next_cursor: page.next_cursor(secret.cursor()), items: page.items }))
}

/// List entities of a type.
///
/// What documents name, such as persons and places, newest first; behind them the artifacts that were kept as being of the
/// type. A page may have one item more than was asked for where the second list begins.
#[utoipa::path(
    get,
    path = "/api/entities",
    operation_id = "list_entities",
    tag = "artifacts",
    params(EntitiesQuery),
    responses((status = 200, description = "One page.", body = EntityList), Problems),
)]
pub(crate) async fn entities(
    State(kept): State<Kept>,
    Caller(caller): Caller,
    Query(query): Query<EntitiesQuery>,
) -> Result<Json<EntityList>, Problem> {
    caller.require(Scope::ArtifactsRead)?;
    possible(Filter { entity_type: Some(&query.r#type), ..Filter::default() })?;
    let secret = kept.vault.get().await?;
    let (cursors, limit) = ((secret.cursor(), query.cursor.as_deref()), query.limit.map(Limit::get));
    let page =
        kept.artifacts.entities(caller.tenant, &query.r#type, cursors, limit).await.map_err(problem)?;
    Ok(Json(EntityList { next_cursor: page.next_cursor(secret.cursor()), items: page.items }))
}

/// Names are parts of keys.
fn possible(filter: Filter<'_>) -> Result<(), Problem> {
    if filter.is_possible() {
        return Ok(());
    }
    let detail = "A type or tag has 1 to 64 of the characters a-z, 0-9, `_`, `-`, `.` and `:`.";
    Err(Problem::bad_request("invalid_query", detail))
}
