//! Calls that the client carries out, and approvals, as clients of the AI SDK answer them.

use futures::future::join_all;
use http::StatusCode;
use sequent_http::{
    App,
    testing::{Answer, Event},
};
use serde_json::{Value, json};

use crate::app::{app, event, events, frames, send};

/// A script that calls two tools of the client and then quotes the last result.
const CALLS: &str = r#"/demo tokens=1 rate=0 tool=heat args={"city":"Bern"} tool=wind args={"city":"Basel"}
/demo rate=0"#;
const WIRES: &str = "/demo tokens=1 rate=0 tool=wire\n/demo rate=0";

fn client_tools() -> Value {
    let tool = |name: &str| {
        json!({"name": name, "description": "Measures.", "input_schema": {"type": "object"},
               "output_schema": {"type": ["number", "object"]}})
    };
    json!([tool("heat"), tool("wind")])
}

/// A chat of the AI SDK.
struct Chat {
    app: App,
    /// The answer as the client has it.
    message: Value,
    question: Value,
}

/// Reads the chunks of a stream.
fn chunks(answer: &Answer) -> Vec<Value> {
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    let mut frames = frames(answer);
    assert_eq!(frames.pop().as_deref(), Some("[DONE]"));
    frames.iter().map(|frame| serde_json::from_str(frame).unwrap()).collect()
}

fn types(chunks: &[Value]) -> Vec<&str> {
    let types = chunks.iter().map(|chunk| chunk["type"].as_str().unwrap());
    types.filter(|kind| !matches!(*kind, "data-sequent-event" | "message-metadata" | "text-delta")).collect()
}

fn text(chunks: &[Value]) -> String {
    chunks.iter().filter_map(|chunk| chunk["delta"].as_str()).collect()
}

impl Chat {
    /// Sends a message whose answer then waits.
    async fn begin(script: &str, path: &str) -> Self {
        let app = app().await;
        let question = json!({"id": "u", "role": "user", "parts": [{"type": "text", "text": script}]});
        let body = json!({"id": "c", "messages": [question], "client_tools": client_tools()});
        let answer = event("POST", path).json(&body).send(&app).await;
        let run = answer.header("x-workflow-run-id").to_owned();
        let mut parts = vec![json!({"type": "step-start"})];
        for chunk in chunks(&answer) {
            let call = parts.iter_mut().find(|part| part["toolCallId"] == chunk["toolCallId"]);
            match (chunk["type"].as_str().unwrap(), call) {
                ("tool-input-available", Some(call)) => call["state"] = json!("input-available"),
                ("tool-input-available", None) => parts.push(json!({
                    "type": format!("tool-{}", chunk["toolName"].as_str().unwrap()),
                    "toolCallId": chunk["toolCallId"], "state": "input-available", "input": chunk["input"]
                })),
                ("tool-approval-request", Some(call)) => {
                    call["state"] = json!("approval-requested");
                    call["approval"] = json!({"id": chunk["approvalId"]});
                }
                _ => {}
            }
        }
        let message = json!({"id": run, "role": "assistant", "parts": parts});
        Self { app, message, question }
    }

    fn part(&mut self, at: usize) -> &mut Value {
        &mut self.message["parts"][1 + at]
    }

    /// As `addToolOutput` of the SDK.
    fn output(&mut self, at: usize, output: Value) {
        let part = self.part(at);
        part["state"] = json!("output-available");
        part["output"] = output;
    }

    /// As `addToolApprovalResponse` of the SDK.
    fn decide(&mut self, at: usize, approved: bool, reason: Option<&str>) {
        let part = self.part(at);
        part["state"] = json!("approval-responded");
        part["approval"]["approved"] = json!(approved);
        part["approval"]["reason"] = json!(reason);
    }

    fn request(&self, path: &str) -> Event {
        let body = json!({"id": "c", "messages": [self.question, self.message], "trigger": "submit-message",
                          "messageId": self.message["id"], "client_tools": client_tools()});
        event("POST", path).json(&body)
    }

    async fn send(&self) -> Answer {
        self.request("/api/chat").send(&self.app).await
    }
}

