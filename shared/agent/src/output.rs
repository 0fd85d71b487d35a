//! Answers that are JSON of a schema, which the caller of the run asked for.
//!
//! Few models keep to a schema in each case, so the whole answer is checked here. The first response that does not match is
//! taken back and the model is told what is wrong with it; a second one ends the run with an error.

use sequent_core::MessageId;
use sequent_event::{Body, State, TranscriptEntry, size::encoded_prefix};
use sequent_tool::Schema;
use serde_json::Value;

use crate::next::Purpose;

/// The error of a run whose answers do not match the schema.
pub(crate) const INVALID: &str = "output_invalid";
/// Bytes of a rejected response that the model reads again.
const MAX_TEXT: usize = 40_000;
/// Bytes of the description of what is wrong.
const MAX_ERRORS: usize = 4_000;

/// Returns the schema of the responses for this purpose, if there is one. A response to a request for a plan may be the
/// answer.
pub(crate) fn schema(state: &State, purpose: Purpose) -> Option<&Value> {
    let is_answer = matches!(purpose, Purpose::Answer | Purpose::Plan | Purpose::Conclude);
    state.configuration.output_schema.as_deref().filter(|_| is_answer)
}

/// Returns the instructions for such a response.
pub(crate) fn instructions(schema: &Value) -> String {
    format!(
        "Your final answer is read by a program. It must be one JSON document that matches the JSON Schema below, and nothing \
         else: no words before or after it, and no code fence.\n{schema}"
    )
}

/// Returns the message to the model about a response that was rejected.
pub(crate) fn correction(errors: &str) -> String {
    format!(
        "This answer does not match the JSON Schema: {errors}. Answer again, with the corrected JSON document only."
    )
}

/// Checks the last response of a run against its schema.
///
/// # Errors
/// A text for the model that says what is wrong. Runs without a schema have no error.
pub(crate) fn check(state: &State) -> Result<(), String> {
    let Some(document) = state.configuration.output_schema.as_deref() else { return Ok(()) };
    let Some(TranscriptEntry::Assistant { text, .. }) = state.transcript.last() else { return Ok(()) };
    let answer: Value = serde_json::from_str(text).map_err(|error| format!("it is not JSON ({error})"))?;
    // It was compiled when the run was created.
    let Ok(schema) = Schema::new(document) else { return Ok(()) };
    schema.check(&answer)
}

/// Returns `true` if the response before the next one was rejected.
pub(crate) fn was_rejected(state: &State) -> bool {
    matches!(state.transcript.last(), Some(TranscriptEntry::Rejected { .. }))
}

/// Takes a response back: the events that are written around the one of its usage. `drafted` is the state before that event.
pub(crate) fn rejection(drafted: &State, errors: &str) -> (Vec<Body>, Body) {
    let texts = drafted.draft.iter().flat_map(|draft| &draft.texts);
    let ids: Vec<MessageId> = texts.clone().map(|text| text.id).collect();
    let text: String = texts.map(|text| text.text.as_str()).collect();
    let abandoned = ids.into_iter().map(|message_id| Body::MessageAbandoned { message_id }).collect();
    let rejected = Body::OutputRejected {
        text: encoded_prefix(&text, MAX_TEXT).to_owned(),
        errors: encoded_prefix(errors, MAX_ERRORS).to_owned(),
    };
    (abandoned, rejected)
}
