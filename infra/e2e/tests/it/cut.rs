//! Connections break anywhere, and every reader still ends with the whole log.

use std::time::Duration;

use crate::system::{Caller, System, is_terminal, scaled};
use futures::{StreamExt, stream};
use reqwest::Response;
use serde_json::{Value, json};

/// Read while it is written, with a connection for every event.
const LIVE: &str = "/demo tokens=60 rate=28";
/// Without lingering and slower than a write, most tokens are events of their own: well over 200 in all.
const LONG: &str = "/demo tokens=400 rate=28";
const UNHURRIED: [(&str, &str); 2] = [("LINGER_MIN_MS", "0"), ("LINGER_MAX_MS", "0")];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_cut_anywhere_continues_without_a_gap() {
    let system = System::start(&UNHURRIED).await;
    let caller = system.sign_up("cut@example.com").await;

    // Live: a new connection for every single event.
    let sent = caller.send(&json!({"message": {"content": LIVE}})).await;
    let run = sent.headers()["x-run-id"].to_str().unwrap().to_owned();
    let mut heard = Vec::new();
    heard.extend(frames(&up_to(sent, Cut::Event).await));
    let mut cuts = 0;
    while !heard.last().is_some_and(is_terminal) {
        let bytes = up_to(events(&caller, &run, seq(&heard)).await, Cut::Event).await;
        heard.extend(frames(&bytes).into_iter().take(1));
        cuts += 1;
    }
    let log = caller.log(&run).await;
    assert_eq!(heard, log, "cut behind every event of a live run");

    let sent = caller.send(&json!({"message": {"content": LONG}})).await;
    let run = sent.headers()["x-run-id"].to_str().unwrap().to_owned();
    let log = frames(&up_to(sent, Cut::Never).await);
    assert_eq!(log, caller.log(&run).await);
    assert!(log.len() >= 200, "only {} events", log.len());

    // Replayed: behind every byte, then the rest from the last complete event on.
    let whole = up_to(events(&caller, &run, 0).await, Cut::Never).await;
    assert_eq!(frames(&whole), log);
    let checks = places(&whole).into_iter().map(|at| {
        let (caller, run, whole, log) = (&caller, &run, &whole, &log);
        async move {
            let first = up_to(events(caller, run, 0).await, Cut::Byte(at)).await;
            assert_eq!(first, whole[..at], "a replay has the same bytes");
            let mut heard = frames(&first);
            if !heard.last().is_some_and(is_terminal) {
                heard.extend(frames(&up_to(events(caller, run, seq(&heard)).await, Cut::Never).await));
            }
            assert_eq!(&heard, log, "cut behind byte {at}");
        }
    });
    let bytes = stream::iter(checks).buffer_unordered(4).count().await;
    println!("{cuts} live cuts, {bytes} cuts in {} bytes, {} events", whole.len(), log.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_ai_sdk_stream_cut_anywhere_continues_at_its_chunk() {
    let system = System::start(&UNHURRIED).await;
    let caller = system.sign_up("chunks@example.com").await;
    let sent = submit(&caller, "live", LIVE).await;
    let run = sent.headers()["x-workflow-run-id"].to_str().unwrap().to_owned();

    // Live: a new connection for every chunk.
    let mut live = chunks(&up_to(sent, Cut::Event).await);
    while live.last().is_none_or(|chunk| chunk != "[DONE]") {
        let bytes = up_to(resumed(&caller, &run, live.len()).await, Cut::Event).await;
        live.extend(chunks(&bytes).into_iter().take(1));
    }
    let replayed = chunks(&up_to(resumed(&caller, &run, 0).await, Cut::Never).await);
    assert_eq!(live, replayed, "cut behind every chunk of a live run");

    let sent = submit(&caller, "long", LONG).await;
    let run = sent.headers()["x-workflow-run-id"].to_str().unwrap().to_owned();
    let all = chunks(&up_to(sent, Cut::Never).await);
    let whole = up_to(resumed(&caller, &run, 0).await, Cut::Never).await;
    assert_eq!(chunks(&whole), all, "live and replay are the same");
    assert!(all.len() >= 200, "only {} chunks", all.len());

    let checks = places(&whole).into_iter().map(|at| {
        let (caller, run, whole, all) = (&caller, &run, &whole, &all);
        async move {
            let first = up_to(resumed(caller, run, 0).await, Cut::Byte(at)).await;
            assert_eq!(first, whole[..at], "a replay has the same bytes");
            let mut seen = chunks(&first);
            seen.extend(chunks(&up_to(resumed(caller, run, seen.len()).await, Cut::Never).await));
            assert_eq!(&seen, all, "cut behind byte {at}");
        }
    });
    let bytes = stream::iter(checks).buffer_unordered(4).count().await;
    println!("{bytes} cuts in {} bytes, {} chunks", whole.len(), all.len());
}

/// Where to cut a replay: behind every byte, or in a short test some of them.
fn places(whole: &[u8]) -> Vec<usize> {
    (1..whole.len()).step_by(scaled(997, 1)).collect()
}

async fn submit(caller: &Caller, chat: &str, message: &str) -> Response {
    let parts = json!([{"type": "text", "text": message}]);
    let body = json!({"id": chat, "messages": [{"role": "user", "parts": parts}]});
    let sent = caller.request("POST", "/api/chat").json(&body).send().await.unwrap();
    assert_eq!(sent.status(), 200);
    sent
}

/// Where a reader drops its connection.
#[derive(Clone, Copy)]
enum Cut {
    /// When the first complete event is there.
    Event,
    /// After so many bytes.
    Byte(usize),
    Never,
}

/// Reads up to the cut; dropping the response closes the connection.
async fn up_to(response: Response, cut: Cut) -> Vec<u8> {
    assert_eq!(response.status(), 200);
    let (mut text, mut pieces) = (Vec::new(), response.bytes_stream());
    loop {
        let piece = tokio::time::timeout(Duration::from_secs(30), pieces.next()).await;
        let Some(piece) = piece.expect("the stream fell silent") else { return text };
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

async fn events(caller: &Caller, run: &str, after: u64) -> Response {
    let request = caller.request("GET", &format!("/api/runs/{run}/events"));
    request.header("last-event-id", after.to_string()).send().await.unwrap()
}

async fn resumed(caller: &Caller, run: &str, skip: usize) -> Response {
    caller.request("GET", &format!("/api/chat/{run}/stream?startIndex={skip}")).send().await.unwrap()
}

/// The data of every complete frame; a comment has none.
fn chunks(text: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(text);
    let whole = text.rfind("\n\n").map_or("", |end| &text[..end]);
    let data =
        whole.split("\n\n").filter_map(|frame| frame.lines().find_map(|line| line.strip_prefix("data: ")));
    data.map(str::to_owned).collect()
}

fn frames(text: &[u8]) -> Vec<Value> {
    chunks(text).iter().map(|data| serde_json::from_str(data).unwrap()).collect()
}

fn seq(heard: &[Value]) -> u64 {
    heard.last().map_or(0, |event| event["seq"].as_u64().unwrap())
}
