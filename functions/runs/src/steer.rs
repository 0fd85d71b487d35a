//! Steering a run: sending it a message while it works.

use axum::{extract::State, response::IntoResponse};
use http::StatusCode;
use sequent_conversation::{Prompt, wake_if_waiting};
use sequent_core::{Code, MessageId, RunId, Scope};
use sequent_event::{Body, Seq};
use sequent_http::{Caller, Json, Path, Problem, openapi::Problems};
use sequent_runlog::{ControlOutcome, LogKey, append_control};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::App;

/// A message for a run that works.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SteerRun {
    /// 1 byte to 64 KiB of text.
    #[schema(value_type = String, min_length = 1, max_length = 65536)]
    content: Prompt,
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
/// has ended or waits for answers takes no message: send it to the conversation, or answer the questions.
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
        (status = 409, description = "The run has ended or waits for answers (`run_closed`)."),
        Problems
    ),
)]
pub(crate) async fn steer(
    State(app): State<App>,
    Caller(caller): Caller,
    Path(run_id): Path<RunId>,
    Json(body): Json<SteerRun>,
) -> Result<impl IntoResponse, Problem> {
    caller.require(Scope::Chat)?;
    let run = app.runs_of(&caller).get(run_id).await?;
    let id = MessageId::new();
    let content = String::from(body.content);
    let message = Body::UserMessage { message_id: id, content, by: Some(caller.user), model: run.model };
    let key = LogKey { tenant: caller.tenant, run: run_id };
    match append_control(app.store().storage(), key, message).await.map_err(Problem::unavailable)? {
        ControlOutcome::Appended(seq) => {
            wake_if_waiting(app.store(), key).await;
            Ok((StatusCode::ACCEPTED, Json(SteeringMessage { id, run_id, seq })))
        }
        ControlOutcome::Closed => {
            let detail = "The run has ended or waits for answers. Start a new run, or answer its questions.";
            Err(Problem::new(Code::RunClosed, detail).with("status", run.status.as_str()))
        }
        ControlOutcome::Missing => Err(sequent_conversation::Error::RunNotFound.into()),
    }
}
