//! Calls of other agents at `/mcp`, and the isolation of tenants.

use crate::deployment::{Deployment, Person, golden, request};
use sequent_conversation::Runs;
use sequent_core::RunId;
use sequent_http::{Scope, testing::Answer};
use serde_json::{Value, json};

pub(crate) async fn say(deployment: &Deployment, token: &str, message: &Value) -> Answer {
    let event = request("POST", "/mcp", token)
        .header("accept", "application/json, text/event-stream")
        .header("mcp-protocol-version", "2025-11-25")
        .json(message);
    deployment.send(&event).await
}

pub(crate) async fn call(deployment: &Deployment, token: &str, tool: &str, arguments: Value) -> Value {
    let message = json!({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {"name": tool, "arguments": arguments}});
    let answer = say(deployment, token, &message).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(answer.header("content-type").starts_with("application/json"));
    answer.json()["result"].clone()
}

pub(crate) async fn two() -> (Deployment, Person, Person) {
    let deployment = Deployment::new().await;
    let ada = deployment.sign_up("ada@example.com").await;
    let bob = deployment.sign_up("bob@example.com").await;
    (deployment, ada, bob)
}

pub(crate) fn failed(result: &Value) -> &str {
    assert_eq!(result["isError"], true, "{result}");
    result["content"][0]["text"].as_str().unwrap()
}

pub(crate) fn run_of(result: &Value) -> RunId {
    serde_json::from_value(result["structuredContent"]["run_id"].clone())
        .unwrap_or_else(|_| panic!("{result}"))
}

#[tokio::test]
async fn a_run_is_started_once_and_only_its_tenant_can_read_it() {
    let (deployment, ada, bob) = two().await;
    let event = golden("call-start-run", &ada);
    let (one, other) = tokio::join!(deployment.send(&event), deployment.send(&event));
    let one = one.json()["result"].clone();
    let other = other.json()["result"].clone();
    assert_eq!(one["structuredContent"], other["structuredContent"], "one key, one run");
    let reused = json!({"input": "Something else.", "idempotency_key": "tides-1"});
    let reused = call(&deployment, &ada.token, "start_run", reused).await;
    assert!(failed(&reused).contains("idempotency_key_reused"), "{reused}");

    let start = json!({"input": "/demo tokens=5"});
    let started = call(&deployment, &ada.token, "start_run", start).await;
    let run = run_of(&started);
    let look = json!({"run_id": run});
    let pending = call(&deployment, &ada.token, "get_run", look.clone()).await;
    assert_eq!(pending["structuredContent"]["status"], "pending");
    assert_eq!(pending["structuredContent"]["answer"], Value::Null);
    deployment.work(&ada, run).await;
    let ended = call(&deployment, &ada.token, "get_run", look.clone()).await;
    assert_eq!(ended["structuredContent"]["status"], "success", "{ended}");
    assert!(!ended["structuredContent"]["answer"].as_str().unwrap().is_empty());
    assert!(
        failed(&call(&deployment, &bob.token, "get_run", look).await)
            .starts_with("There is no run with this id.")
    );
}

#[tokio::test]
async fn a_started_run_has_the_parameters_and_the_schema_of_the_call() {
    let (deployment, ada, _) = two().await;
    let started = deployment.send(&golden("call-start-run-structured", &ada)).await.json();
    let run = Runs::new(deployment.store(), ada.tenant()).get(run_of(&started["result"])).await.unwrap();
    let options = serde_json::to_value(run.options).unwrap();
    let parameters = json!({"temperature": 0.2, "max_output_tokens": 500, "stop": ["END"], "reasoning_effort": "low", "seed": 7});
    assert_eq!(options["parameters"], parameters);
    assert_eq!(options["output_schema"]["required"], json!(["height"]));
}

#[tokio::test]
async fn start_run_is_refused_in_a_busy_project_and_send_message_waits() {
    let (deployment, ada, bob) = two().await;
    let first = call(&deployment, &ada.token, "send_message", json!({"message": "/demo tokens=3"})).await;
    let project = first["structuredContent"]["project_id"].clone();
    let start = json!({"input": "/demo tokens=3", "project_id": project});
    let message = json!({"message": "/demo tokens=3", "project_id": project});
    let busy = call(&deployment, &ada.token, "start_run", start.clone()).await;
    assert!(failed(&busy).contains(&run_of(&first).to_string()), "{busy}");
    let second = call(&deployment, &ada.token, "send_message", message.clone()).await;
    assert_eq!(second["structuredContent"]["project_id"], project);
    for run in [&first, &second] {
        deployment.work(&ada, run_of(run)).await;
    }
    let third = call(&deployment, &ada.token, "start_run", start.clone()).await;
    deployment.work(&ada, run_of(&third)).await;
    for (tool, arguments) in [("send_message", message), ("start_run", start)] {
        let refused = call(&deployment, &bob.token, tool, arguments).await;
        assert!(failed(&refused).starts_with("There is no project with this id."), "{refused}");
    }
}

