//! Shows what a model was sent.

use axum::{extract::State, response::IntoResponse};
use sequent_agent::{SentContext, SentRequest, sent_context};
use sequent_core::RunId;
use sequent_http::{Caller, Json, Path, Problem, Query, openapi::Problems};
use sequent_model::{Message, ModelParameters, ToolSpec};
use sequent_runlog::LogKey;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use crate::App;

/// Bytes of messages in JSON that a response contains. Lambda's responses have at most 6 MB.
const MAX_BYTES: usize = 4_000_000;

/// The query of `GET /api/runs/{id}/context`.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct ContextQuery {
    /// The number of the call among the model calls of the run, from 1; the last one if not given.
    #[param(value_type = Option<u64>, minimum = 1, maximum = 4_294_967_295_u64)]
    step: Option<u32>,
    /// The number of messages to leave out at the beginning: `next` of the previous response.
    #[param(value_type = Option<u64>, minimum = 0, maximum = 4_294_967_295_u64)]
    from: Option<u32>,
}

/// The request of a model call.
#[derive(Serialize, ToSchema)]
pub(crate) struct ModelContext {
    run_id: RunId,
    /// The number of the call.
    step: u32,
    /// The number of the run's model calls so far.
    steps: u32,
    provider: String,
    /// The provider's name of the model.
    model: String,
    /// The purpose of the request: `answer`, `plan`, `step`, `conclude`, `deliver_` with the kind of document, or `summary`.
    purpose: Option<String>,
    state: ContextState,
    /// The limit of the output, if the request had one.
    max_output_tokens: Option<u32>,
    /// The model had to call a tool.
    must_call: bool,
    /// The parameters that the caller chose. A parameter that the model lacks, or that its server refused, was left out. Empty
    /// unless the state is `exact`.
    parameters: ModelParameters,
    /// The JSON Schema of the answer, if it had to be JSON.
    #[schema(value_type = Option<Object>)]
    output_schema: Option<Value>,
    /// The instructions. Absent unless the state is `exact`, as are the tools and messages.
    system: Option<String>,
    /// The tools that the request offered.
    #[schema(value_type = Vec<Object>)]
    tools: Vec<ToolSpec>,
    /// The messages, oldest first, in a form that does not depend on the provider.
    #[schema(value_type = Vec<Object>)]
    messages: Vec<Message>,
    /// The value of `from` for the rest of the messages, if there are more.
    next: Option<u32>,
}

/// The extent to which the request is known.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ContextState {
    /// This is what was sent: its digest was recorded.
    Exact,
    /// The request would be another one today, because a part of the conversation was deleted or replaced since, or another
    /// version of the software renders it. So it is not shown.
    Changed,
    /// The log does not record the inputs of the request: a call that was cut has no such record.
    NotRecorded,
}

/// Get the context of a model call.
///
/// The request of a model call is rebuilt from the logs of the run and of the earlier turns, and compared with the digest
/// that was recorded when it was sent. Attached files appear by their descriptions.
#[utoipa::path(
    get,
    path = "/api/runs/{id}/context",
    operation_id = "get_run_context",
    tag = "runs",
    params(("id" = RunId, Path, description = "The run."), ContextQuery),
    responses(
        (status = 200, description = "The request of the call.", body = ModelContext),
        (status = 404, description = "The tenant has no such run, or the run has made no such call."),
        Problems
    ),
)]
pub(crate) async fn context(
    State(app): State<App>,
    Caller(caller): Caller,
    Path(id): Path<RunId>,
    Query(query): Query<ContextQuery>,
) -> Result<impl IntoResponse, Problem> {
    let run = app.runs_of(&caller).get_for_caller(id).await?;
    let log = LogKey { tenant: caller.tenant, run: run.id };
    let project = run.parent_run_id.is_none().then_some(run.project_id);
    let sent = Box::pin(sent_context(app.store().storage(), log, project, query.step)).await?;
    let sent = sent.ok_or_else(|| Problem::not_found("The run has made no such model call."))?;
    Ok(Json(ModelContext::of(run.id, sent, query.from.unwrap_or(0))))
}

impl ModelContext {
    fn of(run_id: RunId, sent: SentContext, from: u32) -> Self {
        let SentContext { step, steps, usage, request } = sent;
        let record = usage.request.as_deref();
        let mut context = Self {
            run_id,
            step,
            steps,
            purpose: record.map(|record| record.purpose.clone()),
            max_output_tokens: record.and_then(|record| record.max_output_tokens),
            provider: usage.provider,
            model: usage.model,
            state: ContextState::NotRecorded,
            must_call: false,
            parameters: ModelParameters::default(),
            output_schema: None,
            system: None,
            tools: Vec::new(),
            messages: Vec::new(),
            next: None,
        };
        match request {
            SentRequest::NotRecorded => {}
            SentRequest::Changed => context.state = ContextState::Changed,
            SentRequest::Exact { system, tools, must_call, parameters, output_schema, messages } => {
                context.state = ContextState::Exact;
                context.must_call = must_call;
                context.parameters = *parameters;
                context.output_schema = output_schema;
                context.system = Some(system);
                context.tools = tools;
                context.add(messages, from);
            }
        }
        context
    }

    /// Adds the messages from this one on, as many as the response takes, and at least one.
    fn add(&mut self, messages: Vec<Message>, from: u32) {
        let mut bytes = 0;
        for (number, message) in (0..).zip(messages).skip_while(|(number, _)| *number < from) {
            bytes += serde_json::to_vec(&message).map_or(0, |json| json.len());
            if bytes > MAX_BYTES && !self.messages.is_empty() {
                self.next = Some(number);
                return;
            }
            self.messages.push(message);
        }
    }
}
