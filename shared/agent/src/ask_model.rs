//! One response of a model, appended to the log as it is streamed.

use futures::StreamExt;
use sequent_attachments::Unavailable;
use sequent_conversation::{Error, closing_bodies};
use sequent_core::{MicroCredits, Timestamp};
use sequent_event::{Body, Entry, RequestRecord, RunOutcome, State, Usage};
use sequent_model::{
    Chunk, Chunks, Context, FinishReason, ModelName, OutputLimit, Request, estimate::request_tokens,
};
use sequent_runlog::Stopped;
use tokio::time::Instant;

use crate::{
    Engine, allowance,
    bounds::{LimitReached, TIME_LIMIT},
    compact::{self, Ready, Sent},
    execution::{Execution, Flow, StopSignal, at, run_error, stop_error},
    next::{Next, Purpose, has_answered, next},
    offers::RequestOffer,
    output,
    prompt::Prepared,
    requests::Requests,
    response::Response,
};

/// The end of a response's stream.
enum StreamEnd {
    Finished(FinishReason, sequent_model::Usage),
    Failed(sequent_model::Error),
    Stopped(StopSignal),
    /// The invocation has no time left.
    HandOver,
    /// The run has no time left.
    TimeLimit,
}

/// A model that may answer, and the limit of its output.
#[derive(Debug, Clone)]
pub(crate) struct Candidate {
    model: ModelName,
    limit: OutputLimit,
}

impl Candidate {
    /// The candidate, with an output of at most `tokens`.
    pub(crate) fn at_most(self, tokens: u32) -> Self {
        Self { limit: self.limit.within(tokens.into()), ..self }
    }
}

/// A call of a model.
pub(crate) struct ModelCall {
    /// The model that answers. It may be a fallback for the one that was asked for.
    pub(crate) candidate: Candidate,
    /// The record of the request.
    record: RequestRecord,
    started: Instant,
    /// The number of people's messages in the request.
    messages_told: Option<u32>,
    response: Response,
    /// The usage so far, once a model answers.
    usage: Option<sequent_model::Usage>,
}

impl ModelCall {
    /// A call that begins now.
    pub(crate) fn new(record: RequestRecord, messages_told: Option<u32>, model: ModelName) -> Self {
        Self {
            candidate: Candidate { model, limit: OutputLimit::default() },
            record,
            started: Instant::now(),
            messages_told,
            response: Response::new(),
            usage: None,
        }
    }
}

/// Asks the model and appends its response. Returns [`Flow::End`] if the response completes the answer.
pub(crate) async fn ask_model(execution: &mut Execution<'_>, purpose: Purpose) -> Result<Flow, Error> {
    let model = match model_of(execution).await {
        Ok(model) => model,
        Err(error) => return Ok(Flow::End(vec![run_error(error.code(), &error.public_message())])),
    };
    let prepared = match Box::pin(compact::request(execution, purpose, &model)).await? {
        Ready::Ask(prepared) => *prepared,
        Ready::Instead(flow) => return Ok(flow),
    };
    let mut sent = Sent::of(&prepared);
    let Prepared { request, offer, mut record } = prepared;
    let requests = match Requests::new(execution, request).await {
        Ok(requests) => requests,
        Err(error) => return Ok(Flow::End(files_unavailable(execution, &error))),
    };
    record.tokens = request_tokens(&requests.to(&model));
    sent.add_files(record.tokens);
    if let Some(flow) = Box::pin(compact::with_files(execution, &model, &sent)).await? {
        return Ok(flow);
    }
    let candidates = match candidates(execution, &model, &requests) {
        Ok(candidates) => candidates,
        Err(limit) => {
            let mut bodies = closing_bodies(&execution.state);
            bodies.push(run_error(limit.code, &limit.message));
            return Ok(Flow::End(bodies));
        }
    };
    let told = u32::try_from(execution.state.prompts.len()).ok();
    let mut call = ModelCall::new(record, told, model.clone());
    let end = stream(execution, &mut call, &requests, &offer, candidates).await?;
    if call.usage.is_none() && matches!(end, StreamEnd::Failed(sequent_model::Error::ContextTooLong)) {
        return Box::pin(compact::after_refusal(execution, &model, &sent)).await;
    }
    conclude(execution, call, end).await
}

