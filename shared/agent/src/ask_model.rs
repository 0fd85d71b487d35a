//! Asks a model, and appends its response to the log as it is streamed.

use futures::StreamExt;
use sequent_conversation::{Error, closing_bodies};
use sequent_core::Timestamp;
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
    room,
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
    let room = room::of(execution, &model);
    let requests = match Requests::new(execution, request, room).await {
        Ok(requests) => requests,
        Err(not_read) => return not_read.end(execution).await,
    };
    record.tokens = request_tokens(&requests.to(&model));
    sent.add_files(record.tokens);
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
    let shown = requests.shown_files();
    if call.usage.is_none()
        && refuses_files(&end)
        && execution.files.as_mut().is_some_and(|files| files.refuse(shown))
    {
        let run = execution.key.run;
        tracing::warn!(%run, "the provider refused a request with files; asking again with fewer of them");
        return Ok(Flow::Continue);
    }
    if call.usage.is_none() && matches!(end, StreamEnd::Failed(sequent_model::Error::ContextTooLong)) {
        return Box::pin(compact::after_refusal(execution, &model, &sent)).await;
    }
    conclude(execution, call, end).await
}

/// Returns `true` if the files of a request can be the reason for this end. A provider refuses a request as a whole, and few say
/// which part they mean.
fn refuses_files(end: &StreamEnd) -> bool {
    use sequent_model::Error;

    // A gateway that has no server for requests with images answers that there is no such model.
    let reasons =
        |error: &Error| matches!(error, Error::BadRequest(_) | Error::ContextTooLong | Error::UnknownModel);
    matches!(end, StreamEnd::Failed(error) if reasons(error))
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
