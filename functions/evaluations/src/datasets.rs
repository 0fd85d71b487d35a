//! Creating, reading and deleting datasets.

use axum::{extract::State, response::IntoResponse};
use http::{StatusCode, header::LOCATION};
use sequent_core::{DatasetId, Timestamp};
use sequent_evaluations::{Dataset, NewDataset};
use sequent_http::{
    Caller, Json, Limit, ListQuery, ListResponse, Path, Problem, Query, idempotency::IdempotencyKey,
    openapi::Problems,
};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::{App, items::NewItems};

const MAX_NAME: usize = 200;
const MAX_DESCRIPTION: usize = 2_000;

/// The dataset to create.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateDataset {
    #[schema(min_length = 1, max_length = 200, example = "questions about tides")]
    name: String,
    #[serde(default)]
    #[schema(max_length = 2_000)]
    description: Option<String>,
    /// The items that it begins with.
    #[serde(default)]
    #[schema(required = false)]
    items: NewItems,
}

type DatasetList = ListResponse<Dataset>;

/// List the datasets of the tenant.
#[utoipa::path(
    get,
    path = "/api/datasets",
    operation_id = "list_datasets",
    tag = "evaluations",
    params(ListQuery),
    responses((status = 200, description = "One page, newest first.", body = DatasetList), Problems),
)]
pub(crate) async fn list_datasets(
    State(app): State<App>,
    Caller(caller): Caller,
    Query(query): Query<ListQuery>,
) -> Result<impl IntoResponse, Problem> {
    let secret = app.vault.get().await?;
    let limit = query.limit.map(Limit::get);
    let page = app.datasets_of(&caller).list(secret.cursor(), query.cursor.as_deref(), limit).await?;
    Ok(Json(ListResponse::new(page, secret.cursor())))
}

/// Create a dataset.
///
/// Its items are numbered and never change: a dataset only grows. A tenant can have 100 datasets, of 1,000 items and 4 MB each.
#[utoipa::path(
    post,
    path = "/api/datasets",
    operation_id = "create_dataset",
    tag = "evaluations",
    params(IdempotencyKey),
    request_body = CreateDataset,
    responses(
        (status = 201, description = "The dataset.", body = Dataset, headers(("Location" = String, description = "The path of the dataset."))),
        (status = 404, description = "The tenant has no such run or agent (`not_found`, `agent_not_found`)."),
        (status = 409, description = "There are 100 datasets, or the items are too many (`datasets_limit`)."),
        Problems
    ),
)]
pub(crate) async fn create_dataset(
    State(app): State<App>,
    Caller(caller): Caller,
    Json(body): Json<CreateDataset>,
) -> Result<impl IntoResponse, Problem> {
    let name = text(&body.name, MAX_NAME).ok_or_else(|| {
        Problem::invalid("The name is not allowed.").at("/name", "must have 1 to 200 characters")
    })?;
    if body.description.as_ref().is_some_and(|text| text.chars().count() > MAX_DESCRIPTION) {
        return Err(Problem::invalid("The description is not allowed.")
            .at("/description", "must have at most 2,000 characters"));
    }
    let items = Box::pin(body.items.read(&app, &caller)).await?;
    let new = NewDataset { name, description: body.description, user: caller.user };
    let dataset = app.datasets_of(&caller).create(&new, &items, Timestamp::now()).await?;
    let location = [(LOCATION, format!("/api/datasets/{}", dataset.id))];
    Ok((StatusCode::CREATED, location, Json(dataset)))
}

/// Returns the text without blanks around it, if it has 1 to `max` characters and none of them controls a terminal.
fn text(text: &str, max: usize) -> Option<String> {
    let text = text.trim();
    let fits = !text.is_empty() && text.chars().count() <= max && !text.chars().any(char::is_control);
    fits.then(|| text.to_owned())
}

/// Get a dataset by its id.
#[utoipa::path(
    get,
    path = "/api/datasets/{id}",
    operation_id = "get_dataset",
    tag = "evaluations",
    params(("id" = DatasetId, Path, description = "The dataset.")),
    responses(
        (status = 200, description = "The dataset.", body = Dataset),
        (status = 404, description = "The tenant has no such dataset."),
        Problems
    ),
)]
pub(crate) async fn get_dataset(
    State(app): State<App>,
    Caller(caller): Caller,
    Path(id): Path<DatasetId>,
) -> Result<impl IntoResponse, Problem> {
    Ok(Json(app.datasets_of(&caller).get(id).await?))
}

/// Delete a dataset with its items.
///
/// Its items are deleted with it.
#[utoipa::path(
    delete,
    path = "/api/datasets/{id}",
    operation_id = "delete_dataset",
    tag = "evaluations",
    params(("id" = DatasetId, Path, description = "The dataset.")),
    responses(
        (status = 204, description = "The dataset is deleted."),
        (status = 404, description = "The tenant has no such dataset."),
        Problems
    ),
)]
pub(crate) async fn delete_dataset(
    State(app): State<App>,
    Caller(caller): Caller,
    Path(id): Path<DatasetId>,
) -> Result<impl IntoResponse, Problem> {
    app.datasets_of(&caller).delete(id).await?;
    Ok(StatusCode::NO_CONTENT)
}
