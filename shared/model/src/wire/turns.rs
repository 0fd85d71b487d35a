//! The conversation in the form that every model server accepts.
//!
//! Servers refuse blank texts, two turns of the same side in a row, calls without results, results without calls, and a
//! conversation that begins or ends with the model. A request that is refused once would be refused for ever, because the
//! conversation stays as it is.

use std::collections::HashMap;

use serde_json::Value;

use super::{Omitted, Parameter, json::Object, provider_data, tool_names::accepted_name};
use crate::{AttachedFile, Message, ModelName, Origin, Part, Request, Role, ToolCall, ToolResult};

/// A turn. The sides alternate, and a person's side is first and last.
#[derive(Debug, PartialEq)]
pub(super) enum WireTurn {
    /// The results of the calls in the turn before, in the order of the calls, then the files and the text of people. Models
    /// work best if files come before the text (Anthropic, "Vision" and "PDF support").
    User { results: Vec<ToolResult>, files: Vec<AttachedFile>, text: String },
    /// The parts of the model, which is at least a text or a call. Without reasoning, that is one text and then the calls.
    /// With reasoning, the order is the model's own.
    Assistant(Vec<WirePart>),
}

/// A part of the model's turn.
#[derive(Debug, PartialEq)]
pub(super) enum WirePart {
    /// Never empty. The texts of a turn are joined without anything between them.
    Text(String),
    /// Reasoning of the model that the request is for.
    Reasoning(WireReasoning),
    Call(WireCall),
}

/// Reasoning, with the data that its provider sent with it.
#[derive(Debug, PartialEq)]
pub(super) struct WireReasoning {
    pub(super) text: String,
    pub(super) data: Object,
}

/// A call, with the data that its provider sent with it.
#[derive(Debug, PartialEq)]
pub(super) struct WireCall {
    /// The id on the wire: the provider's own, if the model of the request made the call and the id is unique.
    pub(super) id: String,
    /// A name that every server accepts. The model may have called a tool that does not exist.
    pub(super) name: String,
    /// The arguments as the model wrote them.
    pub(super) arguments: String,
    pub(super) data: Object,
}

impl WireCall {
    /// Returns the arguments as an object, which some protocols accept alone. The model must still see a call that is not valid.
    pub(super) fn input(&self) -> Object {
        serde_json::from_str(&self.arguments).unwrap_or_else(|_| {
            let invalid = (!self.arguments.trim().is_empty()).then(|| self.arguments.as_str().into());
            invalid.map(|arguments| ("invalid_arguments".to_owned(), arguments)).into_iter().collect()
        })
    }

    /// Returns the text of [`WireCall::input`], which is what the model wrote if that is an object. Servers of other protocols
    /// parse the text, and refuse a request whose history has one that is no object.
    pub(super) fn input_text(&self) -> String {
        match serde_json::from_str::<Object>(&self.arguments) {
            Ok(_) => self.arguments.clone(),
            Err(_) => Value::Object(self.input()).to_string(),
        }
    }
}

impl WireTurn {
    fn of_person(text: &str) -> Self {
        Self::User { results: Vec::new(), files: Vec::new(), text: text.to_owned() }
    }
}

impl WirePart {
    pub(super) fn text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    pub(super) fn reasoning(&self) -> Option<&WireReasoning> {
        if let Self::Reasoning(reasoning) = self { Some(reasoning) } else { None }
    }

    pub(super) fn call(&self) -> Option<&WireCall> {
        if let Self::Call(call) = self { Some(call) } else { None }
    }
}

/// The text of a first turn whose conversation begins with the model.
const OMITTED: &str = "(The beginning of the conversation is left out.)";
/// The text of a last turn whose conversation ends with the model.
const CONTINUE: &str = "Continue.";
/// The result of a call that was never carried out, because its run ended before.
const NOT_CARRIED_OUT: &str = "The call was not carried out.";
const BETWEEN_MESSAGES: &str = "\n\n";

