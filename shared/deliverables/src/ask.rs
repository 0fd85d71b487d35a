//! Asking a model for data instead of words: it has to call a tool, and what it writes has to hold the tool's rules.

use std::time::Duration;

use futures::StreamExt as _;
use sequent_event::Totals;
use sequent_jobs::{Context, Failed};
use sequent_model::{
    Chunk, Client, Error, Message, ModelName, Part, Request, Role, ToolCall, ToolSpec, Usage,
};
use serde_json::Value;
use tokio::time::Instant;

/// Responses until one holds the rules.
const ATTEMPTS: usize = 3;

/// What a model is asked for.
pub(crate) struct Question {
    /// Who is asked; the deployment's default without.
    pub(crate) model: Option<String>,
    pub(crate) system: &'static str,
    pub(crate) material: String,
    pub(crate) tool: ToolSpec,
    /// How long all of it may take.
    pub(crate) time: Duration,
}

/// What `accept` makes of the arguments with which the model calls the tool, and what that used. An argument that is
/// refused is written anew, with the reason in sight.
pub(crate) async fn ask<T>(
    models: Option<&Client>,
    context: &Context,
    question: Question,
    accept: impl Fn(Value) -> Result<T, String>,
) -> Result<(T, Totals), Failed> {
    let Some(models) = models else { return Err(Failed::Retry("No model can be asked.".to_owned())) };
    let model = match question.model.as_deref().map(str::parse::<ModelName>) {
        None => models.default_model().clone(),
        Some(Ok(model)) => model,
        Some(Err(error)) => return Err(failed(&error)),
    };
    let mut request = Request {
        system: Some(question.system.to_owned()),
        tools: vec![question.tool],
        must_call: true,
        ..Request::new(model, vec![Message::user(question.material)])
    };
    let deadline = Some(Instant::now() + question.time);
    let (mut used, mut why) = (Totals::default(), String::new());
    for _ in 0..ATTEMPTS {
        let asked = sequent_model::Context { deadline, request_id: Some(context.job.to_string()) };
        let (said, calls, usage) =
            response(models, request.clone(), asked).await.map_err(|error| failed(&error))?;
        used.add(&totals(models, &request.model, &usage));
        let Some(call) = calls.first() else {
            why = format!("The model did not call `{}`.", request.tools[0].name);
            request.messages.extend([Message::assistant(said), Message::user(why.clone())]);
            continue;
        };
        let written = serde_json::from_str(&call.arguments)
            .map_err(|error| format!("The arguments are not valid JSON: {error}."))
            .and_then(&accept);
        match written {
            Ok(accepted) => return Ok((accepted, used)),
            Err(refused) => why = refused,
        }
        let results = calls.iter().map(|call| Message::tool_result(call.id.clone(), why.clone()));
        let results: Vec<Message> = results.collect();
        let parts = calls.into_iter().map(Part::ToolCall).collect();
        request.messages.push(Message { role: Role::Assistant, parts });
        request.messages.extend(results);
    }
    Err(Failed::Retry(format!("The model has failed {ATTEMPTS} times. {why}")))
}

/// A whole response: its text, its calls, and what it used.
async fn response(
    models: &Client,
    request: Request,
    context: sequent_model::Context,
) -> Result<(String, Vec<ToolCall>, Usage), Error> {
    let mut chunks = Box::pin(models.stream(request, context)).await?;
    let (mut text, mut calls) = (String::new(), Vec::<ToolCall>::new());
    while let Some(chunk) = chunks.next().await {
        match chunk? {
            Chunk::TextDelta(delta) => text.push_str(&delta),
            Chunk::ToolCallStart { id, name } => calls.push(ToolCall { id, name, arguments: String::new() }),
            Chunk::ToolCallDelta { id, arguments } => {
                let call = calls.iter_mut().rfind(|call| call.id == id);
                call.into_iter().for_each(|call| call.arguments.push_str(&arguments));
            }
            Chunk::ReasoningDelta(_) | Chunk::ToolCallEnd { .. } | Chunk::Finished { .. } => {}
        }
    }
    Ok((text, calls, chunks.usage()))
}

fn totals(models: &Client, model: &ModelName, usage: &Usage) -> Totals {
    let cost = models.cost(model, usage);
    Totals {
        input_tokens: usage.input_tokens,
        output_tokens: usage.output_tokens,
        cost_micro_usd: cost.unwrap_or_default(),
        incomplete: cost.is_none(),
    }
}

fn failed(error: &Error) -> Failed {
    let why = error.public_message().to_string();
    if error.retryable() { Failed::Retry(why) } else { Failed::Poison(why) }
}
