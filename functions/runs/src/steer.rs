//! Saying something to a run while it works.

use axum::{extract::State, response::IntoResponse};
use http::StatusCode;
use sequent_conversation::Runs;
use sequent_core::{MessageId, RunId};
use sequent_event::{Body, Seq};
use sequent_http::{Caller, Json, Path, Problem, Scope, openapi::Problems};
use sequent_runlog::{ControlOutcome, LogKey, append_control};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{Executions, problem};

/// Most bytes of a message.
const LONGEST: usize = 64 * 1024;

/// Something a person says to a run.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Steer {
    /// 1 byte to 64 KiB of text.
    #[schema(min_length = 1, max_length = 65536)]
    content: String,
}

/// A message that a run will heed.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Said {
    id: MessageId,
    run_id: RunId,
    /// The message's place in the run's log.
    #[schema(value_type = u64)]
    seq: Seq,
}

/// Steer a run.
///
/// The message reaches the agent before its next model call; a run that was about to end answers it first. A run that
/// has ended, or waits for answers, takes none: send it to the conversation, or answer the questions.
#[utoipa::path(
    post,
    path = "/api/runs/{id}/messages",
    operation_id = "steer_run",
    tag = "runs",
    params(("id" = RunId, Path, description = "The run.")),
    request_body = Steer,
    responses(
        (status = 202, description = "The message stands in the run's log.", body = Said),
        (status = 404, description = "The tenant has no such run."),
        (status = 409, description = "The run has ended, or waits for answers (`run_closed`)."),
        Problems
    ),
)]
pub(crate) async fn steer(
    State(executions): State<Executions>,
    Caller(caller): Caller,
    Path(run_id): Path<RunId>,
    Json(body): Json<Steer>,
) -> Result<impl IntoResponse, Problem> {
    caller.require(Scope::Chat)?;
    if body.content.trim().is_empty() || body.content.len() > LONGEST {
        let detail = format!("must have 1 to {LONGEST} bytes, not all of them blank");
        return Err(Problem::invalid("The message cannot be taken.").at("/content", detail));
    }
    let run = Runs::new(executions.storage.store(), caller.tenant).get(run_id).await.map_err(problem)?;
    let id = MessageId::new();
    let said =
        Body::UserMessage { message_id: id, content: body.content, by: Some(caller.user), model: run.model };
    let key = LogKey { tenant: caller.tenant, run: run_id };
    match append_control(&executions.storage, key, said).await.map_err(Problem::unavailable)? {
        ControlOutcome::Appended(seq) => Ok((StatusCode::ACCEPTED, Json(Said { id, run_id, seq }))),
        ControlOutcome::Closed => {
            let problem = Problem::conflict("run_closed", "The run has ended, or waits for answers.");
            Err(problem.with("status", run.status.as_str()))
        }
        ControlOutcome::Missing => Err(Problem::not_found("There is no such run.")),
    }
}
