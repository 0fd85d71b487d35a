//! The AI SDK's UI message stream, version 1: `POST /api/chat` and `GET /api/chat/{id}/stream`.

use http::{HeaderName, HeaderValue, StatusCode};
use sequent_agent::{Engine, Source};
use sequent_conversation::OnConflict;
use sequent_conversation::Projects;
use sequent_core::{ProjectId, RunId};
use sequent_event::{Event, Seq};
use sequent_http::{
    Caller, Exchange, Path, Principal, Problem, Query, Scope, UnlabelledJson,
    axum::{
        extract::State,
        response::{IntoResponse, Response},
    },
    idempotency::IdempotencyKey,
    openapi::Problems,
};
use sequent_protocol::{
    sse::Frame,
    ui_message::{self, Projector, StartIndex},
};
use sequent_runlog::{LogKey, Segment, read_all};
use sequent_tables::idempotency::PayloadHash;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use crate::{
    Chat,
    begin::{Ask, Place, begin, find},
    chats,
    stream::{Projection, Watched, respond},
};

/// What the SDK's transports send. The conversation's history is ours; of `messages` only the last counts.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
pub(crate) struct Submit {
    /// The chat: any text of the client's, or a project id. `WorkflowChatTransport` sends none: then the message goes to
    /// the conversation of the latest answer in `messages`, or to a new one if there is none.
    #[serde(default)]
    id: Option<String>,
    /// The conversation as the client has it.
    #[serde(default)]
    messages: Vec<UiMessage>,
    /// The new message alone, for clients that do not send the history.
    #[serde(default)]
    message: Option<UiMessage>,
    /// What the client wants.
    #[serde(default)]
    trigger: Trigger,
    /// The model that answers; the deployment's default without.
    #[serde(default)]
    model: Option<String>,
    /// What to do when a run already answers in the chat.
    #[serde(default)]
    on_conflict: OnConflict,
}

/// What the client wants.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Trigger {
    /// An answer to a new message.
    #[default]
    SubmitMessage,
    /// Another answer to the last message.
    RegenerateMessage,
}

/// A message in the SDK's form.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
pub(crate) struct UiMessage {
    /// The client's id of it; that of an answer is its run's.
    #[serde(default)]
    id: Option<String>,
    /// `user`, `assistant` or `system`.
    role: String,
    /// Its parts; only `text` parts are understood.
    #[serde(default)]
    parts: Vec<UiPart>,
    /// The text, in the form of older versions.
    #[serde(default)]
    content: Option<String>,
}

/// A part of a message.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
pub(crate) struct UiPart {
    /// The kind.
    #[serde(rename = "type")]
    kind: String,
    /// The text of a `text` part.
    #[serde(default)]
    text: Option<String>,
    #[serde(flatten)]
    #[schema(value_type = Object)]
    other: serde_json::Map<String, Value>,
}

impl Submit {
    async fn place(&self, engine: &Engine, principal: &Principal, new: ProjectId) -> Result<Place, Problem> {
        if let Some(id) = &self.id {
            return chats::place(engine, principal, id, new).await;
        }
        let mut answers = self.messages.iter().rev().filter(|message| message.role == "assistant");
        match answers.find_map(|answer| answer.id.as_deref()?.parse::<RunId>().ok()) {
            Some(run) => Ok(Place::Project(find(engine, principal, run).await?.project_id)),
            None => Ok(Place::New(Vec::new())),
        }
    }
}

impl UiMessage {
    fn text(&self) -> Result<String, Problem> {
        if let Some(part) = self.parts.iter().find(|part| part.kind == "file") {
            let problem = Problem::invalid("Files are not supported.");
            return Err(problem.at("/messages", format!("has a part of type {:?}", part.kind)));
        }
        let parts: Vec<&str> = self.parts.iter().filter_map(|part| part.text.as_deref()).collect();
        Ok(if parts.is_empty() { self.content.clone().unwrap_or_default() } else { parts.join("\n") })
    }
}

/// Skips what the client has.
struct Ui {
    projector: Projector,
    skip: u64,
}

impl Projection for Ui {
    fn event(&mut self, event: &Event) -> Vec<Frame> {
        self.projector.push_after(self.skip, event).iter().map(ui_message::Chunk::frame).collect()
    }

    fn closed(&mut self) -> Vec<Frame> {
        vec![ui_message::done()]
    }
}

