//! `GET /api/projects/{id}/messages/stream`: sends a message and streams the text of the answer, for `EventSource`.

use http::{HeaderMap, StatusCode};
use sequent_conversation::{Continues, Destination, Error, OnConflict, Prompt, RunChoices, RunRequest};
use sequent_core::{Code, Principal, ProjectId, Scope};
use sequent_definitions::AgentReference;
use sequent_event::{Event, Seq};
use sequent_http::{
    Caller, Path, Problem, Query, RequestContext,
    axum::{
        extract::State,
        response::{IntoResponse, Response},
    },
    openapi::Problems,
};
use sequent_model::ModelName;
use sequent_protocol::{
    event_source::{Cursor, Projector, refused},
    sse::Frame,
};
use sequent_runlog::{LogKey, Storage};
use serde::{Deserialize, Deserializer, de::Error as _};
use utoipa::IntoParams;

use crate::{
    App,
    events::{check_cursor, last_event_id},
    frame_schema::AnswerFrame,
    stream::{Projection, SIGNED_OUT, SIGNED_OUT_DETAIL, Watched, stream_response},
};

/// Longest message in a URL, in characters.
const MAX_CONTENT: usize = 8192;

/// The query of `GET /api/projects/{id}/messages/stream`.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct EventSourceQuery {
    /// The user's message: 1 to 8,192 characters. CloudFront allows 8,192 bytes for the whole URL, so send longer messages
    /// with `POST /api/chat/send`.
    #[serde(deserialize_with = "in_url")]
    #[param(value_type = String, min_length = 1, max_length = 8192, pattern = r"\S")]
    content: Prompt,
    /// The model that answers. The model of the agent, or the default model of the deployment, if it is absent.
    #[serde(default)]
    model: Option<ModelName>,
    /// The agent, as in `POST /api/runs`.
    #[serde(default)]
    #[param(inline)]
    agent: Option<AgentReference>,
    /// The policy for a project that has a live run.
    #[serde(default)]
    #[param(inline)]
    on_conflict: OnConflict,
}

/// Reads a message from the query, and refuses one that no URL can contain on AWS.
fn in_url<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Prompt, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.chars().count() > MAX_CONTENT {
        return Err(D::Error::custom("must have at most 8192 characters; send it with POST /api/chat/send"));
    }
    Prompt::try_from(text).map_err(D::Error::custom)
}

impl Projection for Projector {
    fn event(&mut self, event: &Event) -> Vec<Frame> {
        self.push(event)
    }

    fn signed_out(&mut self) -> Vec<Frame> {
        vec![refused(SIGNED_OUT.as_str(), SIGNED_OUT_DETAIL)]
    }
}

/// Send a message by GET.
///
/// Streams the text of the answer: `data: {"delta":"..."}` for each piece, then `event: end` with
/// `data: {"content":"..."}`. A browser's `EventSource` reconnects on its own and continues the same run, because the
/// event ids name it. An API key needs `runs:read` to reconnect, and `runs:write` for `interrupt` and `rollback`.
#[utoipa::path(
    get,
    path = "/api/projects/{id}/messages/stream",
    operation_id = "stream_message",
    tag = "chat",
    params(
        ("id" = ProjectId, Path, description = "The project."),
        EventSourceQuery,
        (
            "Last-Event-ID" = Option<String>, Header, pattern = "^(run_[0-7][0-9A-HJKMNP-TV-Z]{25}:[0-9]+)?$",
            description = "Sent by the browser when it reconnects. An empty value means none."
        ),
    ),
    responses(
        (status = 200, description = "The answer.", body = AnswerFrame, content_type = "text/event-stream"),
        (status = 204, description = "The run has ended and the caller has received everything."),
        Problems,
    ),
)]
pub(crate) async fn stream(
    State(app): State<App>,
    Caller(caller): Caller,
    context: RequestContext,
    Path(project): Path<ProjectId>,
    Query(query): Query<EventSourceQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    if let Some(sent) = last_event_id(&headers) {
        caller.require(Scope::RunsRead)?;
        let cursor = sent.parse::<Cursor>().map_err(|_| {
            let detail = "The Last-Event-ID was not sent by this stream. Reconnect without it.";
            Problem::new(Code::InvalidCursor, detail)
        })?;
        return resume(&app, &caller, &context, project, cursor).await;
    }
    let tenant = caller.tenant;
    let choices = RunChoices { agent: query.agent, model: query.model, ..RunChoices::default() };
    let setup = app.starter.set_up(&caller, choices, None).await?;
    let request = RunRequest {
        caller,
        project: Destination::Project(project),
        prompt: query.content,
        setup,
        on_conflict: query.on_conflict,
        continues: Continues::Head,
        replay: None,
        idempotency: None,
    };
    let started = Box::pin(app.starter.start(&request)).await?;
    let projector = Projector::new(started.run);
    stream_response(&app, &context, Watched::started(tenant, started), projector).await
}

async fn resume(
    app: &App,
    caller: &Principal,
    context: &RequestContext,
    project: ProjectId,
    cursor: Cursor,
) -> Result<Response, Problem> {
    let run = app.runs_of(caller).get_for_caller(cursor.run).await?;
    if run.project_id != project {
        return Err(Error::RunNotFound.into());
    }
    let key = LogKey { tenant: caller.tenant, run: run.id };
    let tail = app.engine.storage.tail(key).await.map_err(Problem::unavailable)?;
    let tail = tail.ok_or(Error::RunNotFound)?;
    check_cursor(cursor.after, tail.last())?;
    if cursor.after == tail.last() && tail.leaves_closed() {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    // The projection needs the whole log to know the text of the answer.
    let watched = Watched::elsewhere(key, project, Seq::START);
    stream_response(app, context, watched, Projector::resume(cursor)).await
}