/// The events that end a run whose files cannot be read at the moment. An answer without them could be wrong.
fn files_unavailable(execution: &Execution<'_>, error: &Unavailable) -> Vec<Body> {
    let run = execution.key.run;
    tracing::error!(%run, error = error as &dyn std::error::Error, "could not read the attached files; ending the run");
    let mut bodies = closing_bodies(&execution.state);
    bodies.push(run_error("attachment_unavailable", "An attached file could not be read. Try again."));
    bodies
}

/// The model that the run names, or the deployment's default.
pub(crate) async fn model_of(execution: &Execution<'_>) -> Result<ModelName, sequent_model::Error> {
    match execution.run.model.as_deref() {
        Some(name) => name.parse(),
        None => Ok(execution.engine.models.default_model().await),
    }
}

async fn stream(
    execution: &mut Execution<'_>,
    call: &mut ModelCall,
    requests: &Requests,
    offer: &RequestOffer,
    candidates: Vec<Candidate>,
) -> Result<StreamEnd, Error> {
    let time_limit = Instant::now() + execution.engine.bounds.time_left(&execution.state, Timestamp::now());
    let context = Context { deadline: Some(time_limit), request_id: Some(execution.run.id.to_string()) };
    let opening = Box::pin(open_and_keep(execution, candidates, requests, offer, context));
    let opened = tokio::select! {
        biased;
        signal = execution.stop_signal() => return Ok(StreamEnd::Stopped(signal)),
        () = at(execution.hand_over) => return Ok(StreamEnd::HandOver),
        opened = opening => opened,
    };
    let (candidate, mut chunks) = match opened {
        Ok(opened) => opened,
        Err(error) => return Ok(StreamEnd::Failed(error)),
    };
    call.candidate = candidate;
    let end = relay(execution, &mut chunks, &mut call.response, time_limit).await?;
    call.usage = Some(chunks.usage());
    Ok(end)
}

/// The models to try, in order. A metered run may only use models with a known price; so may a run with a
/// cost limit whose own model has a price. A model whose input alone exceeds what is left is not tried.
///
/// # Errors
/// The limit that the call would exceed, if the run can afford none of the models.
pub(crate) fn candidates(
    execution: &Execution<'_>,
    model: &ModelName,
    requests: &Requests,
) -> Result<Vec<Candidate>, LimitReached> {
    let models = &execution.engine.models;
    let configuration = &execution.state.configuration;
    let all = models.candidates(model.clone());
    let priced = models.priced(all.clone());
    let has_cost_limit = configuration.budget.max_cost_micro_usd.is_some();
    let is_counted = has_cost_limit && priced.first() == Some(model);
    let is_metered =
        configuration.hold.as_ref().is_some_and(|hold| !hold.of_quota || hold.amount > MicroCredits::ZERO);
    let allowed = if is_metered || is_counted { priced } else { all };
    let allowance = allowance::of_run(&execution.state, &execution.engine.bounds);
    let mut affordable = Vec::new();
    let mut too_dear = None;
    for candidate in allowed {
        let request = requests.to(&candidate);
        let tokens = request_tokens(&request);
        let window = models.window(&candidate);
        if candidate != *model && tokens > window.input {
            continue; // a fallback with a smaller window
        }
        match allowance.output(&request, models.price(&candidate)) {
            Ok(limit) => {
                let limit = limit.within(window.total.saturating_sub(tokens));
                affordable.push(Candidate { model: candidate, limit });
            }
            Err(limit) => too_dear = too_dear.or(Some(limit)),
        }
    }
    match too_dear {
        Some(limit) if affordable.is_empty() => Err(limit.into()),
        _ => Ok(affordable),
    }
}

/// As [`open`]. Meanwhile, stores what the request offers.
pub(crate) async fn open_and_keep(
    execution: &Execution<'_>,
    candidates: Vec<Candidate>,
    requests: &Requests,
    offer: &RequestOffer,
    context: Context,
) -> Result<(Candidate, Chunks), sequent_model::Error> {
    let engine = execution.engine;
    let keeping = engine.offers.keep(engine.store(), execution.key.tenant, offer);
    tokio::join!(open(engine, candidates, requests, context), keeping).0
}

/// Opens the stream of the first candidate that can answer. Returns the candidate and its stream.
async fn open(
    engine: &Engine,
    candidates: Vec<Candidate>,
    requests: &Requests,
    context: Context,
) -> Result<(Candidate, Chunks), sequent_model::Error> {
    let mut candidates = candidates.into_iter().peekable();
    while let Some(candidate) = candidates.next() {
        let model = candidate.model.clone();
        let max_output_tokens = candidate.limit.tokens;
        let request = Request { max_output_tokens, ..requests.to(&model) };
        match Box::pin(engine.models.stream(request, context.clone())).await {
            Ok(chunks) => return Ok((candidate, chunks)),
            Err(error) if error.retryable() && candidates.peek().is_some() => {
                tracing::warn!(%model, %error, "the model cannot answer; trying the next fallback");
            }
            Err(error) => return Err(error),
        }
    }
    Err(sequent_model::Error::NotPriced)
}

