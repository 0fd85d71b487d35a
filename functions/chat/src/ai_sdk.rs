//! The AI SDK's UI message stream, version 1: `POST /api/chat` and `GET /api/chat/{id}/stream`.

use http::{HeaderName, HeaderValue, StatusCode};
use sequent_agent::OnCut;
use sequent_conversation::{Continues, Destination, OnConflict, Projects, RunChoices, RunRequest, RunSetup};
use sequent_core::{Code, Principal, ProjectId, RunId};
use sequent_definitions::AgentReference;
use sequent_event::{Event, Seq};
use sequent_http::{
    Caller, Path, Problem, Query, RequestContext, UnlabelledJson,
    axum::{
        extract::State,
        response::{IntoResponse, Response},
    },
    idempotency::IdempotencyKey,
    openapi::Problems,
};
use sequent_model::{ModelName, ModelParameters};
use sequent_protocol::{
    sse::Frame,
    ui_message::{self, Projector, StartIndex},
};
use sequent_runlog::{LogKey, read_all};
use sequent_tool::OutputSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};

use crate::{
    App, Question, chats,
    frame_schema::UiMessageChunk,
    stream::{Projection, Watched, stream_response},
    tail::StoredTail,
    ui_content::UiMessage,
};

/// The request of the SDK's transports. The history of the conversation is on the server: of `messages` only the last
/// one is read, and the ids of the answers before it if it is an edited one. It must be the user's, unless the answer to it
/// is to be replaced.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
pub(crate) struct ChatRequest {
    /// The chat: any text that the client chose, or a project id. `WorkflowChatTransport` sends none: the message then
    /// goes to the project of the latest answer in `messages`, or to a new one if there is no answer.
    #[serde(default)]
    id: Option<String>,
    /// The conversation as the client knows it.
    #[serde(default)]
    messages: Vec<UiMessage>,
    /// The new message alone, for clients that do not send the history.
    #[serde(default)]
    message: Option<UiMessage>,
    #[serde(default)]
    trigger: Trigger,
    /// The message that is edited, or the answer that is replaced. The chat keeps it, in another branch. If it is absent, the
    /// trigger `regenerate-message` replaces the last answer.
    #[serde(default, rename = "messageId")]
    message_id: Option<String>,
    /// The agent that answers, as in `POST /api/runs`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    agent: Option<AgentReference>,
    /// The values of variables in the instructions of the agent: at most 2,048 bytes.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    #[schema(value_type = Object)]
    variables: Map<String, Value>,
    /// The model that answers. The model of the agent, or the default model of the deployment, if it is absent.
    #[serde(default)]
    model: Option<ModelName>,
    /// The JSON Schema of the answer, as in `POST /api/runs`.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    output_schema: Option<OutputSchema>,
    /// The parameters of the run's model calls.
    #[serde(default)]
    parameters: ModelParameters,
    /// The policy for a chat that has a live run.
    #[serde(default)]
    on_conflict: OnConflict,
}

/// The kind of request.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Trigger {
    /// Answer a new message.
    #[default]
    SubmitMessage,
    /// Give another answer, beside the one that is replaced.
    RegenerateMessage,
}

impl ChatRequest {
    async fn destination(&self, app: &App, caller: &Principal) -> Result<Destination, Problem> {
        if let Some(id) = &self.id {
            return chats::destination(app, caller, id).await;
        }
        let mut answers = self.messages.iter().rev().filter(|message| message.role == "assistant");
        let of_run =
            |answer: &UiMessage| Some((answer.id.as_deref()?.parse::<RunId>().ok()?, answer.project()));
        let Some((run, project)) = answers.find_map(of_run) else { return Ok(Destination::or_new(None)) };
        // Several projects may share the run.
        let project = match project {
            Some(project) => project,
            None => app.runs_of(caller).get_for_caller(run).await?.project_id,
        };
        Ok(Destination::Project(project))
    }

