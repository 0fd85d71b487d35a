//! `POST /api/chat`: sends a message of the AI SDK, and streams the answer.

use sequent_agent::accept_client_tools;
use sequent_conversation::{Continues, Destination, OnConflict, Projects, RunChoices, RunRequest, RunSetup};
use sequent_core::{Principal, ProjectId, RunId};
use sequent_definitions::AgentReference;
use sequent_http::{
    Caller, Problem, Query, RequestContext, UnlabelledJson,
    axum::{extract::State, response::Response},
    idempotency::IdempotencyKey,
    openapi::Problems,
};
use sequent_model::{ModelName, ModelParameters};
use sequent_tool::{ClientToolDeclaration, ClientTools, OutputSchema};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::{
    App, Question, chats,
    continuation::{AnsweredMessage, continue_run},
    frame_schema::UiMessageChunk,
    stream::Watched,
    ui_content::UiMessage,
    ui_stream::{StreamForm, UiMessages, stream},
};

/// The request of the SDK's transports. The history of the conversation is on the server: of `messages` only the last
/// one is read, and the ids of the answers before it if it is an edited one. It must be the user's, unless the answer to it
/// is to be replaced, or it is an answer that waits, with the results or decisions that it waits for.
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
    /// The values of variables in the instructions of the agent: at most 8,000 bytes in JSON.
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
    /// The tools that the client carries out, as in `POST /api/runs`.
    #[serde(default, skip_serializing_if = "ClientTools::is_empty")]
    #[schema(value_type = Vec<ClientToolDeclaration>, required = false, max_items = 32)]
    client_tools: ClientTools,
    /// The parameters of the run's model calls.
    #[serde(default)]
    parameters: ModelParameters,
    /// The approvals in the answer at the end hold for all calls of their tools in this chat.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    approve_always: bool,
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
    fn choices(&mut self) -> Result<RunChoices, Problem> {
        let client_tools = std::mem::take(&mut self.client_tools);
        Ok(RunChoices {
            client_tools: accept_client_tools(client_tools)?,
            agent: self.agent.take(),
            variables: std::mem::take(&mut self.variables),
            model: self.model.take(),
            output_schema: self.output_schema.take().map(Into::into),
            parameters: std::mem::take(&mut self.parameters),
            ..RunChoices::default()
        })
    }

    async fn accept(&self, app: &App, caller: &Principal, setup: &RunSetup) -> Result<Question, Problem> {
        let question = self.question()?;
        let content = question.content()?;
        let at = format!("{}/parts", self.place(question));
        app.accept(caller, content, setup.model.as_ref(), &at).await
    }

    /// Returns the answer at the end of the conversation, which the SDK sends when the calls in it have results or decisions.
    fn answered(&self) -> Option<AnsweredMessage<'_>> {
        let last = self.message.as_ref().or(self.messages.last())?;
        let is_answer = last.role == "assistant" && self.trigger == Trigger::SubmitMessage;
        is_answer.then(|| AnsweredMessage {
            message: last,
            at: self.place(last),
            approve_always: self.approve_always,
        })
    }

    /// Returns the JSON pointer of a message of the request.
    fn place(&self, message: &UiMessage) -> String {
        let at = self.messages.iter().position(|other| std::ptr::eq(message, other));
        at.map_or("/message".to_owned(), |at| format!("/messages/{at}"))
    }

    /// Returns the user's message that is to be answered. Answering the message before an answer would repeat and bill the
    /// question.
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
    let detail = "The last message is not the user's, and answers no question of its run, so there is nothing to answer. \
                  Send a user message at the end. To answer a question or to approve a tool call, send POST \
                  /api/runs/{id}/resume. To replace the last answer, send the trigger `regenerate-message`.";
    let rule = format!("must end with a message of the role `user`, not `{role}`");
    Problem::invalid(detail).at("/messages", rule)
}

/// Send a chat message.
///
/// Streams the answer in the AI SDK's UI message stream. `x-project-id` names the project and can be used as the chat id
/// from then on; `x-workflow-run-id` names the run. The body may also be labelled `text/plain`, as transports do that set
/// no content type.
///
/// If the last message is an answer that waits, with the results of calls or decisions about them, these are stored, and the
/// stream is the rest of the answer. The first answer to a call counts: another one gets 409 with the first.
#[utoipa::path(
    post,
    path = "/api/chat",
    operation_id = "send_chat_message",
    tag = "chat",
    request_body = ChatRequest,
    params(IdempotencyKey, StreamForm),
    responses((status = 200, description = "UI message chunks.", body = UiMessageChunk, content_type = "text/event-stream"), Problems),
)]
pub(crate) async fn send(
    State(app): State<App>,
    Caller(caller): Caller,
    context: RequestContext,
    key: Option<IdempotencyKey>,
    Query(form): Query<StreamForm>,
    UnlabelledJson(mut body): UnlabelledJson<ChatRequest>,
) -> Result<Response, Problem> {
    if let Some(answered) = body.answered() {
        let role = answered.message.role.clone();
        let continued = Box::pin(continue_run(&app, &caller, &context, answered, form)).await?;
        return continued.ok_or_else(|| not_a_question(&role));
    }
    let tenant = caller.tenant;
    let idempotency = IdempotencyKey::of_run(key, tenant, "chat", "/api/chat", &body)?;
    let setup = app.starter.set_up(&caller, body.choices()?, idempotency.as_ref()).await?;
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
    let messages = UiMessages::new(form.projector(started.run));
    stream(&app, &context, Watched::started(tenant, started), messages).await
}
