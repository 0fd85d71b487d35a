//! The items of a dataset.

use axum::{extract::State, response::IntoResponse};
use sequent_core::{DatasetId, Principal, RunId, Scope, Timestamp};
use sequent_definitions::AgentKey;
use sequent_evaluations::{Dataset, DatasetItem, ItemSources, NewItem, RatedRuns, items_of_runs};
use sequent_event::Thumb;
use sequent_http::{
    Caller, Json, Limit, ListQuery, ListResponse, Path, Problem, Query, idempotency::IdempotencyKey,
    openapi::Problems,
};
use sequent_tables::key::NumberedAgent;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::App;

/// Items to add to a dataset: up to 90, as they are given, and copied from runs.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewItems {
    /// Items as they are given.
    #[serde(default)]
    #[schema(required = false, max_items = 90)]
    given: Vec<NewItem>,
    /// Runs whose message becomes the input, and whose answer the expected one. Needs `runs:read`.
    #[serde(default)]
    #[schema(required = false, max_items = 90)]
    runs: Vec<RunId>,
    /// The newest runs of a version of an agent with feedback, as in `runs`. Needs `runs:read`.
    #[serde(default)]
    rated: Option<RatedSource>,
}

/// Runs that people have rated.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RatedSource {
    /// The id or the name of the agent.
    #[schema(value_type = String)]
    agent: AgentKey,
    /// The number of the version.
    version: u32,
    /// Only runs with this thumb.
    #[serde(default)]
    thumb: Option<Thumb>,
}

impl NewItems {
    /// Reads the items from their sources.
    pub(crate) async fn read(self, app: &App, caller: &Principal) -> Result<Vec<NewItem>, Problem> {
        let mut items = self.given;
        if self.runs.is_empty() && self.rated.is_none() {
            return Ok(items);
        }
        caller.require(Scope::RunsRead)?;
        let secret = app.vault.get().await?;
        let sources = ItemSources {
            storage: &app.storage,
            agents: &app.agents,
            cursors: secret.cursor(),
            tenant: caller.tenant,
        };
        let mut runs = self.runs;
        if let Some(rated) = self.rated {
            let agent = app.agents.get(caller.tenant, &rated.agent).await?.id;
            let of = NumberedAgent { agent, version: rated.version };
            runs.extend(sources.rated(RatedRuns { of, thumb: rated.thumb }).await?);
        }
        runs.truncate(NewItem::MAX_AT_ONCE + 1);
        items.extend(Box::pin(items_of_runs(sources, &runs)).await?);
        Ok(items)
    }
}

type DatasetItemList = ListResponse<DatasetItem>;

/// List the items of a dataset.
#[utoipa::path(
    get,
    path = "/api/datasets/{id}/items",
    operation_id = "list_dataset_items",
    tag = "evaluations",
    params(("id" = DatasetId, Path, description = "The dataset."), ListQuery),
    responses(
        (status = 200, description = "One page, in the order of their numbers.", body = DatasetItemList),
        (status = 404, description = "The tenant has no such dataset."),
        Problems
    ),
)]
pub(crate) async fn list_dataset_items(
    State(app): State<App>,
    Caller(caller): Caller,
    Path(id): Path<DatasetId>,
    Query(query): Query<ListQuery>,
) -> Result<impl IntoResponse, Problem> {
    let secret = app.vault.get().await?;
    let limit = query.limit.map(Limit::get);
    let cursor = query.cursor.as_deref();
    let page = app.datasets_of(&caller).items(id, secret.cursor(), cursor, limit).await?;
    Ok(Json(ListResponse::new(page, secret.cursor())))
}

/// Add items to a dataset.
///
/// They get the next numbers. An item never changes and is not deleted alone. Items of runs are copies: they stay if the
/// conversation is deleted.
#[utoipa::path(
    post,
    path = "/api/datasets/{id}/items",
    operation_id = "add_dataset_items",
    tag = "evaluations",
    params(("id" = DatasetId, Path, description = "The dataset."), IdempotencyKey),
    request_body = NewItems,
    responses(
        (status = 200, description = "The dataset with its new number of items.", body = Dataset),
        (status = 404, description = "The tenant has no such dataset, run or agent (`not_found`, `agent_not_found`)."),
        (status = 409, description = "The items are too many (`datasets_limit`), or another request was first (`conflict`)."),
        Problems
    ),
)]
pub(crate) async fn add_dataset_items(
    State(app): State<App>,
    Caller(caller): Caller,
    Path(id): Path<DatasetId>,
    Json(body): Json<NewItems>,
) -> Result<impl IntoResponse, Problem> {
    let items = Box::pin(body.read(&app, &caller)).await?;
    Ok(Json(app.datasets_of(&caller).add(id, &items, Timestamp::now()).await?))
}
