//! `GET /api/chat/{id}/stream`: the AI SDK's UI message stream of a chat, or of a run.

use http::{HeaderName, HeaderValue, StatusCode};
use sequent_core::{Code, Principal, RunId};
use sequent_event::Seq;
use sequent_http::{
    Caller, Path, Problem, Query, RequestContext,
    axum::{
        extract::State,
        response::{IntoResponse, Response},
    },
    openapi::Problems,
};
use sequent_protocol::ui_message::StartIndex;
use sequent_runlog::{LogKey, read_all};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::{
    App, chats,
    frame_schema::UiMessageChunk,
    stream::Watched,
    tail::StoredTail,
    ui_stream::{SdkVersion, UiMessages, stream},
};

/// The query of `GET /api/chat/{id}/stream`.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct FollowQuery {
    /// The chunks to skip from the start or, if negative, to keep from the end.
    #[serde(default, rename = "startIndex")]
    #[param(pattern = "^-?[0-9]+$")]
    start_index: Option<String>,
    /// The last message of the chat that the client has, if it is a person's. If no answer is being written, the stream is
    /// the answer to this message, which may have ended since the client read the messages.
    #[serde(default, rename = "answerTo")]
    answer_to: Option<String>,
    /// The major version of the client's SDK, as in `POST /api/chat`. The chunks of each form are counted by themselves.
    #[serde(default)]
    #[param(inline)]
    v: SdkVersion,
}

/// Follow a chat.
///
/// For a chat: the answer that is being written, from its first chunk, or 204 if there is none and `answerTo` names no
/// message of the chat. For a run: its chunks from `startIndex` on, live or finished.
#[utoipa::path(
    get,
    path = "/api/chat/{id}/stream",
    operation_id = "follow_chat",
    tag = "chat",
    params(("id" = String, Path, description = "A chat id, a project id or a run id."), FollowQuery),
    responses(
        (status = 200, description = "UI message chunks.", body = UiMessageChunk, content_type = "text/event-stream"),
        (status = 204, description = "No run is live in this chat, and none answers the message."),
        Problems,
    ),
)]
pub(crate) async fn follow(
    State(app): State<App>,
    Caller(caller): Caller,
    context: RequestContext,
    Path(id): Path<String>,
    Query(query): Query<FollowQuery>,
) -> Result<Response, Problem> {
    follow_chat(&app, &caller, &context, &id, &query).await
}

/// Follows a chat whose id has slashes that the client, or a proxy in front of the function, has not encoded.
pub(crate) async fn follow_with_slashes(
    State(app): State<App>,
    Caller(caller): Caller,
    context: RequestContext,
    Path((first, rest)): Path<(String, String)>,
    Query(query): Query<FollowQuery>,
) -> Result<Response, Problem> {
    let not_found = || Problem::new(Code::RouteNotFound, "");
    let rest = rest.strip_suffix("/stream").ok_or_else(not_found)?;
    follow_chat(&app, &caller, &context, &format!("{first}/{rest}"), &query).await
}

async fn follow_chat(
    app: &App,
    caller: &Principal,
    context: &RequestContext,
    id: &str,
    query: &FollowQuery,
) -> Result<Response, Problem> {
    let start = query.start_index.as_deref().map(str::parse::<StartIndex>).transpose().map_err(|error| {
        Problem::new(Code::InvalidCursor, error.to_string())
            .at_parameter("startIndex", "must be a whole number")
    })?;
    let run = match id.parse::<RunId>() {
        Ok(run) => Some(run),
        Err(_) => run_to_follow(app, caller, id, query.answer_to.as_deref()).await?,
    };
    let Some(run) = run else { return Ok(StatusCode::NO_CONTENT.into_response()) };
    let row = app.runs_of(caller).get_for_caller(run).await?;
    let key = LogKey { tenant: caller.tenant, run };
    let counts = start.is_some();
    match start.unwrap_or_default() {
        StartIndex::Skip(skip) => {
            let watched = Watched::elsewhere(key, row.project_id, Seq::START);
            let messages = UiMessages { skip, counts, ..UiMessages::new(query.v.projector(run)) };
            stream(app, context, watched, messages).await
        }
        last @ StartIndex::Last(_) => {
            let segments = read_all(&app.engine.storage, key).await.map_err(Problem::unavailable)?;
            let tail = StoredTail::of(query.v.projector(run), segments, last);
            let watched = Watched::elsewhere(key, row.project_id, tail.after);
            let StoredTail { projector, skip, opening, stored, .. } = tail;
            let projection = UiMessages { projector, skip, counts, opening };
            let mut response = stream(app, context, watched, projection).await?;
            let name = HeaderName::from_static("x-workflow-stream-tail-index");
            let index = i64::try_from(stored).unwrap_or(i64::MAX) - 1;
            response.headers_mut().insert(name, HeaderValue::from(index));
            Ok(response)
        }
    }
}

/// Returns the live run of a chat or, if there is none, the run that answers the message. The SDK gives its own ids to
/// messages that were not read from the history, so an unknown id is not an error.
async fn run_to_follow(
    app: &App,
    caller: &Principal,
    id: &str,
    answer_to: Option<&str>,
) -> Result<Option<RunId>, Problem> {
    let Some(project) = chats::find(app, caller, id).await? else { return Ok(None) };
    let projects = app.projects_of(caller);
    let live = projects.get(project).await?.live_run_id;
    match answer_to.and_then(|message| message.parse().ok()).filter(|_| live.is_none()) {
        Some(message) => Ok(projects.run_of_message(project, message).await?),
        None => Ok(live),
    }
}
