//! A model's response, turned into events piece by piece.

use sequent_core::{MessageId, ToolCallId};
use sequent_event::{
    Body, EncryptedValueOf, Role,
    size::{MAX_TEXT_BYTES, encoded_bytes, encoded_prefix},
};
use sequent_model::Chunk;

/// Bytes of the name of a called tool at most. No tool has a longer one, but a model may write anything.
const MAX_NAME: usize = 256;

/// The events of a response that is being streamed.
pub(crate) struct Response {
    /// The id of the response: its first text has this id, and its tool calls belong to it.
    id: MessageId,
    has_text: bool,
    text: Option<MessageId>,
    reasoning: Option<MessageId>,
    calls: Vec<OpenCall>,
}

/// A tool call whose arguments are being streamed. Providers' ids are at best unique within a response, so
/// each call gets an id of ours.
struct OpenCall {
    provider_id: String,
    id: ToolCallId,
}

impl Response {
    pub(crate) fn new() -> Self {
        Self { id: MessageId::new(), has_text: false, text: None, reasoning: None, calls: Vec::new() }
    }

    /// The events of a chunk. The last chunk has none: [`Response::end`] returns those of the end.
    pub(crate) fn push(&mut self, chunk: Chunk) -> Vec<Body> {
        match chunk {
            Chunk::TextDelta(delta) => self.text(delta),
            Chunk::ReasoningDelta(delta) => self.reasoning(delta),
            Chunk::ToolCallStart { id, name } => self.start_call(id, name),
            Chunk::ToolCallDelta { id, arguments } => self.arguments(&id, arguments),
            Chunk::ProviderData { call_id, data } => self.provider_data(call_id.as_deref(), data),
            Chunk::ToolCallEnd { id } => self.end_call(&id),
            Chunk::Finished { .. } => Vec::new(),
        }
    }

    /// The events of a piece of text. It ends the reasoning before it.
    fn text(&mut self, delta: String) -> Vec<Body> {
        let mut bodies = self.end_reasoning();
        let message_id = *self.text.get_or_insert_with(|| {
            let message_id = if self.has_text { MessageId::new() } else { self.id };
            self.has_text = true;
            bodies.push(Body::TextMessageStart { message_id, role: Role::Assistant });
            message_id
        });
        bodies.push(Body::TextMessageContent { message_id, delta });
        bodies
    }

    fn reasoning(&mut self, delta: String) -> Vec<Body> {
        let mut bodies = self.end_text();
        let message_id = *self.reasoning.get_or_insert_with(|| {
            let message_id = MessageId::new();
            bodies.push(Body::ReasoningStart { message_id });
            bodies.push(Body::ReasoningMessageStart { message_id, role: Role::Reasoning });
            message_id
        });
        bodies.push(Body::ReasoningMessageContent { message_id, delta });
        bodies
    }

    fn start_call(&mut self, provider_id: String, name: String) -> Vec<Body> {
        let mut bodies = self.end_reasoning();
        bodies.extend(self.end_text());
        let id = ToolCallId::new();
        let name = encoded_prefix(&name, MAX_NAME).to_owned();
        self.calls.push(OpenCall { provider_id, id });
        bodies.push(Body::ToolCallStart {
            tool_call_id: id.to_string(),
            tool_call_name: name,
            parent_message_id: Some(self.id),
        });
        bodies
    }

    fn arguments(&self, provider_id: &str, delta: String) -> Vec<Body> {
        let call = self.calls.iter().find(|call| call.provider_id == provider_id);
        call.map(|call| Body::ToolCallArgs { tool_call_id: call.id.to_string(), delta }).into_iter().collect()
    }

    fn end_call(&mut self, provider_id: &str) -> Vec<Body> {
        let index = self.calls.iter().position(|call| call.provider_id == provider_id);
        index.map(|index| call_end(&self.calls.remove(index))).into_iter().collect()
    }

    /// The events of data that the model gets back with its reasoning or its call. Data of the reasoning ends its block, and
    /// data without a block of its own gets one.
    fn provider_data(&mut self, call: Option<&str>, data: String) -> Vec<Body> {
        if encoded_bytes(&data) > MAX_TEXT_BYTES {
            tracing::warn!(
                bytes = data.len(),
                "the data of a model's provider is too long for the log; it is not kept"
            );
            return Vec::new();
        }
        let Some(provider_id) = call else { return self.reasoning_data(data) };
        let call = self.calls.iter().find(|call| call.provider_id == provider_id);
        call.map(|call| encrypted(EncryptedValueOf::ToolCall, call.id.to_string(), data))
            .into_iter()
            .collect()
    }

    fn reasoning_data(&mut self, data: String) -> Vec<Body> {
        let value =
            |message_id: MessageId| encrypted(EncryptedValueOf::Message, message_id.to_string(), data);
        if let Some(message_id) = self.reasoning {
            let mut bodies = vec![value(message_id)];
            bodies.extend(self.end_reasoning());
            return bodies;
        }
        let message_id = MessageId::new();
        let mut bodies = self.end_text();
        bodies.extend([
            Body::ReasoningStart { message_id },
            value(message_id),
            Body::ReasoningEnd { message_id },
        ]);
        bodies
    }

    /// The events that end everything that is open.
    pub(crate) fn end(&mut self) -> Vec<Body> {
        let mut bodies = self.end_reasoning();
        bodies.extend(self.end_text());
        bodies.extend(self.calls.drain(..).map(|call| call_end(&call)));
        bodies
    }

    fn end_text(&mut self) -> Vec<Body> {
        self.text.take().map(|message_id| Body::TextMessageEnd { message_id }).into_iter().collect()
    }

    fn end_reasoning(&mut self) -> Vec<Body> {
        let ended = self.reasoning.take();
        ended.map_or_else(Vec::new, |message_id| {
            vec![Body::ReasoningMessageEnd { message_id }, Body::ReasoningEnd { message_id }]
        })
    }
}

fn encrypted(subtype: EncryptedValueOf, entity_id: String, encrypted_value: String) -> Body {
    Body::ReasoningEncryptedValue { subtype, entity_id, encrypted_value }
}

fn call_end(call: &OpenCall) -> Body {
    Body::ToolCallEnd { tool_call_id: call.id.to_string() }
}
