//! The stand-in that answers when no model is configured: deterministic, clearly labelled, and nearly free.
//!
//! The answer is a pure function of the request: the same conversation gives the same chunks. It quotes what the person said and says that
//! no model was involved. It passes through the same contract as real models, timeouts included, but is never retried: it would fail again.
//!
//! # Directives
//!
//! A line of the last user message that begins with `/demo` scripts the answer, for tests and benchmarks. Where the demo responds
//! several times to one message, because it calls tools, each response has a line of its own:
//!
//! ```text
//! /demo tool=web_fetch args={"url":"https://example.com/"}
//! /demo tokens=500 rate=50
//! ```
//!
//! | directive | effect |
//! |---|---|
//! | `tokens=N` | exactly N text chunks of one token each, up to 100,000 |
//! | `rate=R` | R tokens a second, reasoning included; 0 is as fast as possible; default `DEMO_TOKENS_PER_SECOND` |
//! | `delay_first=MS` | milliseconds of silence before the first chunk |
//! | `reasoning=N` | N reasoning chunks before the text |
//! | `fail_after=N` | fails after N text tokens, with `error` |
//! | `error=E` | `unavailable` (default), `rate_limited`, `overloaded`, `garbage` or `truncated` |
//! | `hang_after=N` | falls silent after N text tokens |
//! | `finish=F` | finish reason `stop` (default), `length` or `content_filter` |
//! | `usage=none` | reports no usage, so that it is estimated |
//! | `tool=NAME` | calls the tool NAME after the text, if the request offers it |
//! | `args=JSON` | the arguments of the tool named before, without spaces (`\u0020` is one); default `{}` |
//!
//! Several tools in a line are called at once. Behind the last line the script is done, and the answer quotes what a tool gave. Where a
//! tool must be called and no line says which, it is the first one, with the first example that its schema gives.

mod answer;
mod script;

use std::time::Duration;

use futures::{StreamExt, stream};
use tokio::time::{Instant, sleep_until};

use crate::{Error, Message, Part, Request, Role, chunk::RawStream};
use answer::{Answer, Step};
use script::Script;

/// The provider's name in [`ModelInfo`](crate::ModelInfo).
pub const PROVIDER: &str = "demo";

/// The answer to `request`, at `rate` tokens a second unless the request says otherwise.
pub(crate) fn open(request: &Request, rate: u32) -> Result<RawStream, Error> {
    let said = last_user_text(&request.messages);
    let result = pending_result(&request.messages);
    let current = request.messages.iter().rev().take_while(|message| message.role != Role::User);
    let responses = current.filter(|message| message.role == Role::Assistant).count();
    let script = Script::find(&said, responses)?;
    let rate = script.rate.unwrap_or(rate);
    let silence = script.delay_first;
    let answer = Answer::new(request, &said, result, script);
    Ok(paced(answer, rate, silence))
}

/// Plays the answer on a fixed timetable, so that a slow reader or a coarse timer never makes it drift.
fn paced(answer: Answer, rate: u32, silence: Duration) -> RawStream {
    let began = Instant::now() + silence;
    let due = move |token: u64| {
        let late = match rate {
            0 => Duration::ZERO,
            rate => Duration::from_nanos(token * 1_000_000_000 / u64::from(rate)),
        };
        began + late
    };
    stream::unfold((answer, 0_u64), move |(mut answer, token)| async move {
        let step = answer.next_step();
        if rate > 0 || token == 0 {
            sleep_until(due(token)).await;
        } else {
            // Without a timer in the way a fast answer would never let another task run.
            tokio::task::coop::consume_budget().await;
        }
        match step {
            Step::Say(raw, tokens) => Some((Ok(raw), (answer, token + tokens))),
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
