//! Earlier turns of a conversation in the request of a later one.

use sequent_agent::execute;
use sequent_conversation::NewRun;
use serde_json::{Value, json};

use crate::failover::{bench, overloaded};

#[tokio::test]
async fn a_model_sees_the_calls_of_earlier_turns_with_their_results() {
    let server = overloaded();
    let bench = bench(&server).await;
    let project = bench.project().await.id;
    let cite = r#"{"url":"https://example.com/","title":"Example"}"#;
    let script = format!("/demo tokens=2 rate=0 tool=cite_source args={cite}\n/demo tokens=3 rate=0");
    let first = NewRun { model: Some("demo".into()), ..bench.asking(project, &script) };
    // Their ids may be of one millisecond, and have no order then.
    let second = bench.asking(project, "And then?");
    for run in [&first, &second] {
        let writer = bench.owned(run).await;
        execute(&bench.engine, bench.key(run.run), *writer, None).await.unwrap();
    }
    let answered = bench.state(first.run).await;
    let asked = server.asked();
    let messages = asked[0]["messages"].as_array().unwrap();
    let roles: Vec<&str> = messages.iter().map(|message| message["role"].as_str().unwrap()).collect();
    assert_eq!(roles, ["system", "user", "assistant", "tool", "assistant", "user"]);
    let call = &messages[2]["tool_calls"][0];
    assert_eq!(call["function"]["name"], "cite_source");
    let arguments: Value = serde_json::from_str(call["function"]["arguments"].as_str().unwrap()).unwrap();
    assert_eq!(arguments, json!({"url": "https://example.com/", "title": "Example"}));
    assert_eq!(messages[3]["tool_call_id"], call["id"]);
    assert_eq!(messages[4]["content"], json!(answered.answers.last().unwrap().text));
}