#[tokio::test]
async fn a_body_that_is_no_message_is_refused_as_such() {
    let (deployment, ada, _) = two().await;
    for wrong in
        [json!({"jsonrpc": "2.0"}), json!({"jsonrpc": "", "method": "tools/list", "id": 1}), json!([])]
    {
        let answer = say(&deployment, &ada.token, &wrong).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (422, "validation_failed"), "{wrong}");
    }
    let event = request("POST", "/mcp", &ada.token)
        .header("accept", "application/json, text/event-stream")
        .header("content-type", "application/json")
        .body("{");
    assert_eq!(deployment.send(&event).await.code(), "invalid_json");
}

#[tokio::test]
async fn the_description_allows_the_messages_that_are_read_and_no_others() {
    let (deployment, ada, _) = two().await;
    let document = serde_json::to_value(sequent_mcp_function::openapi()).unwrap();
    let schema = sequent_tool::Schema::new(&document["components"]["schemas"]["McpMessage"]).unwrap();
    for message in [
        json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"}),
        json!({"jsonrpc": "2.0", "id": "a", "method": "tools/list", "params": {}}),
        json!({"jsonrpc": "2.0", "method": "notifications/initialized"}),
        json!({"jsonrpc": "2.0", "id": null, "method": "tools/list"}),
        json!({"jsonrpc": "2.0", "id": true, "method": "tools/list"}),
        json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": null}),
        json!({"jsonrpc": "2.0", "id": 1, "method": "", "params": null}),
        json!({"jsonrpc": "2.0", "id": 1, "method": "", "params": "none"}),
        json!({"jsonrpc": "2.0", "id": 1, "method": "", "params": []}),
        json!({"jsonrpc": "2.0", "id": 1}),
    ] {
        let is_read = say(&deployment, &ada.token, &message).await.status.is_success();
        let checked = schema.check(&message);
        assert_eq!(checked.is_ok(), is_read, "{message}: {checked:?}");
    }
}

#[tokio::test]
async fn a_refused_call_explains_what_to_do() {
    let (deployment, ada, _) = two().await;
    let reader = deployment.api_key(&ada, [Scope::RunsRead]).await;
    let refused = call(&deployment, &reader, "start_run", json!({"input": "x"})).await;
    assert!(failed(&refused).contains("`chat`"), "{refused}");
    let writer = deployment.api_key(&ada, [Scope::Chat]).await;
    let refused = call(&deployment, &writer, "get_run", json!({"run_id": RunId::new()})).await;
    assert!(failed(&refused).contains("`runs:read`"), "{refused}");
    for (tool, arguments, why) in [
        ("start_run", json!({}), "missing field `input`"),
        ("start_run", json!({"input": " "}), "must not be empty"),
        ("start_run", json!({"input": "x".repeat(64 * 1024 + 1)}), "at most 65536 bytes"),
        ("start_run", json!({"input": "x", "model": "no such/model/name at all"}), "model"),
        ("start_run", json!({"input": "x", "idempotency_key": ""}), "idempotency key"),
        ("start_run", json!({"input": "x", "orchestration": "chaos"}), "unknown variant"),
        ("start_run", json!({"input": "x", "parameters": {"temperature": 3}}), "from 0 to 2"),
        ("start_run", json!({"input": "x", "output_schema": {"type": "strnig"}}), "not a usable JSON Schema"),
        ("send_message", json!({"message": "x", "model": "y"}), "unknown field"),
        ("get_run", json!({"run_id": "run_1"}), "not valid"),
    ] {
        let refused = call(&deployment, &ada.token, tool, arguments).await;
        assert!(failed(&refused).contains(why), "{tool}: {refused}");
    }
    let unknown =
        json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "rm", "arguments": {}}});
    let unknown = say(&deployment, &ada.token, &unknown).await.json();
    assert_eq!(unknown["error"]["code"], -32602, "{unknown}");
}

#[tokio::test]
async fn every_protocol_version_is_supported_and_results_match_their_schemas() {
    let (deployment, ada, _) = two().await;
    for version in ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"] {
        let params = json!({"protocolVersion": version, "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}});
        let hello = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params});
        let event = request("POST", "/mcp", &ada.token)
            .header("accept", "application/json, text/event-stream")
            .json(&hello);
        let answer = deployment.send(&event).await.json();
        assert_eq!(answer["result"]["protocolVersion"], version, "{answer}");
        assert_eq!(answer["result"]["capabilities"], json!({"tools": {}}));
    }
    let list = deployment.send(&golden("list-tools", &ada)).await.json();
    let tools = list["result"]["tools"].as_array().unwrap();
    assert_eq!(tools.len(), 3);
    for tool in tools {
        for schema in ["inputSchema", "outputSchema"] {
            sequent_tool::Schema::new(&tool[schema]).unwrap_or_else(|error| panic!("{error}: {tool}"));
        }
    }
    let get_run = tools.iter().find(|tool| tool["name"] == "get_run").unwrap();
    let started = call(&deployment, &ada.token, "start_run", json!({"input": "x"})).await;
    let seen = call(&deployment, &ada.token, "get_run", json!({"run_id": run_of(&started)})).await;
    let schema = sequent_tool::Schema::new(&get_run["outputSchema"]).unwrap();
    assert_eq!(schema.check(&seen["structuredContent"]), Ok(()));
}
