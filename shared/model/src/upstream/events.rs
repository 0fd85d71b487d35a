//! Converts the events of the crate `genai` to chunks.

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures::Stream;
use genai::{
    adapter::AdapterKind,
    chat::{ChatStream, ChatStreamEvent, StopReason, StreamEnd, ToolCall, Usage as Reported},
};
use serde_json::Value;
use tracing::Dispatch;

use crate::{Chunk, Error, FinishReason, Usage, chunk::Raw};

use super::{
    failure::{self, Redact},
    frames::Frames,
};

/// The stream of an answer of a real provider.
pub(super) struct Events {
    inner: ChatStream,
    frames: Arc<Frames>,
    redact: Redact,
    calls: Calls,
    queue: VecDeque<Result<Raw, Error>>,
    over: bool,
}

impl Events {
    pub(super) fn new(inner: ChatStream, kind: AdapterKind, frames: Arc<Frames>, redact: Redact) -> Self {
        Self { inner, frames, redact, calls: Calls::new(kind), queue: VecDeque::new(), over: false }
    }

    fn take(&mut self, event: ChatStreamEvent) {
        match event {
            // Reported before the request is sent.
            ChatStreamEvent::Start => {}
            ChatStreamEvent::Chunk(chunk) => self.send(Chunk::TextDelta(chunk.content)),
            ChatStreamEvent::ReasoningChunk(chunk) => {
                self.send(Chunk::ReasoningDelta(chunk.content));
            }
            ChatStreamEvent::ToolCallChunk(chunk) => match self.calls.take(chunk.tool_call) {
                Ok(chunks) => chunks.into_iter().for_each(|chunk| self.send(chunk)),
                Err(error) => self.fail(error),
            },
            ChatStreamEvent::ThoughtSignatureChunk(_) | ChatStreamEvent::Heartbeat => {
                self.queue.push_back(Ok(Raw::Alive));
            }
            ChatStreamEvent::End(StreamEnd {
                captured_stop_reason: Some(reason), captured_usage, ..
            }) => self.finish(reason, captured_usage),
            // An end marker without a reason is not the end of an answer.
            ChatStreamEvent::End(_) => self.fail(Error::Truncated),
        }
    }

    fn send(&mut self, chunk: Chunk) {
        let empty = match &chunk {
            Chunk::TextDelta(text) | Chunk::ReasoningDelta(text) => text.is_empty(),
            Chunk::ToolCallDelta { arguments, .. } => arguments.is_empty(),
            _ => false,
        };
        if !empty {
            self.queue.push_back(Ok(Raw::Chunk(chunk)));
        }
    }

    fn finish(&mut self, reason: StopReason, usage: Option<Reported>) {
        for id in self.calls.ids() {
            self.queue.push_back(Ok(Raw::Chunk(Chunk::ToolCallEnd { id })));
        }
        self.queue.push_back(Ok(Raw::Finished {
            finish_reason: finish_reason(&reason),
            usage: usage.and_then(|usage| reported_usage(&usage)),
        }));
        self.over = true;
    }

    fn fail(&mut self, error: Error) {
        self.queue.push_back(Err(error));
        self.over = true;
    }

    /// Handles the end of the connection without a reported end of the answer.
    fn close(&mut self) {
        match self.frames.finish() {
            Some(finish) => self.finish(finish.reason, finish.usage),
            None if self.frames.only_noise() => {
                self.fail(Error::InvalidAnswer("the answer contains no event".into()));
            }
            None => self.fail(Error::Truncated),
        }
    }
}