/// Answers a message, in the AI SDK's UI message stream.
///
/// `x-project-id` names the conversation, and is good as the chat's id from then on; `x-workflow-run-id` names the run.
/// The body is taken as `text/plain` too, which is what a transport sends that sets no content type.
#[utoipa::path(
    post,
    path = "/api/chat",
    tag = "chat",
    request_body = Submit,
    params(("Idempotency-Key" = Option<String>, Header, description = "A retry with the same key and payload attaches to the same run.")),
    responses((status = 200, description = "UI message chunks.", content_type = "text/event-stream"), Problems),
)]
pub(crate) async fn submit(
    State(chat): State<Chat>,
    Caller(principal): Caller,
    exchange: Exchange,
    key: Option<IdempotencyKey>,
    UnlabelledJson(body): UnlabelledJson<Submit>,
) -> Result<Response, Problem> {
    principal.require(Scope::Chat)?;
    let engine = &chat.engine;
    let payload = serde_json::to_vec(&body).map_err(Problem::internal)?;
    let key =
        key.map(|key| key.request(principal.tenant, "chat", PayloadHash::of("POST", "/api/chat", &payload)));
    let said =
        body.message.as_ref().or_else(|| body.messages.iter().rev().find(|message| message.role == "user"));
    let said = said.ok_or_else(|| {
        Problem::invalid("There is no message to answer.").at("/messages", "must hold a message of the user")
    })?;
    let content = said.text()?;
    let new_project = ProjectId::new();
    let place = body.place(engine, &principal, new_project).await?;
    let replaces = match (&place, body.trigger) {
        (Place::Project(project), Trigger::RegenerateMessage) => {
            let projects = Projects::new(engine.store(), principal.tenant);
            let latest = projects.latest_messages(*project, 1).await.map_err(Problem::unavailable)?;
            latest.first().map(|message| message.run_id)
        }
        _ => None,
    };
    let ask =
        Ask { place, content, model: body.model, on_conflict: body.on_conflict, replaces, new_project, key };
    let begun = begin(&chat, &principal, ask).await?;
    Ok(stream(engine, &exchange, begun.watched(&principal), 0))
}

/// Where to start.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ResumeQuery {
    /// Chunks to skip from the start, or, negative, to keep from the end.
    #[serde(default, rename = "startIndex")]
    start_index: Option<String>,
}

/// Continues the answer of a chat or of a run.
///
/// For a chat: the answer that is being written, from its first chunk, or 204 when there is none. For a run: its
/// chunks from `startIndex` on, live or finished.
#[utoipa::path(
    get,
    path = "/api/chat/{id}/stream",
    tag = "chat",
    params(("id" = String, Path, description = "A chat id, a project id or a run id."), ResumeQuery),
    responses(
        (status = 200, description = "UI message chunks.", content_type = "text/event-stream"),
        (status = 204, description = "Nothing is being answered in this chat."),
        Problems,
    ),
)]
pub(crate) async fn resume(
    State(engine): State<Engine>,
    Caller(principal): Caller,
    exchange: Exchange,
    Path(id): Path<String>,
    Query(query): Query<ResumeQuery>,
) -> Result<Response, Problem> {
    principal.require(Scope::RunsRead)?;
    let start = query.start_index.as_deref().map(str::parse::<StartIndex>).transpose().map_err(|error| {
        Problem::bad_request("invalid_cursor", error.to_string())
            .at_parameter("startIndex", "is no whole number")
    })?;
    let run = match id.parse::<RunId>() {
        Ok(run) => run,
        Err(_) => match live_run(&engine, &principal, &id).await? {
            Some(run) => run,
            None => return Ok(StatusCode::NO_CONTENT.into_response()),
        },
    };
    let row = find(&engine, &principal, run).await?;
    let key = LogKey { tenant: principal.tenant, run };
    let (skip, tail) = match start.unwrap_or_default() {
        StartIndex::Skip(skip) => (skip, None),
        last @ StartIndex::Last(_) => {
            let stored = stored_chunks(&engine, key).await?;
            (last.resolve(stored), Some(stored))
        }
    };
    let watched = Watched {
        key,
        project: row.project_id,
        after: Seq::START,
        source: Source::Elsewhere,
        replayed: false,
    };
    let mut response = stream(&engine, &exchange, watched, skip);
    if let Some(stored) = tail {
        let name = HeaderName::from_static("x-workflow-stream-tail-index");
        let index = i64::try_from(stored).unwrap_or(i64::MAX) - 1;
        response.headers_mut().insert(name, HeaderValue::from(index));
    }
    Ok(response)
}

async fn live_run(engine: &Engine, principal: &Principal, id: &str) -> Result<Option<RunId>, Problem> {
    let Some(project) = chats::find(engine, principal, id).await? else { return Ok(None) };
    match Projects::new(engine.store(), principal.tenant).get(project).await {
        Ok(project) => Ok(project.live_run_id),
        Err(sequent_conversation::projects::Error::NotFound) => {
            Err(Problem::not_found("There is no such chat."))
        }
        Err(error) => Err(Problem::unavailable(error)),
    }
}

/// How many chunks the log makes as it stands.
async fn stored_chunks(engine: &Engine, key: LogKey) -> Result<u64, Problem> {
    let segments = read_all(&engine.storage, key).await.map_err(Problem::unavailable)?;
    let mut projector = Projector::new(key.run);
    for event in segments.iter().flat_map(Segment::events) {
        let _ = projector.push(&event); // counted, not sent
    }
    Ok(projector.count())
}

fn stream(engine: &Engine, exchange: &Exchange, watched: Watched, skip: u64) -> Response {
    let run = watched.key.run;
    let projection = Ui { projector: Projector::new(run), skip };
    let mut response = respond(engine, exchange, watched, projection);
    let headers = response.headers_mut();
    for (name, value) in ui_message::HEADERS {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    let id = HeaderValue::try_from(run.to_string()).expect("ids are ASCII");
    headers.insert(HeaderName::from_static("x-workflow-run-id"), id);
    response
}