/// Appends the model's response to the log until the stream ends or must be interrupted.
async fn relay(
    execution: &mut Execution<'_>,
    chunks: &mut Chunks,
    response: &mut Response,
    time_limit: Instant,
) -> Result<StreamEnd, Error> {
    loop {
        let chunk = tokio::select! {
            biased;
            signal = execution.stop_signal() => return Ok(StreamEnd::Stopped(signal)),
            () = at(execution.hand_over) => return Ok(StreamEnd::HandOver),
            () = at(Some(time_limit)) => return Ok(StreamEnd::TimeLimit),
            chunk = chunks.next() => chunk,
        };
        let bodies = match chunk {
            Some(Ok(Chunk::TextDelta(delta))) => response.text(delta),
            Some(Ok(Chunk::ReasoningDelta(delta))) => response.reasoning(delta),
            Some(Ok(Chunk::ToolCallStart { id, name })) => response.start_call(id, name),
            Some(Ok(Chunk::ToolCallDelta { id, arguments })) => response.arguments(&id, arguments),
            Some(Ok(Chunk::ProviderData { call_id, data })) => {
                response.provider_data(call_id.as_deref(), data)
            }
            Some(Ok(Chunk::ToolCallEnd { id })) => response.end_call(&id),
            Some(Ok(Chunk::Finished { finish_reason, usage })) => {
                return Ok(StreamEnd::Finished(finish_reason, usage));
            }
            Some(Err(error)) => return Ok(StreamEnd::Failed(error)),
            None => return Ok(StreamEnd::Failed(sequent_model::Error::Truncated)),
        };
        execution.append_all(bodies).await?;
    }
}

async fn conclude(execution: &mut Execution<'_>, mut call: ModelCall, end: StreamEnd) -> Result<Flow, Error> {
    let mut bodies = call.response.end();
    let (finish_reason, terminal) = match end {
        StreamEnd::Finished(reason, used) => match incomplete(&call.candidate, reason) {
            // Its calls are not carried out, because their arguments may be cut.
            Some(terminal) => (reason.as_str(), terminal),
            None => {
                let usage = usage_recorded(execution, &call, used, reason.as_str());
                return complete(execution, bodies, usage).await;
            }
        },
        StreamEnd::HandOver => return abandon(execution, &call).await,
        StreamEnd::Stopped(StopSignal::WriterStopped) => return Err(stop_error(&execution.writer).await),
        StreamEnd::Stopped(StopSignal::Cancelled(reason)) => {
            execution.state.cancel = Some(reason);
            (Usage::CANCELLED, execution.run_finished(RunOutcome::Cancelled))
        }
        StreamEnd::TimeLimit => (Usage::CANCELLED, run_error("time_limit", TIME_LIMIT)),
        StreamEnd::Failed(error) => {
            tracing::warn!(run = %execution.key.run, %error, "the model failed; ending the run");
            (Usage::FAILED, run_error(error.code(), &error.public_message()))
        }
    };
    bodies.extend(call.usage.map(|used| usage_recorded(execution, &call, used, finish_reason)));
    let open_steps = execution.state.open_steps.iter();
    bodies.extend(open_steps.map(|name| Body::StepFinished { step_name: name.clone() }));
    bodies.push(terminal);
    Ok(Flow::End(bodies))
}

/// The end of a run whose response ended for this reason before it was complete. Returns `None` if it is complete.
fn incomplete(candidate: &Candidate, reason: FinishReason) -> Option<Body> {
    if let Some(limit) = candidate.limit.reached(reason) {
        let limit = LimitReached::from(limit);
        return Some(run_error(limit.code, &limit.message));
    }
    reason.failure().map(|error| run_error(error.code(), &error.public_message()))
}