#[tokio::test]
async fn results_of_the_client_continue_the_message_with_new_chunks_only() {
    let mut chat = Chat::begin(CALLS, "/api/chat").await;
    assert_eq!(chat.part(0)["type"], "tool-heat");
    chat.output(0, json!(21.0));
    chat.output(1, json!({"from": "west"}));
    let rest = chunks(&chat.send().await);
    let expected = [
        "tool-output-available",
        "tool-output-available",
        "start",
        "finish-step",
        "start-step",
        "text-start",
        "text-end",
        "finish-step",
        "finish",
    ];
    assert_eq!(types(&rest), expected, "{rest:?}");
    let start = rest.iter().find(|chunk| chunk["type"] == "start").unwrap();
    assert_eq!(start["messageId"], chat.message["id"]);
    assert!(text(&rest).contains(r#"{"from":"west"}"#), "{}", text(&rest));

    // The response was lost. JavaScript sends the number in another form.
    chat.output(0, json!(21));
    let again = chunks(&chat.send().await);
    assert_eq!(again, rest, "the same message gets the same stream");
    chat.output(0, json!(22));
    let other = chat.send().await;
    assert_eq!((other.status, other.code().as_str()), (StatusCode::CONFLICT, "already_answered"));
    assert_eq!(other.json()["answer"]["payload"], 21.0, "the first answer is returned");
}

#[tokio::test]
async fn one_of_several_results_is_stored_and_the_stream_ends_with_it() {
    let mut chat = Chat::begin(CALLS, "/api/chat").await;
    chat.output(1, json!(3));
    let part = chunks(&chat.send().await);
    assert_eq!(types(&part), ["tool-output-available"]);
    let run = chat.message["id"].as_str().unwrap().to_owned();
    let whole = chunks(&event("GET", &format!("/api/chat/{run}/stream")).send(&chat.app).await);
    assert_eq!(whole[whole.len() - part.len()..], part, "another tab sees the result");

    let failed = chat.part(0);
    failed["state"] = json!("output-error");
    failed["errorText"] = json!("The sensor is broken.");
    let rest = chunks(&chat.send().await);
    let error = rest.iter().find(|chunk| chunk["type"] == "tool-output-error").unwrap();
    assert_eq!(error["errorText"], "The sensor is broken.");
    assert_eq!(rest.last().unwrap()["finishReason"], "stop");
}

#[tokio::test]
async fn of_concurrent_results_the_first_counts_and_equal_ones_get_the_same_stream() {
    let mut chat = Chat::begin(CALLS, "/api/chat").await;
    chat.output(0, json!(1));
    let mut requests = Vec::new();
    for n in [7, 7, 8, 8] {
        chat.output(1, json!(n));
        requests.push(chat.request("/api/chat"));
    }
    let answers = join_all(requests.iter().map(|request| request.send(&chat.app))).await;
    let (taken, refused): (Vec<_>, Vec<_>) =
        answers.iter().partition(|answer| answer.status == StatusCode::OK);
    assert_eq!((taken.len(), refused.len()), (2, 2));
    assert_eq!(chunks(taken[0]), chunks(taken[1]));
    assert!(refused.iter().all(|answer| answer.code() == "already_answered"));
}

#[tokio::test]
async fn a_result_that_does_not_match_its_schema_is_refused_at_its_place() {
    let mut chat = Chat::begin(CALLS, "/api/chat").await;
    chat.output(1, json!("windy"));
    let refused = chat.send().await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(refused.json()["errors"][0]["pointer"], "#/messages/1/parts/2/output", "{}", refused.text());
}

#[tokio::test]
async fn a_message_that_answers_nothing_is_not_asked_and_billed_again() {
    let mut chat = Chat::begin(CALLS, "/api/chat").await;
    let refused = async |chat: &Chat| {
        let refused = chat.send().await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", refused.text());
        assert_eq!(refused.json()["errors"][0]["pointer"], "#/messages");
    };
    refused(&chat).await;
    chat.output(0, json!(1));
    chat.part(0)["toolCallId"] = json!("call_unknown");
    refused(&chat).await;
    let stranger = chat.request("/api/chat").bearer("other").send(&chat.app).await;
    assert_eq!(
        stranger.status,
        StatusCode::UNPROCESSABLE_ENTITY,
        "the run of another tenant is not revealed"
    );
}

#[tokio::test]
async fn an_approval_comes_back_in_the_message_and_the_call_runs() {
    let mut chat = Chat::begin(WIRES, "/api/chat").await;
    assert_eq!(chat.part(0)["state"], "approval-requested");
    chat.decide(0, true, None);
    for (key, scope) in [("chat key", "runs:write"), ("full key", "approvals")] {
        let refused = chat.request("/api/chat").bearer(key).send(&chat.app).await;
        assert_eq!((refused.status, refused.json()["scope"].as_str()), (StatusCode::FORBIDDEN, Some(scope)));
    }
    let rest = chunks(&chat.send().await);
    let expected = [
        "start",
        "tool-input-available",
        "tool-output-available",
        "finish-step",
        "start-step",
        "text-start",
        "text-end",
        "finish-step",
        "finish",
    ];
    assert_eq!(types(&rest), expected);
    assert!(rest.iter().any(|chunk| chunk["output"] == "wired"));
    chat.decide(0, false, None);
    assert_eq!(chat.send().await.code(), "already_answered");
}

#[tokio::test]
async fn a_denial_with_its_reason_is_told_to_the_model_and_shown() {
    let mut chat = Chat::begin(WIRES, "/api/chat").await;
    chat.decide(0, false, Some("Wrong account."));
    let rest = chunks(&chat.send().await);
    let denied = rest.iter().find(|chunk| chunk["type"] == "tool-output-denied").unwrap();
    assert_eq!(denied["reason"], "Wrong account.");
    assert!(!rest.iter().any(|chunk| chunk["type"] == "tool-output-available"));
    assert!(text(&rest).contains("Wrong account."), "{}", text(&rest));
}

#[tokio::test]
async fn version_5_of_the_sdk_gets_no_chunks_of_approvals() {
    let mut chat = Chat::begin(WIRES, "/api/chat?v=5").await;
    assert_eq!(chat.part(0)["state"], "input-available");
    let run = chat.message["id"].as_str().unwrap();
    let open =
        event("GET", &format!("/api/runs/{run}/events?limit=100")).header("accept", "application/json");
    let open = open.send(&chat.app).await.json();
    let question =
        open["events"].as_array().unwrap().iter().find(|event| event["type"] == "CLARIFICATION_NEEDED");
    let answer = json!({"answers": [{"interrupt_id": question.unwrap()["interruptId"], "payload": {"approved": false}}]});
    let resumed = event("POST", &format!("/api/runs/{run}/resume")).json(&answer).send(&chat.app).await;
    assert_eq!(events(&resumed).last().unwrap()["outcome"]["type"], "success");
    for (form, kinds) in [("?v=5", ["tool-output-available"; 1]), ("?v=6", ["tool-output-denied"])] {
        let whole = chunks(&event("GET", &format!("/api/chat/{run}/stream{form}")).send(&chat.app).await);
        let ends: Vec<_> = types(&whole).into_iter().filter(|kind| kind.starts_with("tool-output")).collect();
        assert_eq!(ends, kinds, "{form}");
    }
    let unknown = event("GET", &format!("/api/chat/{run}/stream?v=4")).send(&chat.app).await;
    assert_eq!(unknown.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_tool_of_the_client_must_not_have_the_name_of_another() {
    let app = app().await;
    for name in ["ask_user", "write_plan", "save_artifact"] {
        let tools = json!([{"name": name, "description": "Does.", "input_schema": {"type": "object"}}]);
        for request in [
            send(&json!({"message": {"content": "Hi"}, "client_tools": tools})),
            event("POST", "/api/chat")
                .json(&json!({"message": {"role": "user", "content": "Hi"}, "client_tools": tools})),
        ] {
            let refused = request.send(&app).await;
            assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{name}: {}", refused.text());
            assert_eq!(refused.json()["errors"][0]["pointer"], "#/client_tools");
        }
    }
}

#[tokio::test]
async fn an_approval_of_the_sdk_can_hold_for_the_chat() {
    let mut chat = Chat::begin(WIRES, "/api/chat").await;
    chat.decide(0, true, None);
    let body = json!({"id": "c", "messages": [chat.question, chat.message], "approve_always": true});
    chunks(&event("POST", "/api/chat").json(&body).send(&chat.app).await);
    let next = json!({"id": "c", "messages": [chat.question]});
    let rest = chunks(&event("POST", "/api/chat").json(&next).send(&chat.app).await);
    assert!(!types(&rest).contains(&"tool-approval-request"), "{rest:?}");
    assert!(rest.iter().any(|chunk| chunk["output"] == "wired"));
}
