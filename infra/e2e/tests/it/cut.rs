//! Connections break at any byte, and every reader still gets the whole log.

use std::time::Instant;

use crate::interleaved;
use crate::system::{Caller, PATIENCE, System, is_terminal, scaled};
use futures::{StreamExt, stream};
use reqwest::Response;
use serde_json::{Value, json};

/// Without lingering, a token that arrives after the previous write becomes an event of its own.
const UNHURRIED: [(&str, &str); 2] = [("LINGER_MIN_MS", "0"), ("LINGER_MAX_MS", "0")];
/// Number of concurrent requests.
const AT_ONCE: usize = 4;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_live_stream_cut_after_every_frame_continues_without_a_gap() {
    let system = System::start(&UNHURRIED).await;
    let caller = system.sign_up("live@example.com").await;
    for _ in 0..scaled(1, 10) {
        let (native, ai_sdk) = futures::join!(
            cut_behind_every_frame(Protocol::Native, &caller),
            cut_behind_every_frame(Protocol::AiSdk, &caller),
        );
        assert_eq!(parsed(&native.frames), caller.log(&native.run).await);
        let replayed = frames(&up_to(ai_sdk.resume(&caller, 0).await, Cut::Never).await);
        assert_eq!(ai_sdk.frames, replayed);
        let events = native.frames.len();
        let chunks = ai_sdk.frames.len();
        // The number of tokens per event depends on the machine. Both streams begin and end with several frames.
        assert!(events > 5 && chunks > 5, "only {events} events and {chunks} chunks");
        println!("{events} connections for as many events, {chunks} for as many chunks");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_cut_at_any_byte_continues_without_a_gap() {
    let system = interleaved::system().await;
    let caller = system.sign_up("bytes@example.com").await.with_api_key().await;
    let long = uncut(Protocol::Native, &caller, "Go on.").await;
    let log = caller.log(&long.run).await;
    assert_eq!(parsed(&long.frames), log);
    assert!(log.last().is_some_and(is_terminal));
    let seqs: Vec<u64> = log.iter().map(|event| event["seq"].as_u64().unwrap()).collect();
    assert_eq!(seqs, (1..=log.len() as u64).collect::<Vec<_>>(), "the cursor is the number of events");
    println!("{}", cut_at_every_byte(&caller, &long).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_ai_sdk_stream_cut_at_any_byte_continues_at_its_chunk() {
    let system = interleaved::system().await;
    let caller = system.sign_up("chunks@example.com").await.with_api_key().await;
    let long = uncut(Protocol::AiSdk, &caller, "Go on.").await;
    println!("{}", cut_at_every_byte(&caller, &long).await);
}

/// A protocol whose stream can be resumed after each frame.
#[derive(Clone, Copy)]
enum Protocol {
    Native,
    AiSdk,
}

/// A run, and the data of the frames in its stream.
struct Streamed {
    protocol: Protocol,
    run: String,
    frames: Vec<String>,
}

impl Protocol {
    async fn send(self, caller: &Caller, message: &str) -> (String, Response) {
        let (path, header, body) = match self {
            Self::Native => ("/api/chat/send", "x-run-id", json!({"message": {"content": message}})),
            Self::AiSdk => {
                let parts = json!([{"type": "text", "text": message}]);
                let body = json!({"id": "cut", "messages": [{"role": "user", "parts": parts}]});
                ("/api/chat", "x-workflow-run-id", body)
            }
        };
        let sent = caller.request("POST", path).json(&body).send().await.unwrap();
        assert_eq!(sent.status(), 200);
        (sent.headers()[header].to_str().unwrap().to_owned(), sent)
    }

    fn ends_with(self, data: &str) -> bool {
        match self {
            Self::Native => is_terminal(&serde_json::from_str(data).unwrap()),
            Self::AiSdk => data == "[DONE]",
        }
    }
}

impl Streamed {
    /// Resumes the stream after its first `have` frames. Their number is the cursor of both protocols.
    async fn resume(&self, caller: &Caller, have: usize) -> Response {
        let run = &self.run;
        let request = match self.protocol {
            Protocol::Native => {
                let request = caller.request("GET", &format!("/api/runs/{run}/events"));
                request.header("last-event-id", have.to_string())
            }
            Protocol::AiSdk => caller.request("GET", &format!("/api/chat/{run}/stream?startIndex={have}")),
        };
        request.send().await.unwrap()
    }
}

async fn uncut(protocol: Protocol, caller: &Caller, message: &str) -> Streamed {
    let (run, sent) = protocol.send(caller, message).await;
    Streamed { protocol, run, frames: frames(&up_to(sent, Cut::Never).await) }
}

/// Opens a new connection for each frame of a live run. A function does not learn that its reader has left,
/// so each connection keeps an invocation until the run ends: several short runs cost less than a long one.
async fn cut_behind_every_frame(protocol: Protocol, caller: &Caller) -> Streamed {
    let (run, sent) = protocol.send(caller, "/demo tokens=60 rate=28").await;
    let first = frames(&up_to(sent, Cut::Event).await).into_iter().take(1).collect();
    let mut live = Streamed { protocol, run, frames: first };
    while !live.frames.last().is_some_and(|data| protocol.ends_with(data)) {
        let bytes = up_to(live.resume(caller, live.frames.len()).await, Cut::Event).await;
        live.frames.extend(frames(&bytes).into_iter().take(1));
    }
    live
}

/// Cuts a replay after every byte and resumes after every frame; in a short test, after some of them.
///
/// At a cut, a reader has the complete frames before it. Cuts inside one frame therefore resume with the same
/// request, whose response is read once for all of them. Returns a summary.
async fn cut_at_every_byte(caller: &Caller, long: &Streamed) -> String {
    let all = &long.frames;
    let events = caller.log(&long.run).await.len();
    assert!(events >= 200, "only {events} events");
    let whole = up_to(long.resume(caller, 0).await, Cut::Never).await;
    assert_eq!(&frames(&whole), all, "live and replay are the same");

    let rests = (1..all.len()).step_by(scaled(23, 1)).map(|have| async move {
        let rest = up_to(long.resume(caller, have).await, Cut::Never).await;
        assert_eq!(frames(&rest), all[have..], "resumed behind {have} frames");
    });
    let resumed = stream::iter(rests).buffer_unordered(AT_ONCE).count().await;

    let began = Instant::now();
    let cuts = (1..whole.len()).step_by(scaled(797, 1)).map(|at| {
        let whole = &whole;
        async move {
            let first = up_to(long.resume(caller, 0).await, Cut::Byte(at)).await;
            assert_eq!(first, whole[..at], "a replay has the same bytes");
        }
    });
    let cuts = stream::iter(cuts).buffer_unordered(AT_ONCE).count().await;
    let rate = cuts as f64 / began.elapsed().as_secs_f64();
    let bytes = whole.len();
    let frames = all.len();
    format!("{cuts} cuts in {bytes} bytes, {rate:.0} a second; resumed behind {resumed} of {frames} frames")
}

/// The place at which a reader closes its connection.
#[derive(Clone, Copy)]
enum Cut {
    /// After the first complete event.
    Event,
    /// After this many bytes.
    Byte(usize),
    Never,
}

/// Reads up to the cut. Dropping the response closes the connection.
async fn up_to(response: Response, cut: Cut) -> Vec<u8> {
    assert_eq!(response.status(), 200);
    let mut text = Vec::new();
    let mut pieces = response.bytes_stream();
    loop {
        let piece = tokio::time::timeout(PATIENCE, pieces.next()).await;
        let Some(piece) = piece.expect("data arrives") else { return text };
        text.extend_from_slice(&piece.unwrap());
        match cut {
            Cut::Event if text.windows(2).any(|pair| pair == b"\n\n") => return text,
            Cut::Byte(at) if text.len() >= at => {
                text.truncate(at);
                return text;
            }
            Cut::Event | Cut::Byte(_) | Cut::Never => {}
        }
    }
}

/// Returns the data of every complete frame. Comments have none.
fn frames(text: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(text);
    let whole = text.rfind("\n\n").map_or("", |end| &text[..end]);
    let data =
        whole.split("\n\n").filter_map(|frame| frame.lines().find_map(|line| line.strip_prefix("data: ")));
    data.map(str::to_owned).collect()
}

fn parsed(frames: &[String]) -> Vec<Value> {
    frames.iter().map(|data| serde_json::from_str(data).unwrap()).collect()
}
