//! The largest of everything that the API accepts, once each and to the end.
//!
//! A limit that only guards an entrance is worth nothing: what fits through it must also fit everything behind it, such as
//! an event, a segment, a row, the transaction of the end, and the prompt of the next run.

use serde_json::{Value, json};

use crate::{
    artifacts::offer,
    background::{create, until},
    deliverables::{args, deliver},
    surface::Person,
    system::{Caller, System, answer, check_ended, of_kind, read_events, scaled},
};

/// Bytes of a message.
const MESSAGE: usize = 64 * 1024;
/// Steering messages of a run.
const STEERING: usize = 32;

/// Returns a text of exactly `bytes` bytes that begins with `start`.
fn filled(start: &str, bytes: usize) -> String {
    format!("{start}{}", "x".repeat(bytes - start.len()))
}

/// Reads the run to its end with this outcome, and returns its log.
async fn ended(caller: &Caller, run: &str, outcome: &str) -> Vec<Value> {
    until(caller, run, |row| row["completed_at"].is_string()).await;
    let log = caller.log(run).await;
    check_ended(run, &log);
    assert_eq!(log.last().unwrap()["outcome"]["type"], outcome, "{:?}", log.last());
    log
}

async fn background(caller: &Caller, body: &Value) -> Vec<Value> {
    let run = create(caller, body).await;
    ended(caller, run["id"].as_str().unwrap(), "success").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_and_tools() {
    let system = System::start(&[]).await;
    let caller = system.sign_up("messages@example.com").await;

    // A message, and another one that has it as its history.
    let largest = filled("/demo tokens=3 rate=0\n", MESSAGE);
    let sent = caller.send(&json!({"message": {"content": largest}})).await;
    let project = sent.headers()["x-project-id"].to_str().unwrap().to_owned();
    assert!(!answer(&read_events(sent).await.events).is_empty());
    let next = json!({"project_id": project, "message": {"content": "/demo tokens=3 rate=0"}});
    assert!(!answer(&read_events(caller.send(&next).await).await.events).is_empty());
    let messages = caller.get(&format!("/api/projects/{project}/messages")).await;
    assert_eq!(messages["items"][0]["content"].as_str().unwrap().len(), MESSAGE);
    let refused = caller.send(&json!({"message": {"content": filled("", MESSAGE + 1)}})).await;
    assert!(matches!(refused.status().as_u16(), 413 | 422), "{refused:?}");

    // Steering: as many of the largest messages as a run takes. The model answers none of them, so the run does not end
    // before.
    let silent = filled("/demo tokens=1 delay_first=900000\n", MESSAGE);
    let run = create(&caller, &json!({"project_id": project, "input": silent})).await["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let post = async |path: &str, body: Value| {
        let request = caller.request("POST", &format!("/api/runs/{run}/{path}")).json(&body);
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    for _ in 0..STEERING {
        let (status, answer) = post("messages", json!({"content": silent})).await;
        assert_eq!(status, 202, "{answer}");
    }
    let (status, answer) = post("messages", json!({"content": "one more"})).await;
    assert!(status == 409 && answer.contains("too_many_messages"), "{status} {answer}");
    let (status, answer) = post("cancel", json!({})).await;
    assert!(matches!(status, 200 | 202), "{status} {answer}");
    let log = ended(&caller, &run, "cancelled").await;
    assert_eq!(of_kind(&log, "USER_MESSAGE").len(), STEERING + 1);

    // Tools: the longest list of the longest names.
    let names: Vec<String> = (0..64).map(|n| filled(&format!("{n}"), 64)).collect();
    background(&caller, &json!({"input": "/demo tokens=3 rate=0", "tools": names})).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plan_with_its_children() {
    let system = System::start(&[]).await;
    let caller = system.sign_up("plans@example.com").await;
    let steps = scaled(6, 50);
    let id = |n: usize| filled(&format!("{n}-"), 64);
    // A message of 64 KiB holds the instructions of few steps at their longest.
    let instructions = (MESSAGE - 1024) / steps - 400;
    let step = |n: usize| {
        let instructions = filled("/demo tokens=2 rate=0\n", instructions.min(8000));
        json!({"id": id(n), "title": filled("t", 200), "instructions": instructions, "independent": true})
    };
    let plan = json!({"steps": (0..steps).map(step).collect::<Vec<_>>()});
    let input = format!("/demo tokens=1 rate=0 tool=write_plan args={}\n/demo tokens=3 rate=0", args(&plan));
    let log = background(&caller, &json!({"input": input, "orchestration": "plan"})).await;
    assert_eq!(of_kind(&log, "SUBAGENT_FINISHED").len(), steps);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn questions_and_answers() {
    let system = System::start(&[]).await;
    let caller = system.sign_up("questions@example.com").await;
    let options: Vec<String> = (0..20).map(|n| filled(&format!("{n}"), 500)).collect();
    let choice = json!({"question": filled("Which?", 4000), "options": options});
    let open = json!({"question": filled("Why?", 4000)});
    let input = format!(
        "/demo tokens=1 rate=0 tool=ask_user args={} tool=ask_user args={}\n/demo tokens=3 rate=0",
        args(&choice),
        args(&open)
    );
    let run = create(&caller, &json!({"input": input})).await["id"].as_str().unwrap().to_owned();
    let row = until(&caller, &run, |run| run["status"] == "interrupted").await;
    let largest = filled("because", 31 * 1024);
    let payloads = [options[19].as_str(), &largest];
    let answers: Vec<Value> = std::iter::zip(row["interrupts"].as_array().unwrap(), payloads)
        .map(|(open, payload)| json!({"interrupt_id": open["id"], "payload": payload}))
        .collect();
    let request =
        caller.request("POST", &format!("/api/runs/{run}/resume")).header("accept", "application/json");
    let resumed = request.json(&json!({"answers": answers})).send().await.unwrap();
    assert_eq!(resumed.status(), 202, "{}", resumed.text().await.unwrap());
    let log = ended(&caller, &run, "success").await;
    let results = of_kind(&log, "TOOL_CALL_RESULT");
    assert_eq!((results.len(), &results[1]["content"]), (2, &json!(largest)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn entities_and_tags() {
    let system = System::start(&[]).await;
    let person = Person::sign_up(&system, "entities@example.com").await;
    let name = |n: usize| format!("Person{n:02}");
    let entities: Vec<Value> = (0..80).map(|n| json!({"type": "person", "name": name(n)})).collect();
    let text = (0..80).map(name).collect::<Vec<_>>().join(" ");
    let record = format!("\n/demo tool=record_entities args={}\n", args(&json!({"entities": entities})));
    let report = json!({"type": "report", "version": 1, "title": "Names", "sections": [
        {"heading": "All", "level": 1, "blocks": [{"type": "paragraph", "text": text}, {"type": "code", "text": record}]}
    ]});
    let input =
        format!("/demo tokens=1 rate=0 tool=write_report args={}\n/demo tokens=3 rate=0", args(&report));
    let (run, log) = deliver(&person, "report", &input).await;
    check_ended(&run, &log);
    assert!(of_kind(&log, "JOB_FINISHED").iter().all(|end| end["status"] == "success"), "{log:#?}");
    assert_eq!(of_kind(&log, "ENTITY_EXTRACTED").len(), 80);

    let tags: Vec<String> = (0..10).map(|n| filled(&format!("{n}"), 64)).collect();
    let announced = json!({"sha256": "0".repeat(64), "size": 268_435_456, "title": filled("t", 200), "tags": tags,
        "media_type": "application/octet-stream", "entity_type": filled("e", 64)});
    let offered = offer(&person, announced).await;
    assert!(offered["put"]["url"].is_string(), "{offered}");
}
