//! Starting and reading evaluations. They are cancelled as runs.

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, StatusCode, header};
use sequent_conversation::RunLimits;
use sequent_core::{DatasetId, Principal, RunId};
use sequent_definitions::AgentReference;
use sequent_evaluations::{
    EvaluationRun, EvaluationSummary, Evaluations, NewEvaluation, NewScorer, evaluated_items,
};
use sequent_http::{
    Caller, Json, Limit, ListQuery, ListResponse, Path, Problem, Query,
    idempotency::{IdempotencyKey, REPLAYED},
    openapi::Problems,
};
use sequent_tables::{InvalidCursor, PageRequest};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{
    App,
    shown::{EvaluationResult, ShownEvaluation},
};

/// The evaluation to start.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateEvaluation {
    /// The dataset. Its items of this moment are answered.
    dataset_id: DatasetId,
    /// The agent that answers, as in `POST /api/runs`. A label is replaced by the version that it has now.
    #[schema(example = "assistant@production")]
    agent: AgentReference,
    /// The rules that score each answer.
    #[schema(min_items = 1, max_items = 10)]
    scorers: Vec<NewScorer>,
    /// The answers to each item.
    #[serde(default = "once")]
    #[schema(required = false, minimum = 1, maximum = 10)]
    repetitions: u32,
    /// The name in lists. The agent, its version and the name of the dataset if absent.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 200)]
    name: Option<String>,
    /// The limits of the whole evaluation, its judges included.
    #[serde(default)]
    #[schema(required = false)]
    budget: RunLimits,
}

const fn once() -> u32 {
    1
}

/// The query of `GET /api/evaluations`.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct EvaluationQuery {
    /// Only evaluations with this dataset.
    #[param(value_type = Option<String>)]
    dataset: Option<DatasetId>,
    /// Maximum number of items; 50 if not given.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 100)]
    limit: Option<Limit>,
    /// `next_cursor` of the previous page.
    cursor: Option<String>,
}

type ShownEvaluationList = ListResponse<ShownEvaluation>;
type EvaluationResultList = ListResponse<EvaluationResult>;

impl App {
    /// The evaluations that the caller may see.
    fn evaluations_of(&self, caller: &Principal) -> Evaluations<'_> {
        Evaluations::new(self.store(), caller.tenant)
    }
}

/// Start an evaluation.
///
/// Answered as soon as its run is stored, which has the id of the evaluation. In the background, child runs answer each item
/// of the dataset with the agent, and others judge the answers. Answers and judgements together are at most 500. Cancel it with
/// `POST /api/runs/{id}/cancel`.
#[utoipa::path(
    post,
    path = "/api/evaluations",
    operation_id = "create_evaluation",
    tag = "evaluations",
    params(IdempotencyKey),
    request_body = CreateEvaluation,
    responses(
        (status = 202, description = "The evaluation, which is carried out as soon as possible.", body = ShownEvaluation,
         headers(("Location" = String, description = "The path of the evaluation."))),
        (status = 404, description = "The tenant has no such dataset or agent (`not_found`, `agent_not_found`)."),
        Problems
    ),
)]
pub(crate) async fn create_evaluation(
    State(app): State<App>,
    Caller(caller): Caller,
    key: Option<IdempotencyKey>,
    Json(body): Json<CreateEvaluation>,
) -> Result<Response, Problem> {
    let idempotency =
        IdempotencyKey::of_run(key, caller.tenant, "evaluations.create", "/api/evaluations", &body)?;
    let new = NewEvaluation {
        name: body.name,
        dataset: body.dataset_id,
        agent: body.agent,
        scorers: body.scorers,
        repetitions: body.repetitions,
        budget: body.budget,
        idempotency,
    };
    let started = Box::pin(new.start(&app.starter, &caller)).await?;
    let shown = ShownEvaluation::from(started.started);
    let location = HeaderValue::try_from(format!("/api/evaluations/{}", shown.id)).expect("ids are ASCII");
    let mut response = (StatusCode::ACCEPTED, [(header::LOCATION, location)], Json(shown)).into_response();
    if started.replayed {
        response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    }
    Ok(response)
}

