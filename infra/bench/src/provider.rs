//! A model provider that responds at once and stamps each token with the time at which it was sent: an
//! OpenAI-compatible server in this process, so that both ends use the same clock.
//!
//! The last `/bench tokens=N rate=R delay=MS` in the request scripts the response: MS milliseconds of
//! silence, as a model needs to read the prompt, then N tokens at R per second.

use std::{
    convert::Infallible,
    net::{Ipv4Addr, SocketAddr},
    sync::LazyLock,
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures::stream;
use http::{Request, Response, header};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::net::TcpListener;

static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Unit of a stamp.
const TICK: Duration = Duration::from_micros(100);
/// The digits of a stamp. With its space it has five characters, like an average token of English text, because the
/// cost of a turn depends on its size.
const DIGITS: u32 = 4;
/// The number of different stamps: they repeat after nearly three minutes.
const STAMPS: u64 = 36_u64.pow(DIGITS);

/// The script of a response.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Script {
    pub(crate) tokens: u32,
    pub(crate) rate: u32,
    pub(crate) delay_ms: u64,
}

impl Script {
    /// Returns the message that requests it.
    pub(crate) fn message(self) -> String {
        let Self { tokens, rate, delay_ms } = self;
        format!("/bench tokens={tokens} rate={rate} delay={delay_ms} end")
    }

    fn find(body: &str) -> Option<Self> {
        let (_, script) = body.rsplit_once("/bench ")?;
        let number = |name: &str| {
            script.split_whitespace().find_map(|word| word.strip_prefix(name)?.parse::<u32>().ok())
        };
        Some(Self { tokens: number("tokens=")?, rate: number("rate=")?, delay_ms: number("delay=")?.into() })
    }
}

/// Returns the age of each token in a text. A token is younger than the time in which the stamps repeat.
pub(crate) fn ages(text: &str, now: Instant) -> impl Iterator<Item = Duration> {
    let now = ticks(now);
    let stamps = text.split_whitespace().filter_map(|word| u64::from_str_radix(word, 36).ok());
    stamps
        .map(move |stamp| TICK * u32::try_from((now + STAMPS - stamp % STAMPS) % STAMPS).unwrap_or(u32::MAX))
}

/// Returns a time in ticks, as stamps count it.
fn ticks(time: Instant) -> u64 {
    let ticks = time.saturating_duration_since(*BEGAN).as_micros() / TICK.as_micros();
    u64::try_from(ticks).unwrap_or(0) % STAMPS
}

/// Returns a time as a token.
fn stamp(time: Instant) -> String {
    let ticks = ticks(time);
    let digit = |place| char::from_digit((ticks / 36_u64.pow(place) % 36) as u32, 36).unwrap_or('0');
    (0..DIGITS).rev().map(digit).collect()
}

/// Serves until the process ends.
pub(crate) async fn start() -> anyhow::Result<SocketAddr> {
    LazyLock::force(&BEGAN);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let _ = stream.set_nodelay(true);
            let service = hyper::service::service_fn(answer);
            tokio::spawn(
                hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service),
            );
        }
    });
    Ok(address)
}

type Frames = std::pin::Pin<Box<dyn stream::Stream<Item = Result<Frame<Bytes>, Infallible>> + Send>>;

async fn answer(request: Request<Incoming>) -> Result<Response<StreamBody<Frames>>, hyper::Error> {
    let body = request.into_body().collect().await?.to_bytes();
    let script = Script::find(&String::from_utf8_lossy(&body));
    let script = script.unwrap_or(Script { tokens: 1, rate: 1000, delay_ms: 0 });
    let first = tokio::time::Instant::now() + Duration::from_millis(script.delay_ms);
    let frames = stream::unfold(0, move |n| async move {
        if n > script.tokens {
            return None;
        }
        if n == script.tokens {
            return Some((Ok(Frame::data(end(n).into())), n + 1));
        }
        tokio::time::sleep_until(
            first + Duration::from_secs_f64(f64::from(n) / f64::from(script.rate.max(1))),
        )
        .await;
        let text = format!("{} ", stamp(Instant::now()));
        Some((Ok(Frame::data(chunk(json!({"content": text}), None).into())), n + 1))
    });
    let mut response = Response::new(StreamBody::new(Box::pin(frames) as Frames));
    response.headers_mut().insert(header::CONTENT_TYPE, http::HeaderValue::from_static("text/event-stream"));
    Ok(response)
}

fn chunk(delta: serde_json::Value, finish: Option<&str>) -> String {
    let choice = json!({"index": 0, "delta": delta, "finish_reason": finish});
    let body = json!({"id": "bench", "object": "chat.completion.chunk", "created": 0, "model": "bench", "choices": [choice]});
    format!("data: {body}\n\n")
}

fn end(tokens: u32) -> String {
    let usage = json!({"prompt_tokens": 10, "completion_tokens": tokens, "total_tokens": tokens + 10});
    let usage = json!({"id": "bench", "object": "chat.completion.chunk", "created": 0, "model": "bench", "choices": [], "usage": usage});
    format!("{}data: {usage}\n\ndata: [DONE]\n\n", chunk(json!({}), Some("stop")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_yields_its_age_and_has_the_same_length_at_all_times() {
        for minutes in [0, 1, 3, 60] {
            let sent = *BEGAN + Duration::from_secs(60 * minutes);
            let text = format!("{0} {0} ", stamp(sent));
            assert_eq!(text.len(), 10, "{text}");
            let ages: Vec<_> = ages(&text, sent + Duration::from_millis(50)).collect();
            assert_eq!(ages, [Duration::from_millis(50); 2]);
        }
    }
}
