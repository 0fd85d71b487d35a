//! Steering a run: sending it a message while it works.

use axum::{extract::State, response::IntoResponse};
use http::StatusCode;
use sequent_attachments::MessageContent;
use sequent_conversation::{Steered, wake_if_waiting};
use sequent_core::{MessageId, RunId};
use sequent_event::Seq;
use sequent_http::{Caller, Json, Path, Problem, openapi::Problems};
use sequent_runlog::LogKey;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::App;

/// A message for a run that works.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SteerRun {
    /// 1 byte to 64 KiB of text, and at most 96,000 bytes in JSON; or parts, of which up to 10 refer to artifacts.
    content: MessageContent,
}

/// A message that was added to a run.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SteeringMessage {
    id: MessageId,
    run_id: RunId,
    /// The position of the message in the run's log.
    #[schema(value_type = u64)]
    seq: Seq,
}

/// Steer a run.
///
/// The message reaches the agent before its next model call. A run that was about to end answers it first. A run that
/// has ended or waits for answers takes no message: send it to the conversation, or answer the questions. A run takes 32
/// messages.
#[utoipa::path(
    post,
    path = "/api/runs/{id}/messages",
    operation_id = "steer_run",
    tag = "runs",
    params(("id" = RunId, Path, description = "The run.")),
    request_body = SteerRun,
    responses(
        (status = 202, description = "The message is stored in the run's log.", body = SteeringMessage),
        (status = 404, description = "The tenant has no such run."),
        (status = 409, description = "The run has ended or waits for answers (`run_closed`), or has taken 32 messages (`too_many_messages`)."),
        Problems
    ),
)]
pub(crate) async fn steer(
    State(app): State<App>,
    Caller(caller): Caller,
    Path(run_id): Path<RunId>,
    Json(body): Json<SteerRun>,
) -> Result<impl IntoResponse, Problem> {
    let key = LogKey { tenant: caller.tenant, run: run_id };
    let storage = app.store().storage();
    let prompt = app.accept(&caller, body.content, None, "/content").await?;
    let Steered { message, seq } =
        Box::pin(sequent_conversation::steer(storage, key, caller.user, prompt)).await?;
    wake_if_waiting(app.store(), key).await;
    Ok((StatusCode::ACCEPTED, Json(SteeringMessage { id: message, run_id, seq })))
}
