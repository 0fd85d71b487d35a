//! Requests data from a model: the model must call a tool with valid arguments.

use std::time::Duration;

use futures::StreamExt as _;
use sequent_core::MicroUsd;
use sequent_event::{Budget, Totals};
use sequent_jobs::{Context, Failed, JobUsage, UsageMeter};
use sequent_model::{
    Allowance, Chunk, Chunks, Client, Error, FinishReason, Message, ModelName, Part, Request, Role, ToolCall,
    ToolSpec, Usage, UsageLimit,
};
use serde_json::Value;
use tokio::time::Instant;

/// Responses that are requested until one is valid.
const MAX_ATTEMPTS: usize = 3;
/// Tokens of the output of a response at most, for models with a known price.
const MAX_OUTPUT: u32 = 32_768;

/// A request for data.
pub(crate) struct DataRequest {
    /// The name of the model. The default is the deployment's model.
    pub(crate) model: Option<String>,
    pub(crate) system: String,
    pub(crate) material: String,
    pub(crate) tool: ToolSpec,
    /// Limits of all model calls of the job.
    pub(crate) budget: Budget,
    /// Time limit for all attempts.
    pub(crate) time: Duration,
}

/// Asks the model until `accept` accepts the arguments of its call. Returns what `accept` returns. Counts each response in
/// the usage of the attempt, and limits its output to what the budget leaves. After arguments that are refused, the model
/// gets the reason and tries again.
pub(crate) async fn ask<T>(
    models: Option<&Client>,
    context: &Context,
    data_request: DataRequest,
    accept: impl Fn(Value) -> Result<T, String>,
) -> Result<T, Failed> {
    let Some(models) = models else { return Err(Failed::Retry("No model is configured.".to_owned())) };
    let model = model_of(models, &data_request).await.map_err(|error| failed(&error))?;
    let mut request = Request {
        system: Some(data_request.system),
        tools: vec![data_request.tool],
        must_call: true,
        ..Request::new(model, vec![Message::user(data_request.material)])
    };
    let deadline = Some(Instant::now() + data_request.time);
    let mut problem = String::new();
    for _ in 0..MAX_ATTEMPTS {
        let allowance = allowance(&data_request.budget, context.usage.total());
        let limit = allowance.output(&request, models.price(&request.model)).map_err(over_budget)?;
        let limited = Request { max_output_tokens: limit.tokens, ..request.clone() };
        let limits = sequent_model::Context { deadline, request_id: Some(context.job.to_string()) };
        let chunks = Box::pin(models.stream(limited, limits)).await.map_err(|error| failed(&error))?;
        let counted = CountedChunks { chunks, models, model: &request.model, meter: &context.usage };
        let response = counted.read().await.map_err(|error| failed(&error))?;
        if let Some(limit) = limit.reached(response.finish_reason) {
            return Err(over_budget(limit));
        }
        if let Some(error) = response.finish_reason.failure() {
            return Err(failed(&error)); // its arguments may be cut
        }
        let Some(call) = response.calls.first() else {
            problem = format!("The model did not call `{}`.", request.tools[0].name);
            request.messages.extend([Message::assistant(response.text), Message::user(problem.clone())]);
            continue;
        };
        let accepted = serde_json::from_str(&call.arguments)
            .map_err(|error| format!("The arguments are not valid JSON: {error}."))
            .and_then(&accept);
        match accepted {
            Ok(accepted) => return Ok(accepted),
            Err(refusal) => problem = refusal,
        }
        let results: Vec<Message> = response
            .calls
            .iter()
            .map(|call| Message::tool_result(call.id.clone(), problem.clone()))
            .collect();
        let parts = response.calls.into_iter().map(Part::ToolCall).collect();
        request.messages.push(Message { role: Role::Assistant, parts });
        request.messages.extend(results);
    }
    Err(Failed::Retry(format!("The model has failed {MAX_ATTEMPTS} times. {problem}")))
}

/// The model of the request, or the deployment's default. If the cost is limited, the first of its fallbacks with a known
/// price stands in for a model without one.
async fn model_of(models: &Client, data_request: &DataRequest) -> Result<ModelName, Error> {
    let model = match data_request.model.as_deref() {
        None => models.default_model().await,
        Some(name) => name.parse()?,
    };
    if data_request.budget.max_cost_micro_usd.is_none() {
        return Ok(model);
    }
    let priced = models.priced(models.candidates(model.clone())).into_iter().next();
    Ok(priced.unwrap_or(model))
}

/// The rest of a budget of which this is used.
fn allowance(budget: &Budget, used: JobUsage) -> Allowance {
    let tokens = used.input_tokens.saturating_add(used.output_tokens);
    let cost = |most: u64| MicroUsd(most.saturating_sub(used.cost_micro_usd.0));
    Allowance {
        cost: budget.max_cost_micro_usd.map(cost),
        tokens: budget.max_tokens.map(|most| most.saturating_sub(tokens)),
        output: MAX_OUTPUT,
    }
}

fn over_budget(limit: UsageLimit) -> Failed {
    let limit = match limit {
        UsageLimit::Cost => "cost",
        UsageLimit::Tokens => "token",
    };
    Failed::OverBudget(format!(
        "The rest of the run's {limit} limit does not cover the model call of this job."
    ))
}

struct Response {
    text: String,
    calls: Vec<ToolCall>,
    finish_reason: FinishReason,
}

/// A response that is counted when it is dropped: complete, failed half way, or abandoned with its attempt.
struct CountedChunks<'a> {
    chunks: Chunks,
    models: &'a Client,
    model: &'a ModelName,
    meter: &'a UsageMeter,
}

impl CountedChunks<'_> {
    /// Reads the complete response.
    async fn read(mut self) -> Result<Response, Error> {
        let mut text = String::new();
        let mut calls: Vec<ToolCall> = Vec::new();
        let mut finish = FinishReason::Stop;
        while let Some(chunk) = self.chunks.next().await {
            match chunk? {
                Chunk::TextDelta(delta) => text.push_str(&delta),
                Chunk::ToolCallStart { id, name } => {
                    calls.push(ToolCall::new(id, name, ""));
                }
                Chunk::ToolCallDelta { id, arguments } => {
                    let call = calls.iter_mut().rfind(|call| call.id == id);
                    call.into_iter().for_each(|call| call.arguments.push_str(&arguments));
                }
                Chunk::Finished { finish_reason, .. } => finish = finish_reason,
                Chunk::ReasoningDelta(_) | Chunk::ProviderData { .. } | Chunk::ToolCallEnd { .. } => {}
            }
        }
        Ok(Response { text, calls, finish_reason: finish })
    }
}

impl Drop for CountedChunks<'_> {
    fn drop(&mut self) {
        self.meter.add(&totals(self.models, self.model, &self.chunks.usage()));
    }
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
    let message = error.public_message().to_string();
    if error.retryable() { Failed::Retry(message) } else { Failed::Poison(message) }
}
