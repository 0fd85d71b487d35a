//! A page in a real browser with HttpOnly cookies, its `EventSource`, and the AI SDK's `useChat`.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::clients::installed;
use crate::held::HeldModel;
use crate::system::{System, answer};
use serde_json::{Value, json};

const ACCESS_COOKIE: &str = "sequent_access";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_sends_a_message_with_an_event_source_and_its_cookies() {
    let system = System::start(&[]).await;
    let seen = act(&system, "ask", "/demo tokens=40 rate=40\nÜber die Brücke → 東京 🚆", |_| ()).await;
    let text = seen["text"].as_str().unwrap();
    assert!(seen["deltas"].as_u64().unwrap() > 0, "{seen}");
    assert!(text.contains("🚆"), "{text}");
    assert_eq!(seen["content"], text, "the end repeats what the page has put together");
    let messages = seen["messages"].as_array().unwrap();
    let roles: Vec<&Value> = messages.iter().map(|message| &message["role"]).collect();
    assert_eq!(roles.len(), 2, "{messages:?}");
    let stored = messages.iter().find(|message| message["role"] == "assistant").unwrap();
    assert_eq!((&stored["content"], &stored["run_id"]), (&seen["content"], &seen["run"]));

    let cookies = seen["cookies"].as_array().unwrap();
    assert!(cookies.iter().any(|cookie| cookie["name"] == ACCESS_COOKIE), "{cookies:?}");
    assert!(cookies.iter().all(|cookie| cookie["httpOnly"] == true), "{cookies:?}");
    assert_eq!(seen["scripts_see"], "");
}

/// The browser reconnects by itself: the page does nothing when the connection breaks. It has received the beginning of the
/// answer by then, while the model has not given the rest.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_source_follows_a_run_through_a_killed_process_and_gets_each_event_once() {
    let model = HeldModel::start().await;
    let system = model.system(&[("LEASE_MS", "900"), ("LEASE_RENEW_MS", "250")]).await;
    let kill = |line: &Value| {
        assert!(line["middle"].is_string(), "{line}");
        // The run's owner and the process that serves the page are both instances of the function.
        let instances = system.stack.instances();
        let busy = instances.iter().filter(|one| one.function == "ChatFunction" && one.state == "busy");
        assert!(busy.filter(|one| system.stack.kill(one.pid)).count() > 0, "nothing to kill");
        model.release("followed");
    };
    let seen = act(&system, "follow", "hold=followed", kill).await;
    assert!(seen["cuts"].as_u64().unwrap() >= 1, "the kill did not reach the page");
    let log = seen["log"].as_array().unwrap();
    let epochs = log.iter().filter_map(|event| event["epoch"].as_u64()).max();
    assert!(epochs > Some(1), "the run was not taken over: {epochs:?}");
    let events = seen["events"].as_array().unwrap();
    assert_eq!(events.iter().map(|event| &event["data"]).collect::<Vec<_>>(), log.iter().collect::<Vec<_>>());
    for (event, stored) in events.iter().zip(log) {
        assert_eq!(event["id"], stored["seq"].to_string());
        assert_eq!(event["event"], stored["type"]);
    }
    assert_eq!(log.last().unwrap()["outcome"]["type"], "success");
    assert_eq!(answer(log), HeldModel::answer());
}

/// The default transport of `useChat` does not reconnect, so one stream has to last until the answer ends.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chat_that_is_reloaded_in_the_middle_of_a_slow_answer_shows_all_of_it() {
    // Streams whose clients reconnect are cut after three seconds then. The answer takes ten.
    let system = System::start_with(&[], |options| options.time_scale = 20).await;
    let seen = act(&system, "reload", "/demo tokens=200 rate=20", |_| ()).await;
    let messages = seen["messages"].as_array().unwrap();
    let stored = messages.iter().find(|message| message["role"] == "assistant").expect("the run has ended");
    assert_eq!((&seen["status"], &seen["text"]), (&json!("ready"), &stored["content"]));
    assert_eq!(seen["resumed"], 1, "the page resumes once, when it is loaded");
    assert_eq!(seen["reloaded"], true, "the history shows what the stream has shown");
}

/// Lets a page act, and calls `meanwhile` when the page reports that it is in the middle of a run.
async fn act(system: &System, act: &str, message: &str, meanwhile: impl Fn(&Value)) -> Value {
    let mut command = Command::new("node");
    command.args(["browser.mjs", "--base", system.stack.origin_url(), "--act", act, "--message", message]);
    command.arg("--browser").arg(browser()).current_dir(installed()).stdout(Stdio::piped());
    let mut child = command.spawn().expect("node starts");
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    tokio::task::block_in_place(|| {
        let mut result = None;
        for line in lines {
            let line: Value = serde_json::from_str(&line.unwrap()).unwrap();
            if line.get("middle").is_some() { meanwhile(&line) } else { result = Some(line) }
        }
        assert!(child.wait().unwrap().success(), "the page failed");
        result.expect("a page that succeeds prints what it saw")
    })
}

/// Returns the browser that `scripts/install browser` finds or installs.
pub(crate) fn browser() -> PathBuf {
    if let Some(chosen) = std::env::var_os("SEQUENT_BROWSER") {
        return chosen.into();
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let found = std::env::split_paths(&path).flat_map(|folder| names.map(|name| folder.join(name)));
    found.into_iter().find(|file| file.is_file()).expect("no browser: run `scripts/install browser`")
}
