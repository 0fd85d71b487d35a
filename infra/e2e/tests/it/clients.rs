//! Public npm clients with broken connections: `eventsource-parser` and the AI SDK, versions 5 to 7. They
//! must read the same as our own reader in `cut`.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::held::HeldModel;
use crate::interleaved;
use crate::system::{Caller, System, answer, scaled};
use serde_json::{Value, json};

/// A question with characters of two, three and four bytes.
const QUESTION: &str = "Über die Brücke → 東京 🚆";
const SDKS: [&str; 4] = ["5", "6", "7", "workflow"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn npm_clients_read_live_runs_whole_through_every_cut() {
    let model = HeldModel::start().await;
    let system = model.system(&[]).await;
    let caller = system.sign_up("clients@example.com").await;
    let rounds = scaled(1, 20);
    for round in 0..rounds {
        let (native, ui) =
            futures::join!(native_clients(&model, &caller, round), ui_clients(&model, &caller, round));
        println!("round {round}: {native} native and {ui} AI SDK connections cut, all of live runs");
    }
}

/// Returns the number of connections that were cut.
async fn native_clients(model: &HeldModel, caller: &Caller, round: usize) -> usize {
    // The first frames are equal in every run except for ids, keys and times of equal length.
    model.release("native9999");
    let probe = caller.send(&json!({"message": {"content": format!("{QUESTION} hold=native9999")}})).await;
    let probe = probe.bytes().await.unwrap();
    let first_frame = 2 + probe.windows(2).position(|pair| pair == b"\n\n").unwrap();
    let inside_a_character = 1 + probe.iter().position(|byte| !byte.is_ascii()).unwrap();
    let first_cuts = [1, first_frame, inside_a_character, 900 + 37 * round];
    let jobs: Vec<Value> = combined(&first_cuts)
        .enumerate()
        .map(|(at, (how, first))| {
            let key = format!("native{round:02}{at:02}");
            let send = json!({"message": {"content": format!("{QUESTION} hold={key}")}});
            let cuts = [first, 1, 333 + round, 700 + 11 * round];
            json!({"send": send, "how": how, "cuts": cuts, "cutUrl": model.cut_url(&key)})
        })
        .collect();
    let mut cut = 0;
    for (job, result) in jobs.iter().zip(drive("sse-client.mjs", caller, &jobs).await) {
        let run = result["run"].as_str().unwrap_or_else(|| panic!("{job}: {result}"));
        let log = caller.log(run).await;
        let events = result["events"].as_array().unwrap();
        let data: Vec<&Value> = events.iter().map(|event| &event["data"]).collect();
        assert_eq!(data, log.iter().collect::<Vec<_>>(), "{job}");
        for (event, stored) in events.iter().zip(&log) {
            assert_eq!(event["id"], stored["seq"].to_string(), "{job}");
            assert_eq!(event["event"], stored["type"], "{job}");
        }
        assert_eq!(result["after_end"], 204, "{job}");
        cut += cut_while_live(job, &result, &log);

        let whole = caller.request("GET", &format!("/api/runs/{run}/events")).send().await.unwrap();
        let whole = whole.bytes().await.unwrap();
        let first = usize::try_from(job["cuts"][0].as_u64().unwrap()).unwrap();
        if first == inside_a_character {
            assert!(std::str::from_utf8(&whole[..first]).is_err(), "{job}");
        } else if first == first_frame {
            assert!(whole[..first].ends_with(b"\n\n"), "{job}");
        }
    }
    cut
}

async fn ui_clients(model: &HeldModel, caller: &Caller, round: usize) -> usize {
    let jobs: Vec<Value> = combined(&SDKS)
        .map(|(how, sdk)| {
            let key = format!("{how}{sdk}{round}");
            let message = format!("{QUESTION} hold={key}");
            let cuts = [1 + 17 * round, 400 + round, 90, 1500 + 13 * round];
            json!({"chat": key, "message": message, "sdk": sdk, "how": how, "cuts": cuts, "cutUrl": model.cut_url(&key)})
        })
        .collect();
    let mut cut = 0;
    for (job, result) in jobs.iter().zip(drive("ui-client.mjs", caller, &jobs).await) {
        let run = result["run"].as_str().unwrap_or_else(|| panic!("{job}: {result}"));
        let log = caller.log(run).await;
        assert_eq!(result["text"], answer(&log), "{job}");
        assert!(result["text"].as_str().unwrap().contains("🚆"), "{job}");
        assert_eq!(result["finish"], "stop", "{job}");
        assert_eq!(result["error"], Value::Null, "{job}");
        assert_eq!(result["messages"], 2, "{job}: the question and one answer");
        assert_eq!(result["message"]["role"], "assistant", "{job}");
        cut += cut_while_live(job, &result, &log);
    }
    cut
}

/// The client sends no id, and its body as `text/plain`. Only the ids of earlier answers identify the
/// conversation.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_workflow_transport_without_settings_stays_in_its_conversation() {
    let system = System::start(&[]).await;
    let caller = system.sign_up("bare@example.com").await;
    let then = "/demo tokens=3 rate=0";
    let first = format!("/demo tokens=60 rate=20\n{QUESTION}");
    let job = json!({"chat": "never sent", "message": first, "then": then, "sdk": "workflow", "bare": true, "cuts": [500, 90]});
    let [result] = drive("ui-client.mjs", &caller, &[job]).await.try_into().unwrap();
    assert_eq!((&result["finish"], &result["error"]), (&json!("stop"), &Value::Null), "{result}");
    assert_eq!(result["messages"], 4, "two questions and two answers");
    let [project] = result["projects"].as_array().unwrap().as_slice() else { panic!("{result}") };
    let messages = caller.get(&format!("/api/projects/{}/messages", project.as_str().unwrap())).await;
    assert_eq!(messages["items"].as_array().unwrap().len(), 4);
    let log = caller.log(result["run"].as_str().unwrap()).await;
    assert!(messages["items"].as_array().unwrap().iter().any(|message| message["content"] == answer(&log)));
}

