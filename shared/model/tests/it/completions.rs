//! Frames of chat completions, and reading an answer to its end.

use futures::StreamExt;
use sequent_model::{Chunk, Client, Context, Error, FinishReason, Message, Request, Usage};
use serde_json::{Value, json};

use crate::server::{Act, answer, events};

pub(crate) fn frame(value: Value) -> String {
    format!("data: {value}\n\n")
}

pub(crate) fn delta(delta: Value) -> String {
    frame(json!({"choices": [{"index": 0, "delta": delta, "finish_reason": null}]}))
}

pub(crate) fn text(text: &str) -> String {
    delta(json!({"content": text}))
}

pub(crate) fn finish(reason: &str) -> String {
    frame(json!({"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]}))
}

pub(crate) fn usage() -> String {
    frame(json!({"choices": [], "usage": {
        "prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15,
        "prompt_tokens_details": {"cached_tokens": 4},
        "completion_tokens_details": {"reasoning_tokens": 2},
    }}))
}

pub(crate) const DONE: &str = "data: [DONE]\n\n";

pub(crate) fn complete_answer() -> Vec<u8> {
    events(&[text("Hel"), text("lo"), finish("stop"), usage(), DONE.into()])
}

pub(crate) const REPORTED: Usage = Usage {
    input_tokens: 10,
    output_tokens: 5,
    cached_input_tokens: 4,
    cache_write_tokens: 0,
    reasoning_tokens: 2,
    estimated: false,
};

pub(crate) fn ask(text: &str) -> Request {
    let model = "gpt-4o".parse().expect("a name");
    Request::new(model, vec![Message::user(text)])
}

type Answer = (String, Result<(FinishReason, Usage), Error>);

/// Returns the text and the end of an answer.
pub(crate) async fn read(client: &Client, request: Request) -> Answer {
    let mut chunks = match client.stream(request, Context::default()).await {
        Ok(chunks) => chunks,
        Err(error) => return (String::new(), Err(error)),
    };
    let mut text = String::new();
    while let Some(item) = chunks.next().await {
        match item {
            Ok(Chunk::TextDelta(more)) => text.push_str(&more),
            Ok(Chunk::Finished { finish_reason, usage }) => return (text, Ok((finish_reason, usage))),
            Ok(_) => {}
            Err(error) => return (text, Err(error)),
        }
    }
    panic!("the answer has no end");
}

/// A response that is JSON in place of an event stream.
pub(crate) fn json_answer(body: &Value) -> Vec<Act> {
    vec![answer("200 OK", "content-type: application/json\r\n", &body.to_string())]
}
