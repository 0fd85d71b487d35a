//! Runs that are run again from an event, through the whole system.

use serde_json::{Value, json};

use crate::{
    answers::resume,
    background::{create, until},
    system::{Caller, System, check_ended, of_kind, texts},
};

/// Asks a person, cites a source and answers.
const TASK: &str = "/demo tokens=2 rate=0 tool=ask_user args={\"question\":\"Which?\"}\n\
                    /demo tokens=3 rate=0 tool=cite_source args={\"url\":\"https://example.com/\",\"title\":\"Example\"}\n\
                    /demo tokens=5 rate=0";

async fn replay(caller: &Caller, run: &str, body: &Value) -> (u16, Value) {
    let answer = caller.request("POST", &format!("/api/runs/{run}/replay")).json(body).send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

/// The events without what a copy has of its own: its position, its time and the ids of messages.
fn contents(log: &[Value], kind: &str) -> Vec<Value> {
    let mut events: Vec<Value> = of_kind(log, kind).into_iter().cloned().collect();
    for event in &mut events {
        for field in ["seq", "timestamp", "messageId", "parentMessageId"] {
            event.as_object_mut().unwrap().remove(field);
        }
    }
    events
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_is_run_again_from_an_event_and_asks_nobody_twice() {
    let system = System::start(&[]).await;
    let caller = system.sign_up("again@example.com").await;
    let run = create(&caller, &json!({"input": TASK})).await;
    let project = run["project_id"].as_str().unwrap().to_owned();
    let run = run["id"].as_str().unwrap().to_owned();
    let waits = until(&caller, &run, |run| run["status"] == "interrupted").await;
    let question = waits["interrupts"][0]["id"].as_str().unwrap();
    assert!(resume(&caller, &run, question, "The east one.", true).await.unwrap().status().is_success());
    let first = until(&caller, &run, |run| run["status"] == "success").await;
    let log = caller.log(&run).await;
    let results = of_kind(&log, "TOOL_CALL_RESULT");
    assert_eq!(results.len(), 2);

    let (status, refused) =
        replay(&caller, &run, &json!({"from": results[0]["seq"].as_u64().unwrap() - 1})).await;
    assert_eq!(status, 422, "{refused}");
    assert!(refused["nearest"].as_array().unwrap().contains(&results[0]["seq"]), "{refused}");

    let (status, again) = replay(&caller, &run, &json!({"from": results[1]["seq"]})).await;
    assert_eq!((status, &again["replay"]["seq"]), (202, &results[1]["seq"]), "{again}");
    let again = again["id"].as_str().unwrap();
    let second = until(&caller, again, |run| run["completed_at"].is_string()).await;
    assert_eq!((&second["status"], &second["after"]), (&json!("success"), &first["after"]), "{second}");
    let new = caller.log(again).await;
    check_ended(again, &new);
    for kind in ["TOOL_CALL_START", "TOOL_CALL_RESULT", "SOURCE_CITED", "CLARIFICATION_ANSWERED"] {
        assert_eq!(contents(&new, kind), contents(&log, kind), "{kind}");
    }
    assert_eq!(texts(&new), texts(&log), "the demo answers the same");
    let used = |usage: &Value| usage["inputTokens"].as_u64().unwrap();
    let calls: Vec<u64> = of_kind(&new, "USAGE_RECORDED").into_iter().map(used).collect();
    assert_eq!(calls.len(), 3);
    assert_eq!(second["usage"]["input_tokens"], calls[2], "the copied calls are not charged for again");
    assert_eq!(first["usage"]["input_tokens"], calls.iter().sum::<u64>());
    for step in 1..=3 {
        let context = async |run: &str| caller.get(&format!("/api/runs/{run}/context?step={step}")).await;
        let shown = context(again).await;
        assert_eq!(
            (&shown["state"], &shown["messages"]),
            (&json!("exact"), &context(&run).await["messages"])
        );
    }
    let messages = caller.get(&format!("/api/projects/{project}/messages")).await;
    let messages = messages["items"].as_array().unwrap();
    assert_eq!(messages.len(), 2);
    assert_eq!((&messages[1]["run_id"], &messages[1]["siblings"]), (&json!(again), &json!([run, again])));
    let kinds: Vec<&str> =
        messages[1]["parts"].as_array().unwrap().iter().map(|part| part["type"].as_str().unwrap()).collect();
    let before = caller.get(&format!("/api/projects/{project}/messages?branch={run}")).await;
    let parts = before["items"][1]["parts"].as_array().unwrap().iter();
    assert_eq!(kinds, parts.map(|part| part["type"].as_str().unwrap()).collect::<Vec<_>>());
}