/// List the evaluations of the tenant.
///
/// Newest first. The summary of one whose answers are not all scored is null. A page may have fewer items than its limit,
/// because evaluations that are being deleted are left out.
#[utoipa::path(
    get,
    path = "/api/evaluations",
    operation_id = "list_evaluations",
    tag = "evaluations",
    params(EvaluationQuery),
    responses((status = 200, description = "One page.", body = ShownEvaluationList), Problems),
)]
pub(crate) async fn list_evaluations(
    State(app): State<App>,
    Caller(caller): Caller,
    Query(query): Query<EvaluationQuery>,
) -> Result<impl IntoResponse, Problem> {
    let secret = app.vault.get().await?;
    let limit = query.limit.map(Limit::get);
    let evaluations = app.evaluations_of(&caller);
    let page = evaluations.list(query.dataset, secret.cursor(), query.cursor.as_deref(), limit).await?;
    Ok(Json(ListResponse::new(page.map(ShownEvaluation::from), secret.cursor())))
}

/// Get an evaluation by its id.
///
/// The summary is that of the answers that are scored so far.
#[utoipa::path(
    get,
    path = "/api/evaluations/{id}",
    operation_id = "get_evaluation",
    tag = "evaluations",
    params(("id" = RunId, Path, description = "The evaluation.")),
    responses(
        (status = 200, description = "The evaluation.", body = ShownEvaluation),
        (status = 404, description = "The tenant has no such evaluation."),
        Problems
    ),
)]
pub(crate) async fn get_evaluation(
    State(app): State<App>,
    Caller(caller): Caller,
    Path(id): Path<RunId>,
) -> Result<impl IntoResponse, Problem> {
    let EvaluationRun { mut evaluation, run } = app.evaluations_of(&caller).get(id).await?;
    if evaluation.summary.is_none() {
        let evaluated = evaluated_items(&app.storage, caller.tenant, id).await?;
        evaluation.summary = Some(EvaluationSummary::of(&evaluation.setup, &evaluated));
    }
    Ok(Json(ShownEvaluation::from(EvaluationRun { evaluation, run })))
}

/// List the results of an evaluation.
///
/// The answers that are scored so far, in the order of the items and their repetitions.
#[utoipa::path(
    get,
    path = "/api/evaluations/{id}/results",
    operation_id = "list_evaluation_results",
    tag = "evaluations",
    params(("id" = RunId, Path, description = "The evaluation."), ListQuery),
    responses(
        (status = 200, description = "One page.", body = EvaluationResultList),
        (status = 404, description = "The tenant has no such evaluation."),
        Problems
    ),
)]
pub(crate) async fn list_evaluation_results(
    State(app): State<App>,
    Caller(caller): Caller,
    Path(id): Path<RunId>,
    Query(query): Query<ListQuery>,
) -> Result<impl IntoResponse, Problem> {
    app.evaluations_of(&caller).get(id).await?;
    let evaluated = evaluated_items(&app.storage, caller.tenant, id).await?;
    let results: Vec<EvaluationResult> = evaluated.into_iter().map(EvaluationResult::from).collect();
    let limit = query.limit.map_or(PageRequest::DEFAULT_LIMIT, Limit::get);
    let mut page = EvaluationResult::after(results, query.cursor.as_deref())?;
    let is_last = page.len() <= limit as usize;
    page.truncate(limit as usize);
    let next = page.last().filter(|_| !is_last).map(EvaluationResult::cursor);
    Ok(Json(ListResponse::from_parts(page, next)))
}

impl EvaluationResult {
    /// The cursor of the page after this result: its position. It is no secret, and leads to the results of the same evaluation
    /// only.
    fn cursor(&self) -> String {
        format!("{}.{}", self.item, self.repetition)
    }

    /// Returns the results after the one with this cursor.
    fn after(mut results: Vec<Self>, cursor: Option<&str>) -> Result<Vec<Self>, InvalidCursor> {
        if let Some(cursor) = cursor {
            let at = results.iter().position(|result| result.cursor() == cursor).ok_or(InvalidCursor)?;
            results.drain(..=at);
        }
        Ok(results)
    }
}