/// Records a complete response. If it completes the answer, the run's end is stored in the same write.
async fn complete(execution: &mut Execution<'_>, mut bodies: Vec<Body>, usage: Body) -> Result<Flow, Error> {
    let mut drafted = execution.state.clone();
    apply(&mut drafted, &bodies)?;
    let mut after = drafted.clone();
    apply(&mut after, std::slice::from_ref(&usage))?;
    let next = next(&after);
    let is_asked_again =
        matches!(next, Next::Ask(Purpose::Answer | Purpose::Conclude)) && has_answered(&after);
    if let Some(errors) = output::check(&after).err().filter(|_| is_asked_again) {
        return reject(execution, &drafted, bodies, usage, &errors).await;
    }
    bodies.push(usage);
    if next == Next::Finish {
        bodies.push(execution.run_finished(RunOutcome::Success));
        return Ok(Flow::End(bodies));
    }
    execution.append_all(bodies).await?;
    Ok(Flow::Continue)
}

/// Takes back an answer that does not match the schema of the run, or ends the run if it is the second one.
async fn reject(
    execution: &mut Execution<'_>,
    drafted: &State,
    mut bodies: Vec<Body>,
    usage: Body,
    errors: &str,
) -> Result<Flow, Error> {
    if output::was_rejected(&execution.state) {
        tracing::warn!(run = %execution.key.run, "the model did not keep to the schema of the run twice; ending the run");
        bodies.push(usage);
        bodies.push(run_error(
            output::INVALID,
            &format!("The answer does not match `output_schema`: {errors}."),
        ));
        return Ok(Flow::End(bodies));
    }
    let (abandoned, rejected) = output::rejection(drafted, errors);
    bodies.extend(abandoned);
    bodies.extend([usage, rejected]);
    execution.append_all(bodies).await?;
    Ok(Flow::Continue)
}

fn apply(state: &mut State, bodies: &[Body]) -> Result<(), Error> {
    for body in bodies {
        let event = Entry::new(Timestamp::now(), body.clone()).at_seq(state.next());
        state.apply(&event).map_err(Stopped::from)?;
    }
    Ok(())
}

/// Abandons a response that is cut by the hand-over. The next owner asks the model again, but what was used
/// is counted.
async fn abandon(execution: &mut Execution<'_>, call: &ModelCall) -> Result<Flow, Error> {
    let unfinished = execution.state.unfinished().into_iter();
    let mut bodies: Vec<Body> = unfinished.map(|message_id| Body::MessageAbandoned { message_id }).collect();
    bodies.extend(call.usage.map(|used| usage_recorded(execution, call, used, Usage::ABANDONED)));
    execution.append_all(bodies).await?;
    Ok(Flow::HandOver)
}

/// The event that records the usage of a call.
fn usage_recorded(
    execution: &Execution<'_>,
    call: &ModelCall,
    used: sequent_model::Usage,
    finish_reason: &str,
) -> Body {
    Body::UsageRecorded(usage_of(execution, call, used, finish_reason))
}

/// The usage of a call. Also logs it.
pub(crate) fn usage_of(
    execution: &Execution<'_>,
    call: &ModelCall,
    used: sequent_model::Usage,
    finish_reason: &str,
) -> Usage {
    let models = &execution.engine.models;
    let info = models.describe(&call.candidate.model);
    let usage = Usage {
        provider: info.provider.as_str().to_owned(),
        cost_micro_usd: models.cost(&call.candidate.model, &used),
        model: info.model,
        input_tokens: used.input_tokens,
        output_tokens: used.output_tokens,
        cached_input_tokens: used.cached_input_tokens,
        cache_write_tokens: used.cache_write_tokens,
        reasoning_tokens: used.reasoning_tokens,
        estimated: used.estimated,
        latency_ms: u64::try_from(call.started.elapsed().as_millis()).unwrap_or(u64::MAX),
        finish_reason: finish_reason.to_owned(),
        messages_told: call.messages_told,
        request: Some(Box::new(RequestRecord {
            max_output_tokens: call.candidate.limit.tokens,
            ..call.record.clone()
        })),
    };
    // The attributes are named by OpenTelemetry's semantic conventions for generative AI.
    tracing::info!(
        gen_ai.operation.name = "chat",
        gen_ai.provider.name = usage.provider,
        gen_ai.request.model = %call.candidate.model,
        gen_ai.response.model = usage.model,
        gen_ai.response.finish_reasons = finish_reason,
        gen_ai.usage.input_tokens = usage.input_tokens,
        gen_ai.usage.output_tokens = usage.output_tokens,
        gen_ai.conversation.id = %execution.run.project_id,
        latency_ms = usage.latency_ms,
        cost_micro_usd = usage.cost_micro_usd.map(|cost| cost.0),
        run = %execution.key.run,
        "model call"
    );
    usage
}
