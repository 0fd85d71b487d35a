//! Lists of artifacts.

use axum::extract::State;
use sequent_artifacts::{Artifact, Filter};
use sequent_domain::RunId;
use sequent_http::{Json, Limit, Principal, Problem, Query, Scope, openapi::Problems};
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
    /// What they are, such as `report`.
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
    caller: Principal,
    Query(query): Query<ArtifactsQuery>,
) -> Result<Json<ArtifactList>, Problem> {
    let ArtifactsQuery { run, entity_type, tag, limit, cursor } = &query;
    let filter = Filter { run: *run, entity_type: entity_type.as_deref(), tag: tag.as_deref() };
    page(&kept, &caller, filter, *limit, cursor.as_deref()).await
}

/// List entities of a type.
///
/// An entity is the artifact that holds it: what was kept as this type, whichever run or person kept it.
#[utoipa::path(
    get,
    path = "/api/entities",
    operation_id = "list_entities",
    tag = "artifacts",
    params(EntitiesQuery),
    responses((status = 200, description = "One page, newest first.", body = ArtifactList), Problems),
)]
pub(crate) async fn entities(
    State(kept): State<Kept>,
    caller: Principal,
    Query(query): Query<EntitiesQuery>,
) -> Result<Json<ArtifactList>, Problem> {
    let filter = Filter { entity_type: Some(&query.r#type), ..Filter::default() };
    page(&kept, &caller, filter, query.limit, query.cursor.as_deref()).await
}

async fn page(
    kept: &Kept,
    caller: &Principal,
    filter: Filter<'_>,
    limit: Option<Limit>,
    cursor: Option<&str>,
) -> Result<Json<ArtifactList>, Problem> {
    caller.require(Scope::ArtifactsRead)?;
    if !filter.is_possible() {
        let detail = "A type or tag has 1 to 64 of the characters a-z, 0-9, `_`, `-`, `.` and `:`.";
        return Err(Problem::bad_request("invalid_query", detail));
    }
    let secret = kept.vault.get().await?;
    let limit = limit.map(Limit::get);
    let page = kept.artifacts.list(caller.tenant, filter, (secret.cursor(), cursor), limit).await;
    let page = page.map_err(problem)?;
    Ok(Json(ArtifactList { next_cursor: page.next_cursor(secret.cursor()), items: page.items }))
}