impl Stream for Events {
    type Item = Result<Raw, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        loop {
            if let Some(item) = this.queue.pop_front() {
                return Poll::Ready(Some(item));
            }
            if this.over {
                return Poll::Ready(None);
            }
            // Logging is off, because the crate logs the answers of providers, which can contain prompts and
            // parts of keys.
            let polled = tracing::dispatcher::with_default(&Dispatch::none(), || {
                Pin::new(&mut this.inner).poll_next(cx)
            });
            if this.frames.has_nameless_event() {
                this.fail(Error::InvalidAnswer("an event has no name".into()));
                continue;
            }
            match polled {
                Poll::Ready(Some(Ok(event))) => this.take(event),
                Poll::Ready(Some(Err(error))) => {
                    let error = failure::classify(error, &this.redact);
                    // A connection that is lost after the finish reason has delivered the complete answer.
                    match this.frames.finish() {
                        Some(finish) if error.retryable() => {
                            this.finish(finish.reason, finish.usage);
                        }
                        _ => this.fail(error),
                    }
                }
                Poll::Ready(None) => this.close(),
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

fn finish_reason(reason: &StopReason) -> FinishReason {
    match reason {
        StopReason::Completed(_) | StopReason::StopSequence(_) => FinishReason::Stop,
        StopReason::MaxTokens(_) => FinishReason::Length,
        StopReason::ToolCall(_) => FinishReason::ToolCalls,
        StopReason::ContentFilter(_) => FinishReason::ContentFilter,
        StopReason::Other(_) => FinishReason::Other,
    }
}

/// Returns `None` if the report contains no numbers.
fn reported_usage(usage: &Reported) -> Option<Usage> {
    let count = |tokens: Option<i32>| u64::try_from(tokens.unwrap_or(0)).unwrap_or(0);
    if usage.prompt_tokens.is_none() && usage.completion_tokens.is_none() {
        return None;
    }
    let input = usage.prompt_tokens_details.as_ref();
    let output = usage.completion_tokens_details.as_ref();
    Some(Usage {
        input_tokens: count(usage.prompt_tokens),
        output_tokens: count(usage.completion_tokens),
        cached_input_tokens: count(input.and_then(|details| details.cached_tokens)),
        reasoning_tokens: count(output.and_then(|details| details.reasoning_tokens)),
        estimated: false,
    })
}

/// Tool calls in progress.
///
/// The crate reports them like the providers: Anthropic's calls with all arguments so far, and OpenAI's with
/// the new piece only. Later pieces of OpenAI's calls have no name and, instead of the call's id, `call_N`
/// with its index N.
struct Calls {
    cumulative: bool,
    open: Vec<OpenCall>,
}

struct OpenCall {
    id: String,
    /// Bytes of arguments that were sent.
    sent: usize,
}

/// Calls of a response at most: more than any model makes.
const MAX_CALLS: usize = 128;

impl Calls {
    fn new(kind: AdapterKind) -> Self {
        Self { cumulative: kind == AdapterKind::Anthropic, open: Vec::new() }
    }

    fn ids(&mut self) -> impl Iterator<Item = String> + use<> {
        std::mem::take(&mut self.open).into_iter().map(|call| call.id)
    }

    fn take(&mut self, call: ToolCall) -> Result<Vec<Chunk>, Error> {
        let arguments = match call.fn_arguments {
            Value::String(text) => text,
            other => other.to_string(),
        };
        let mut chunks = Vec::new();
        let at = match self.find(&call.call_id, &call.fn_name) {
            Some(at) => at,
            None if call.fn_name.is_empty() => {
                return Err(Error::InvalidAnswer("a tool call has no name".into()));
            }
            None if self.open.len() == MAX_CALLS => {
                return Err(Error::InvalidAnswer("the answer has too many tool calls".into()));
            }
            None => {
                let id = match call.call_id.as_str() {
                    "" => format!("call_{}", self.open.len()),
                    id => id.to_owned(),
                };
                chunks.push(Chunk::ToolCallStart { id: id.clone(), name: call.fn_name });
                self.open.push(OpenCall { id, sent: 0 });
                self.open.len() - 1
            }
        };
        let open = &mut self.open[at];
        let from = if self.cumulative { open.sent } else { 0 };
        let new = arguments
            .get(from..)
            .ok_or_else(|| Error::InvalidAnswer("the arguments of a tool call became shorter".into()))?;
        open.sent += new.len();
        chunks.push(Chunk::ToolCallDelta { id: open.id.clone(), arguments: new.to_owned() });
        Ok(chunks)
    }

    fn find(&self, id: &str, name: &str) -> Option<usize> {
        if id.is_empty() {
            let last = self.open.len().checked_sub(1);
            return last.filter(|_| name.is_empty());
        }
        let known = self.open.iter().position(|call| call.id == id);
        known.or_else(|| {
            let index: usize = id.strip_prefix("call_")?.parse().ok()?;
            (name.is_empty() && index < self.open.len()).then_some(index)
        })
    }
}

#[cfg(test)]
mod tests;
