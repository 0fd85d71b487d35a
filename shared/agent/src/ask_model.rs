//! Asks a model, and appends its response to the log as it is streamed.

use futures::StreamExt;
use sequent_attachments::Unavailable;
use sequent_conversation::{Error, closing_bodies};
use sequent_core::Timestamp;
use sequent_event::Body;
use sequent_model::{Chunk, Chunks, Context, ModelName, estimate::request_tokens};
use tokio::time::Instant;

use crate::{
    candidates::{Candidate, candidates, open_and_keep},
    compact::{self, Ready, Sent},
    conclude::{StreamEnd, conclude},
    execution::{Execution, Flow, at, run_error},
    model_call::ModelCall,
    next::Purpose,
    offers::RequestOffer,
    prompt::Prepared,
    requests::Requests,
    response::Response,
};

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
        match chunk {
            Some(Ok(Chunk::Finished { finish_reason, usage })) => {
                return Ok(StreamEnd::Finished(finish_reason, usage));
            }
            Some(Ok(chunk)) => execution.append_all(response.push(chunk)).await?,
            Some(Err(error)) => return Ok(StreamEnd::Failed(error)),
            None => return Ok(StreamEnd::Failed(sequent_model::Error::Truncated)),
        }
    }
}
