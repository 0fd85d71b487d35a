//! The request of a model call that a run has made, rebuilt from the logs.

use std::collections::BTreeSet;

use sequent_conversation::Error;
use sequent_core::{MessageId, ProjectId};
use sequent_event::{Body, Event, State, TranscriptEntry, Usage};
use sequent_model::{Message, ModelParameters, ToolSpec};
use sequent_runlog::{DynamoStorage, LogKey, Segment, Stopped, read_all};
use serde_json::Value;

use crate::{
    conversation::Conversation,
    earlier::Earlier,
    next::Purpose,
    offer::client_tools,
    offers::{Offers, digest_of},
    output, prompt, summary,
};

/// A model call of a run.
#[derive(Debug, Clone)]
pub struct SentContext {
    /// The number of the call among the model calls of the run, from 1.
    pub step: u32,
    /// The number of the run's model calls so far.
    pub steps: u32,
    /// The usage of the call, and the record of its request.
    pub usage: Usage,
    /// The request, as far as it is known.
    pub request: SentRequest,
}

/// The request of a model call, as far as it can still be told.
#[derive(Debug, Clone, PartialEq)]
pub enum SentRequest {
    /// The content of the request. Its digest is the one that was recorded when it was sent.
    Exact {
        /// The instructions of the request.
        system: String,
        /// The tools that the request offered.
        tools: Vec<ToolSpec>,
        /// The model had to call one of them.
        must_call: bool,
        /// The parameters that the caller chose. A model may have refused some of them.
        parameters: Box<ModelParameters>,
        /// The JSON Schema of the answer, if it had to be JSON.
        output_schema: Option<Value>,
        /// The conversation, oldest message first.
        messages: Vec<Message>,
    },
    /// The request would be another one today: a part of the conversation was deleted or replaced since, or another version
    /// of the software renders it.
    Changed,
    /// The log, or the row of the request's tools, does not say enough.
    NotRecorded,
}

/// Rebuilds the request of the run's model call number `step`, or of its last one. Returns `None` if there is no such call.
/// `project` is the conversation of the run. A child run has none.
///
/// # Errors
/// If the log or the conversation cannot be read.
pub async fn sent_context(
    storage: &DynamoStorage,
    key: LogKey,
    project: Option<ProjectId>,
    step: Option<u32>,
) -> Result<Option<SentContext>, Error> {
    let segments = read_all(storage, key).await?;
    let events: Vec<Event> = segments.iter().flat_map(Segment::events).collect();
    let is_call = |event: &Event| event.body().and_then(Body::usage).is_some();
    let calls: Vec<usize> = (0..events.len()).filter(|at| is_call(&events[*at])).collect();
    let steps = u32::try_from(calls.len()).unwrap_or(u32::MAX);
    let step = step.unwrap_or(steps);
    let index = step.checked_sub(1).and_then(|index| usize::try_from(index).ok());
    let Some(at) = index.and_then(|index| calls.get(index)).copied() else { return Ok(None) };
    let Some(body) = events[at].body() else { return Ok(None) };
    let Some(usage) = body.usage() else { return Ok(None) };
    let state = state_before(&events[..at], usage)?;
    let request = request(storage, key, project, &state, body, usage).await?;
    Ok(Some(SentContext { step, steps, usage: usage.clone(), request }))
}

/// The state from which the request was made: no message that people sent later is in it. Whatever else follows the request
/// in the log before its usage is the response.
fn state_before(events: &[Event], usage: &Usage) -> Result<State, Error> {
    let mut state = State::of(events).map_err(Stopped::from)?;
    let told = usage.messages_told.map_or(usize::MAX, |told| told as usize);
    let late: BTreeSet<MessageId> = state.prompts.iter().skip(told).map(|prompt| prompt.id).collect();
    state.transcript.retain(|entry| !matches!(entry, TranscriptEntry::User { id, .. } if late.contains(id)));
    Ok(state)
}

async fn request(
    storage: &DynamoStorage,
    key: LogKey,
    project: Option<ProjectId>,
    state: &State,
    body: &Body,
    usage: &Usage,
) -> Result<SentRequest, Error> {
    let Some(record) = &usage.request else { return Ok(SentRequest::NotRecorded) };
    let Some(offer) = Offers::read(storage.store(), key.tenant, &record.offer).await? else {
        return Ok(SentRequest::NotRecorded);
    };
    let conversation = conversation(storage, key, project, state).await?;
    let purpose = Purpose::of_record(&record.purpose);
    let messages = match (purpose, body) {
        (Some(purpose), _) => prompt::messages(&conversation, purpose, offer.has_tools()),
        (None, Body::ContextCompacted(made)) => {
            let Some(covers) = made.covers else { return Ok(SentRequest::NotRecorded) };
            summary::messages(&conversation, covers, made.room)
        }
        // A summary that was not finished.
        (None, _) => return Ok(SentRequest::NotRecorded),
    };
    if digest_of(&messages) != record.messages || offer.digest() != record.offer {
        return Ok(SentRequest::Changed);
    }
    let output_schema = purpose.and_then(|purpose| output::schema(state, purpose));
    let of_client = purpose.filter(|_| offer.with_client_tools).map(|purpose| client_tools(state, purpose));
    Ok(SentRequest::Exact {
        system: prompt::complete_system(
            &offer.system,
            purpose.and_then(|_| prompt::notes(state)),
            output_schema,
        ),
        tools: offer.tools.into_iter().chain(of_client.unwrap_or_default()).collect(),
        must_call: purpose.is_some_and(Purpose::must_call),
        parameters: Box::new(purpose.map(|_| prompt::parameters(state)).unwrap_or_default()),
        output_schema: output_schema.cloned(),
        messages,
    })
}

async fn conversation(
    storage: &DynamoStorage,
    key: LogKey,
    project: Option<ProjectId>,
    state: &State,
) -> Result<Conversation, Error> {
    let earlier = match project {
        Some(project) => Earlier::read(storage, key, project, state).await?,
        None => Earlier::default(),
    };
    Ok(Conversation::of(earlier.turns, &earlier.compactions, state))
}