/// Returns the turns of a request's conversation. Neighbouring texts of one side are joined, so that a turn which was never
/// answered is a part of the next one.
pub(super) fn of(request: &Request, omitted: &Omitted) -> Vec<WireTurn> {
    let model = (!omitted.has(Parameter::Reasoning)).then_some(&request.model);
    let mut turns = Turns { model, turns: Vec::new() };
    for message in &request.messages {
        match message.role {
            Role::Assistant => turns.add_response(message),
            Role::User | Role::Tool => turns.add_input(message),
        }
    }
    let mut turns = turns.turns;
    if !matches!(turns.first(), Some(WireTurn::User { .. })) {
        turns.insert(0, WireTurn::of_person(OMITTED));
    }
    if matches!(turns.last(), Some(WireTurn::Assistant(_))) {
        turns.push(WireTurn::of_person(""));
    }
    turns.iter_mut().for_each(order);
    pair_results(&mut turns);
    let own = model.map(|model| own_ids(request, model)).unwrap_or_default();
    map_ids(&mut turns, |id| {
        if let Some(own) = own.get(id.as_str()) {
            id.clone_from(own);
        }
    });
    turns
}

/// The turns of a request for `model`, as far as its messages have been read. Without a model, nothing goes back to it.
struct Turns<'a> {
    model: Option<&'a ModelName>,
    turns: Vec<WireTurn>,
}

impl Turns<'_> {
    fn add_response(&mut self, message: &Message) {
        let has_words = message.parts.iter().filter_map(Part::text).any(|text| !text.trim().is_empty());
        let has_calls = message.parts.iter().any(|part| part.tool_call().is_some());
        if !has_words && !has_calls {
            return;
        }
        if !matches!(self.turns.last(), Some(WireTurn::Assistant(_))) {
            self.turns.push(WireTurn::Assistant(Vec::new()));
        }
        let model = self.model;
        let Some(WireTurn::Assistant(turn)) = self.turns.last_mut() else { return };
        let follows_words = has_words && turn.iter().any(|part| part.text().is_some());
        let texts = message.parts.iter().filter(|part| has_words || part.text().is_none());
        let mut parts: Vec<WirePart> = texts.filter_map(|part| wire_part(part, model)).collect();
        let first = parts.iter_mut().find_map(|part| match part {
            WirePart::Text(text) => Some(text),
            _ => None,
        });
        if let Some(first) = first.filter(|_| follows_words) {
            first.insert_str(0, BETWEEN_MESSAGES);
        }
        turn.append(&mut parts);
    }

    fn add_input(&mut self, message: &Message) {
        let written = text_of(message);
        let brought: Vec<ToolResult> = message.parts.iter().filter_map(Part::tool_result).cloned().collect();
        let attached: Vec<AttachedFile> =
            message.parts.iter().filter_map(Part::shown_file).cloned().collect();
        if written.is_empty() && brought.is_empty() && attached.is_empty() {
            return;
        }
        if let Some(WireTurn::User { results, files, text }) = self.turns.last_mut() {
            join(text, &written);
            results.extend(brought);
            files.extend(attached);
        } else {
            self.turns.push(WireTurn::User { results: brought, files: attached, text: written });
        }
    }
}

/// Returns a part of a response. Reasoning and data of another model are left out: it means nothing to this one.
fn wire_part(part: &Part, model: Option<&ModelName>) -> Option<WirePart> {
    let is_own = |origin: &Origin| model.is_some_and(|model| origin.is(model));
    match part {
        Part::Text { text } => (!text.is_empty()).then(|| WirePart::Text(text.clone())),
        Part::Reasoning(reasoning) => is_own(&reasoning.origin).then(|| {
            let data = provider_data::fields(reasoning.origin.data.as_deref());
            WirePart::Reasoning(WireReasoning { text: reasoning.text.clone(), data })
        }),
        Part::ToolCall(call) => {
            let ToolCall { id, name, arguments, origin } = call.clone();
            let name = accepted_name(&name).into_owned();
            let own = origin.filter(is_own);
            let data = provider_data::fields(own.and_then(|origin| origin.data).as_deref());
            Some(WirePart::Call(WireCall { id, name, arguments, data }))
        }
        Part::ToolResult(_) | Part::File(_) => None,
    }
}

