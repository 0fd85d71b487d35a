//! Feedback on runs and on their answers.

use std::collections::BTreeMap;

use axum::{extract::State, response::IntoResponse};
use http::StatusCode;
use sequent_conversation::{Feedback, FeedbackTarget, give_feedback};
use sequent_core::{MessageId, Principal, RunId};
use sequent_event::{InvalidRating, Rating, Score, Thumb};
use sequent_http::{Caller, Json, Path, Problem, openapi::Problems};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::App;

/// Feedback: a thumb, scores, a comment, or several of them. It replaces all former feedback of the caller on the same thing.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewFeedback {
    #[serde(default)]
    thumb: Option<Thumb>,
    /// Up to 10 scores by their names, of 1 to 40 of the characters a-z, 0-9, `_`, `-` and `.`. They are rounded to three
    /// decimals.
    #[serde(default)]
    #[schema(required = false)]
    scores: BTreeMap<String, Score>,
    /// 1 to 4,000 characters.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 4_000)]
    comment: Option<String>,
}

impl NewFeedback {
    fn rating(self) -> Result<Rating, Problem> {
        let rating = Rating { thumb: self.thumb, scores: self.scores, comment: self.comment };
        rating.checked().map_err(|error| {
            let problem = Problem::invalid(format!("The feedback is not allowed: {error}."));
            match error {
                InvalidRating::Empty => problem,
                InvalidRating::TooManyScores => problem.at("/scores", "must have at most 10 members"),
                InvalidRating::ScoreName { .. } => problem.at("/scores", "must have other names"),
                InvalidRating::Comment => problem.at("/comment", "must have 1 to 4,000 characters"),
            }
        })
    }
}

/// Replace feedback on a run.
///
/// The run may have ended. The same feedback can be sent again: nothing changes then. Feedback on one run can be changed 200
/// times, by all people together. The scores on one version of an agent have 50 names at most.
#[utoipa::path(
    put,
    path = "/api/runs/{id}/feedback",
    operation_id = "replace_run_feedback",
    tag = "runs",
    params(("id" = RunId, Path, description = "The run.")),
    request_body = NewFeedback,
    responses(
        (status = 200, description = "The feedback.", body = Feedback),
        (status = 404, description = "The tenant has no such run."),
        (status = 409, description = "Feedback on the run was changed 200 times (`too_much_feedback`)."),
        Problems
    ),
)]
pub(crate) async fn give(
    State(app): State<App>,
    Caller(caller): Caller,
    Path(run): Path<RunId>,
    Json(body): Json<NewFeedback>,
) -> Result<impl IntoResponse, Problem> {
    give_on(&app, &caller, FeedbackTarget { run, message: None }, body).await
}

/// Delete feedback on a run.
///
/// Only that of the caller is deleted. That on answers stays.
#[utoipa::path(
    delete,
    path = "/api/runs/{id}/feedback",
    operation_id = "delete_run_feedback",
    tag = "runs",
    params(("id" = RunId, Path, description = "The run.")),
    responses(
        (status = 204, description = "There is no feedback of the caller on the run."),
        (status = 404, description = "The tenant has no such run."),
        Problems
    ),
)]
pub(crate) async fn remove(
    State(app): State<App>,
    Caller(caller): Caller,
    Path(run): Path<RunId>,
) -> Result<impl IntoResponse, Problem> {
    remove_on(&app, &caller, FeedbackTarget { run, message: None }).await
}

/// Replace feedback on an answer.
///
/// As for a whole run.
#[utoipa::path(
    put,
    path = "/api/runs/{id}/messages/{message}/feedback",
    operation_id = "replace_answer_feedback",
    tag = "runs",
    params(
        ("id" = RunId, Path, description = "The run: `run_id` of the message."),
        ("message" = MessageId, Path, description = "The answer."),
    ),
    request_body = NewFeedback,
    responses(
        (status = 200, description = "The feedback.", body = Feedback),
        (status = 404, description = "The tenant has no such run, or the run has no such answer."),
        (status = 409, description = "Feedback on the run was changed 200 times (`too_much_feedback`)."),
        Problems
    ),
)]
pub(crate) async fn give_on_answer(
    State(app): State<App>,
    Caller(caller): Caller,
    Path((run, message)): Path<(RunId, MessageId)>,
    Json(body): Json<NewFeedback>,
) -> Result<impl IntoResponse, Problem> {
    give_on(&app, &caller, FeedbackTarget { run, message: Some(message) }, body).await
}

/// Delete feedback on an answer.
///
/// Only that of the caller is deleted.
#[utoipa::path(
    delete,
    path = "/api/runs/{id}/messages/{message}/feedback",
    operation_id = "delete_answer_feedback",
    tag = "runs",
    params(
        ("id" = RunId, Path, description = "The run: `run_id` of the message."),
        ("message" = MessageId, Path, description = "The answer."),
    ),
    responses(
        (status = 204, description = "There is no feedback of the caller on the answer."),
        (status = 404, description = "The tenant has no such run."),
        Problems
    ),
)]
pub(crate) async fn remove_on_answer(
    State(app): State<App>,
    Caller(caller): Caller,
    Path((run, message)): Path<(RunId, MessageId)>,
) -> Result<impl IntoResponse, Problem> {
    remove_on(&app, &caller, FeedbackTarget { run, message: Some(message) }).await
}

async fn give_on(
    app: &App,
    caller: &Principal,
    on: FeedbackTarget,
    body: NewFeedback,
) -> Result<Json<Feedback>, Problem> {
    let rating = body.rating()?;
    let storage = app.store().storage();
    let given = Box::pin(give_feedback(storage, caller.tenant, on, caller.user, Some(rating))).await?;
    given.map(Json).ok_or_else(|| Problem::not_found("The feedback was removed."))
}

async fn remove_on(app: &App, caller: &Principal, on: FeedbackTarget) -> Result<StatusCode, Problem> {
    Box::pin(give_feedback(app.store().storage(), caller.tenant, on, caller.user, None)).await?;
    Ok(StatusCode::NO_CONTENT)
}