    /// The choices of the request. They are taken out of it.
    fn choices(&mut self) -> RunChoices {
        RunChoices {
            agent: self.agent.take(),
            variables: std::mem::take(&mut self.variables),
            model: self.model.take(),
            output_schema: self.output_schema.take().map(Into::into),
            parameters: std::mem::take(&mut self.parameters),
            ..RunChoices::default()
        }
    }

    async fn accept(&self, app: &App, caller: &Principal, setup: &RunSetup) -> Result<Question, Problem> {
        let question = self.question()?;
        let content = question.content()?;
        let at = self.messages.iter().position(|message| std::ptr::eq(message, question));
        let at = at.map_or("/message/parts".to_owned(), |at| format!("/messages/{at}/parts"));
        app.accept(caller, content, setup.model.as_ref(), &at).await
    }

    /// Returns the user's message that is to be answered. The SDK sends a history that ends with an answer when a tool of
    /// the client has a result or a call was approved. Answering the message before it would repeat and bill the question.
    fn question(&self) -> Result<&UiMessage, Problem> {
        let is_users = |message: &&UiMessage| message.role == "user";
        let last = match (&self.message, self.trigger) {
            (Some(message), _) => Some(message),
            (None, Trigger::SubmitMessage) => self.messages.last(),
            (None, Trigger::RegenerateMessage) => self.messages.iter().rev().find(is_users),
        };
        let Some(last) = last else {
            let problem = Problem::invalid("The request has no message.");
            return Err(problem.at("/messages", "must contain a user message"));
        };
        if is_users(&last) { Ok(last) } else { Err(not_a_question(&last.role)) }
    }

    /// Returns the place of the new run. A message that is edited, and an answer that is replaced, get a sibling.
    async fn continues(
        &self,
        app: &App,
        caller: &Principal,
        destination: &Destination,
    ) -> Result<Continues, Problem> {
        let Destination::Project(project) = destination else { return Ok(Continues::Head) };
        let projects = app.projects_of(caller);
        match (self.trigger, self.message_id.as_deref()) {
            (Trigger::SubmitMessage, None) => Ok(Continues::Head),
            (_, Some(id)) => self.beside(projects, *project, id).await,
            (Trigger::RegenerateMessage, None) => match self.answer_before() {
                Some(run) => Ok(Continues::Run(run)),
                None => {
                    let head = projects.get(*project).await?.head;
                    Ok(head.map_or(Continues::Head, Continues::Beside))
                }
            },
        }
    }

    /// Returns the place beside the run of the message `id`. The SDK gives its own ids to the messages that people send, so an
    /// unknown one is placed by the history before it.
    async fn beside(
        &self,
        projects: Projects<'_>,
        project: ProjectId,
        id: &str,
    ) -> Result<Continues, Problem> {
        if let Ok(run) = id.parse() {
            return Ok(Continues::Beside(run));
        }
        if let Ok(message) = id.parse()
            && let Some(run) = projects.run_of_message(project, message).await?
        {
            return Ok(Continues::Beside(run));
        }
        if let Some(run) = self.answer_before() {
            return Ok(Continues::Run(run));
        }
        let is_first =
            !self.messages.is_empty() && self.messages.iter().all(|message| message.role != "assistant");
        if is_first {
            return Ok(Continues::Start);
        }
        let detail = "The messageId is unknown. Send all messages before it in `messages`, as the SDK does, or an id that \
                      GET /api/projects/{id}/messages?format=ui returned.";
        Err(Problem::invalid(detail).at("/messageId", "must name a message of the chat"))
    }

    /// Returns the run of the last answer before the question.
    fn answer_before(&self) -> Option<RunId> {
        let question = self.messages.iter().rposition(|message| message.role == "user")?;
        let mut before = self.messages[..question].iter().rev();
        before.find(|message| message.role == "assistant")?.id.as_deref()?.parse().ok()
    }
}

