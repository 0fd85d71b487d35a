//! The demo provider, which answers when no model is configured: deterministic, clearly labelled, and nearly
//! free.
//!
//! The answer is a pure function of the request: the same conversation gives the same chunks. It quotes the
//! person's message and states that no model was involved. The contract of real models applies, including
//! timeouts, but the demo is never retried, because it would fail again.
//!
//! # Directives
//!
//! A line of the last user message that starts with `/demo` scripts the answer, for tests and benchmarks. If
//! the demo responds several times to one message, because it calls tools, each response has a line of its
//! own:
//!
//! ```text
//! /demo tool=web_fetch args={"url":"https://example.com/"}
//! /demo tokens=500 rate=50
//! ```
//!
//! | directive | effect |
//! |---|---|
//! | `tokens=N` | exactly N text chunks of one token each, up to 100,000 |
//! | `rate=R` | R tokens a second, including reasoning; 0 is as fast as possible; default `DEMO_TOKENS_PER_SECOND` |
//! | `delay_first=MS` | milliseconds before the first chunk |
//! | `reasoning=N` | N reasoning chunks before the text |
//! | `fail_after=N` | fails after N text tokens, with `error` |
//! | `error=E` | `unavailable` (default), `rate_limited`, `overloaded`, `garbage` or `truncated` |
//! | `hang_after=N` | sends nothing more after N text tokens |
//! | `finish=F` | finish reason `stop` (default), `length` or `content_filter` |
//! | `usage=none` | reports no usage, so that it is estimated |
//! | `tool=NAME` | calls the tool NAME after the text, if the request offers it |
//! | `args=JSON` | the arguments of the tool before, without spaces (write `\u0020`); default `{}` |
//!
//! Several tools in a line are called in parallel. After the last line, the answer quotes the last result of
//! a tool. If the request requires a tool call and no line names a tool, the first tool is called with the
//! first example of its schema.

mod answer;
mod script;

use std::time::Duration;

use futures::{StreamExt, stream};
use tokio::time::{Instant, sleep_until};

use crate::{Error, Message, Part, Request, Role, chunk::RawStream};
use answer::{Answer, Step};
use script::Script;

/// The name of the provider in [`ModelInfo`](crate::ModelInfo).
pub const PROVIDER: &str = "demo";

/// Opens the answer to `request`, with `rate` tokens a second unless the script contains a rate.
pub(crate) fn open(request: &Request, rate: u32) -> Result<RawStream, Error> {
    let prompt = last_user_text(&request.messages);
    let result = pending_result(&request.messages);
    let current = request.messages.iter().rev().take_while(|message| message.role != Role::User);
    let responses = current.filter(|message| message.role == Role::Assistant).count();
    let script = Script::find(&prompt, responses)?;
    let scripted_rate = script.rate.unwrap_or(rate);
    let delay = script.delay_first;
    let answer = Answer::new(request, &prompt, result, script);
    Ok(paced(answer, scripted_rate, delay))
}

/// Plays the answer on a fixed schedule, so that a slow reader or a coarse timer does not delay later tokens.
fn paced(answer: Answer, rate: u32, delay: Duration) -> RawStream {
    let start = Instant::now() + delay;
    let due = move |token: u64| {
        let offset = match rate {
            0 => Duration::ZERO,
            rate => Duration::from_nanos(token * 1_000_000_000 / u64::from(rate)),
        };
        start + offset
    };
    stream::unfold((answer, 0_u64), move |(mut answer, token)| async move {
        let step = answer.next_step();
        if rate > 0 || token == 0 {
            sleep_until(due(token)).await;
        } else {
            // Without a timer, a fast answer would never let another task run.
            tokio::task::coop::consume_budget().await;
        }
        match step {
            Step::Send(raw, tokens) => Some((Ok(raw), (answer, token + tokens))),
            Step::Fail(error) => Some((Err(error), (answer, token))),
            Step::Cut => None,
            Step::Hang => std::future::pending().await,
        }
    })
    .boxed()
}

fn last_user_text(messages: &[Message]) -> String {
    let last = messages.iter().rfind(|message| message.role == Role::User);
    let texts = last.into_iter().flat_map(|message| message.texts());
    texts.collect::<Vec<_>>().join("\n")
}

/// The last tool result after the last user message.
fn pending_result(messages: &[Message]) -> Option<&str> {
    let current = messages.iter().rev().take_while(|message| message.role != Role::User);
    let mut parts = current.flat_map(|message| message.parts.iter().rev());
    parts.find_map(|part| match part {
        Part::ToolResult(result) => Some(result.content.as_str()),
        _ => None,
    })
}

#[cfg(test)]
mod tests;