/// Puts the texts before the calls, as one text, unless the turn has reasoning.
fn order(turn: &mut WireTurn) {
    let WireTurn::Assistant(parts) = turn else { return };
    if parts.iter().any(|part| part.reasoning().is_some()) {
        return;
    }
    let text: String = parts.iter().filter_map(WirePart::text).collect();
    parts.retain(|part| part.call().is_some());
    if !text.is_empty() {
        parts.insert(0, WirePart::Text(text));
    }
}

/// Gives each call the one result after it, and drops results of calls that are not in the turn before.
fn pair_results(turns: &mut [WireTurn]) {
    let mut calls: Vec<String> = Vec::new();
    let last = turns.len().saturating_sub(1);
    for (at, turn) in turns.iter_mut().enumerate() {
        match turn {
            WireTurn::Assistant(parts) => {
                calls = parts.iter().filter_map(WirePart::call).map(|call| call.id.clone()).collect();
            }
            WireTurn::User { results, files, text } => {
                let result = |call_id: String| {
                    let found = results.iter().find(|result| result.call_id == call_id);
                    let content = found.map_or(NOT_CARRIED_OUT, |result| result.content.as_str()).to_owned();
                    ToolResult { call_id, content }
                };
                *results = calls.drain(..).map(result).collect();
                if results.is_empty() && files.is_empty() && text.is_empty() {
                    *text = if at == last { CONTINUE } else { OMITTED }.to_owned();
                }
            }
        }
    }
}

/// Returns the provider's own ids of the calls that the model of the request made, by our ids. An id that two calls have is
/// left out: some servers number the calls of each answer alike.
fn own_ids<'r>(request: &'r Request, model: &ModelName) -> HashMap<&'r str, String> {
    let calls = || request.messages.iter().flat_map(|message| &message.parts).filter_map(Part::tool_call);
    let own_id = |call: &ToolCall| {
        let origin = call.origin.as_ref().filter(|origin| origin.is(model))?;
        let id = provider_data::fields(origin.data.as_deref()).remove(provider_data::ID)?;
        id.as_str().map(str::to_owned)
    };
    let mut uses: HashMap<String, usize> = HashMap::new();
    for call in calls() {
        let ids = own_id(call).filter(|own| *own != call.id).into_iter().chain([call.id.clone()]);
        ids.for_each(|id| *uses.entry(id).or_default() += 1);
    }
    calls().filter_map(|call| Some((call.id.as_str(), own_id(call).filter(|own| uses[own] == 1)?))).collect()
}

/// Calls `map` for the id of each call and of each result.
pub(super) fn map_ids(turns: &mut [WireTurn], map: impl Fn(&mut String)) {
    for turn in turns {
        match turn {
            WireTurn::User { results, .. } => results.iter_mut().for_each(|result| map(&mut result.call_id)),
            WireTurn::Assistant(parts) => {
                let calls = parts.iter_mut().filter_map(|part| match part {
                    WirePart::Call(call) => Some(&mut call.id),
                    _ => None,
                });
                calls.for_each(&map);
            }
        }
    }
}

/// Returns the texts of a message that are not blank.
fn text_of(message: &Message) -> String {
    let mut joined = String::new();
    message.parts.iter().filter_map(Part::text).for_each(|text| join(&mut joined, text));
    joined
}

fn join(text: &mut String, more: &str) {
    if more.trim().is_empty() {
        return;
    }
    if !text.is_empty() {
        text.push_str(BETWEEN_MESSAGES);
    }
    text.push_str(more);
}

#[cfg(test)]
mod tests;