fn not_a_question(role: &str) -> Problem {
    let detail = "The last message is not the user's, so there is nothing to answer. Send a user message at the end. To \
                  answer a question or to approve a tool call, send POST /api/runs/{id}/resume. To replace the last \
                  answer, send the trigger `regenerate-message`.";
    let rule = format!("must end with a message of the role `user`, not `{role}`");
    Problem::invalid(detail).at("/messages", rule)
}

/// The chunks of a run's answer, without those that the client has received.
struct UiMessages {
    projector: Projector,
    skip: u64,
    /// The client counts chunks and requests the rest of a stream that ends without `finish`.
    counts: bool,
    /// Chunks of events before the first one that the stream reads.
    opening: Vec<ui_message::Chunk>,
}

impl Projection for UiMessages {
    /// The SDK's default transport takes the end of a stream for the end of the answer.
    const ON_CUT: OnCut = OnCut::GiveUp;

    fn opening(&mut self) -> Vec<Frame> {
        std::mem::take(&mut self.opening).iter().map(ui_message::Chunk::frame).collect()
    }

    fn event(&mut self, event: &Event) -> Vec<Frame> {
        self.projector.push_after(self.skip, event).iter().map(ui_message::Chunk::frame).collect()
    }

    fn closed(&mut self) -> Vec<Frame> {
        vec![ui_message::done()]
    }

    fn cut(&mut self) -> Vec<Frame> {
        if self.counts { Vec::new() } else { vec![ui_message::cut()] }
    }
}

/// Send a chat message.
///
/// Streams the answer in the AI SDK's UI message stream. `x-project-id` names the project and can be used as the chat id
/// from then on; `x-workflow-run-id` names the run. The body may also be labelled `text/plain`, as transports do that set
/// no content type.
#[utoipa::path(
    post,
    path = "/api/chat",
    operation_id = "send_chat_message",
    tag = "chat",
    request_body = ChatRequest,
    params(IdempotencyKey),
    responses((status = 200, description = "UI message chunks.", body = UiMessageChunk, content_type = "text/event-stream"), Problems),
)]
pub(crate) async fn send(
    State(app): State<App>,
    Caller(caller): Caller,
    context: RequestContext,
    key: Option<IdempotencyKey>,
    UnlabelledJson(mut body): UnlabelledJson<ChatRequest>,
) -> Result<Response, Problem> {
    let tenant = caller.tenant;
    let idempotency = IdempotencyKey::of_run(key, tenant, "chat", "/api/chat", &body)?;
    let setup = app.starter.set_up(&caller, body.choices()).await?;
    let Question { prompt, starter } = body.accept(&app, &caller, &setup).await?;
    let project = body.destination(&app, &caller).await?;
    let continues = body.continues(&app, &caller, &project).await?;
    let request = RunRequest {
        caller,
        project,
        prompt,
        setup,
        on_conflict: body.on_conflict,
        continues,
        replay: None,
        idempotency,
    };
    let started = Box::pin(starter.start(&request)).await?;
    let projection =
        UiMessages { projector: Projector::new(started.run), skip: 0, counts: false, opening: Vec::new() };
    stream(&app, &context, Watched::started(tenant, started), projection).await
}

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
            let projector = Projector::new(run);
            stream(app, context, watched, UiMessages { projector, skip, counts, opening: Vec::new() }).await
        }
        last @ StartIndex::Last(_) => {
            let segments = read_all(&app.engine.storage, key).await.map_err(Problem::unavailable)?;
            let tail = StoredTail::of(run, segments, last);
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

async fn stream(
    app: &App,
    context: &RequestContext,
    watched: Watched,
    projection: UiMessages,
) -> Result<Response, Problem> {
    let run = watched.key.run;
    let mut response = stream_response(app, context, watched, projection).await?;
    let headers = response.headers_mut();
    for (name, value) in ui_message::HEADERS {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    let id = HeaderValue::try_from(run.to_string()).expect("ids are ASCII");
    headers.insert(HeaderName::from_static("x-workflow-run-id"), id);
    Ok(response)
}