fn combined<T: Copy>(what: &[T]) -> impl Iterator<Item = (&'static str, T)> {
    ["error", "close"].into_iter().flat_map(move |how| what.iter().map(move |one| (how, *one)))
}

/// Checks that the first cut was at the requested place, and returns the number of connections that were cut before the run
/// ended: at least two, because the model has waited for them.
fn cut_while_live(job: &Value, result: &Value, log: &[Value]) -> usize {
    let ended = log.last().unwrap()["timestamp"].as_u64().unwrap();
    let requests = result["requests"].as_array().unwrap();
    assert_eq!(requests[0]["cut"], true, "{job}");
    assert_eq!(requests[0]["bytes"], job["cuts"][0], "{job}");
    let cut =
        requests.iter().filter(|request| request["cut"] == true && request["at"].as_u64().unwrap() < ended);
    let cut = cut.count();
    assert!(cut >= 2, "{job}: {requests:?}");
    cut
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn npm_clients_read_a_run_of_200_events_whole_when_cut_at_any_byte() {
    let system = interleaved::system().await;
    let caller = system.sign_up("bytes@example.com").await.with_api_key().await;
    let sent = caller.send(&json!({"message": {"content": "Go on."}})).await;
    let run = sent.headers()["x-run-id"].to_str().unwrap().to_owned();
    let native = sent.bytes().await.unwrap();
    let log = caller.log(&run).await;
    assert!(log.len() >= 200, "only {} events", log.len());
    let resumed = caller.request("GET", &format!("/api/chat/{run}/stream")).send().await.unwrap();
    let ui = resumed.bytes().await.unwrap();

    // Each cut is a connection to the stack. With recorded responses, a cut after every byte is affordable,
    // too.
    let live = |client: &str, whole: &[u8]| json!({"run": run, "client": client, "how": "error", "cuts": places(whole)});
    let recorded = |client: &str, whole: &[u8]| {
        let cuts: Vec<usize> = (1..whole.len()).step_by(scaled(997, 1)).collect();
        json!({"run": run, "client": client, "how": "close", "cuts": cuts, "recorded": true})
    };
    let mut jobs = vec![live("native", &native), recorded("native", &native)];
    for sdk in SDKS {
        jobs.extend([live(sdk, &ui), recorded(sdk, &ui)]);
    }
    // One thread per processor.
    let (one, other) = jobs.split_at(6);
    let (one, other) =
        futures::join!(drive("every-byte.mjs", &caller, one), drive("every-byte.mjs", &caller, other));
    for result in one.iter().chain(&other) {
        let shown = &result["shown"];
        let client = result["client"].as_str().unwrap_or_else(|| panic!("{result}"));
        if client == "native" {
            let data = shown["events"].as_array().unwrap().iter().map(|event| &event["data"]);
            assert_eq!(data.collect::<Vec<_>>(), log.iter().collect::<Vec<_>>());
            assert_eq!(shown["after_end"], 204);
            assert_eq!(result["bytes"], native.len());
            if result["cuts"] == native.len() - 1 {
                assert_eq!(result["questions"], log.len() + 1, "from the start, and behind every event");
            }
        } else {
            assert_eq!(shown["text"].as_str().unwrap().replace("\n\n", ""), answer(&log), "{client}");
            assert_eq!(shown["finish"], "stop", "{client}");
            assert_eq!(shown["messages"], 1, "{client}");
            assert_eq!(result["bytes"], ui.len(), "{client}");
        }
        let [cuts, requests, questions] = ["cuts", "requests", "questions"].map(|name| &result[name]);
        println!("{client}: {cuts} cuts, {requests} requests, {questions} different ones");
    }
}

/// Returns the places of cuts: spread over the stream, around a frame boundary in the middle, and inside a
/// character.
fn places(whole: &[u8]) -> Vec<usize> {
    let mut places: Vec<usize> = (1..whole.len()).step_by(whole.len() / scaled(4, 60)).collect();
    let middle = whole.len() / 2;
    let after = |found: Option<usize>| middle + found.unwrap();
    let boundary = after(whole[middle..].windows(2).position(|pair| pair == b"\n\n"));
    let character = after(whole[middle..].iter().position(|byte| *byte >= 0xf0));
    places.extend([boundary + 1, boundary + 2, boundary + 3]);
    places.extend([character + 1, character + 2, character + 3]);
    places
}

/// Returns the folder of the npm packages.
pub(crate) fn installed() -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("node");
    let installed = folder.join("node_modules/.package-lock.json").exists();
    assert!(installed, "the npm packages are not installed: run `scripts/install node`");
    folder
}

/// Lets a client do all jobs at once.
pub(crate) async fn drive(program: &str, caller: &Caller, jobs: &[Value]) -> Vec<Value> {
    let request = caller.request("GET", "/").build().unwrap();
    let token =
        request.headers()["authorization"].to_str().unwrap().strip_prefix("Bearer ").unwrap().to_owned();
    let mut command = Command::new("node");
    command.arg(program).args(["--jobs", "--base", request.url().as_str()]);
    command.current_dir(installed()).env("SEQUENT_TOKEN", token);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let lines: String = jobs.iter().map(|job| format!("{job}\n")).collect();
    let done = tokio::task::spawn_blocking(move || {
        let mut child = command.spawn().expect("node starts");
        child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    });
    let output = done.await.unwrap();
    let out = String::from_utf8_lossy(&output.stdout);
    let err = String::from_utf8_lossy(&output.stderr);
    let results: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(results.len(), jobs.len(), "{program}: {err}");
    let failed: Vec<&Value> = results.iter().filter_map(|result| result.get("failed")).collect();
    assert!(failed.is_empty(), "{program}: {failed:?}");
    assert!(output.status.success(), "{program}: {err}");
    results
}
