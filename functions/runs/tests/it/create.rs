//! Starting background runs: the stored rows, retries, and busy projects.

use crate::deployment::{Deployment, Person, golden, log_key, request};
use sequent_conversation::Projects;
use sequent_core::{ProjectId, RunId};
use sequent_event::Body;
use sequent_http::{Scope, testing::Answer};
use sequent_runlog::read_all;
use serde_json::{Value, json};

async fn create(deployment: &Deployment, of: &Person, body: Value) -> Answer {
    deployment.send(&request("POST", "/api/runs", of).json(&body)).await
}

fn id(run: &Value) -> RunId {
    serde_json::from_value(run["id"].clone()).unwrap()
}

async fn live(deployment: &Deployment, of: &Person, project: &Value) -> Value {
    let project: ProjectId = serde_json::from_value(project.clone()).unwrap();
    let project = Projects::new(deployment.engine().store(), of.tenant()).get(project).await.unwrap();
    json!(project.live_run_id)
}

#[tokio::test]
async fn a_run_is_stored_as_requested_and_can_be_read_at_once() {
    let deployment = Deployment::new().await;
    let ada = deployment.sign_up("ada@example.com").await;
    let answer = deployment.send(&golden("create", &ada)).await;
    assert_eq!(answer.status, 202, "{}", answer.text());
    let run = answer.json();
    assert_eq!(answer.header("location"), format!("/api/runs/{}", run["id"].as_str().unwrap()));
    let budget = json!({
        "max_steps": 20, "max_tokens": null, "max_cost_micro_usd": 500_000, "max_seconds": null
    });
    let asked = [
        ("status", json!("pending")),
        ("orchestration", json!("plan")),
        ("deliverable_type", json!("report")),
        ("tools", json!(["web_fetch", "cite_source"])),
        ("budget", budget),
        ("user_id", json!(ada.user())),
        ("parent_run_id", Value::Null),
    ];
    for (field, expected) in asked {
        assert_eq!(run[field], expected, "{field}");
    }
    let found = deployment.send(&request("GET", answer.header("location"), &ada)).await;
    assert_eq!(found.json(), run);
    assert_eq!(live(&deployment, &ada, &run["project_id"]).await, run["id"], "the run has the turn");

    let segments = read_all(&deployment.engine().storage, log_key(&ada, id(&run))).await.unwrap();
    let bodies: Vec<_> =
        segments.into_iter().flat_map(|segment| segment.entries).map(|e| e.body().unwrap().clone()).collect();
    assert!(
        matches!(bodies.as_slice(), [Body::RunConfigured(_), Body::UserMessage { content, .. }]
            if content.text() == "Compare the tides of Brest and Saint-Malo."),
        "{bodies:?}"
    );
}

#[tokio::test]
async fn a_retry_with_the_same_key_gets_the_same_run() {
    let deployment = Deployment::new().await;
    let ada = deployment.sign_up("ada@example.com").await;
    let event = golden("create", &ada);
    let (one, other) = tokio::join!(deployment.send(&event), deployment.send(&event));
    assert_eq!((one.status.as_u16(), other.status.as_u16()), (202, 202), "{} {}", one.text(), other.text());
    assert_eq!(one.json(), other.json());
    let again = deployment.send(&event).await;
    assert_eq!((again.json(), again.header("idempotency-replayed")), (one.json(), "true"));
    let list = deployment.send(&request("GET", "/api/runs", &ada)).await.json();
    assert_eq!(list["items"].as_array().unwrap().len(), 1);

    let key = "9f6f2f6a-52d4-4f4e-8c59-0d5b9a7f6b12";
    let reused =
        request("POST", "/api/runs", &ada).header("idempotency-key", key).json(&json!({ "input": "x" }));
    let reused = deployment.send(&reused).await;
    assert_eq!((reused.status.as_u16(), reused.code().as_str()), (422, "idempotency_key_reused"));
}

#[tokio::test]
async fn on_conflict_decides_what_happens_in_a_busy_project() {
    let deployment = Deployment::new().await;
    let ada = deployment.sign_up("ada@example.com").await;
    let first = create(&deployment, &ada, json!({ "input": "one" })).await.json();
    let in_project = |on_conflict: &str| json!({ "input": "two", "project_id": first["project_id"], "on_conflict": on_conflict });
    let refused = create(&deployment, &ada, in_project("reject")).await;
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (409, "run_in_progress"));
    assert_eq!(refused.json()["run_id"], first["id"]);

    let queued = create(&deployment, &ada, in_project("enqueue")).await;
    assert_eq!(queued.status, 202, "{}", queued.text());
    assert_eq!(
        live(&deployment, &ada, &first["project_id"]).await,
        first["id"],
        "the second run waits for its turn"
    );

    for on_conflict in ["interrupt", "rollback"] {
        let answer = create(&deployment, &ada, in_project(on_conflict)).await;
        assert_eq!(answer.status, 202, "{}", answer.text());
    }
    let path = format!("/api/runs/{}", first["id"].as_str().unwrap());
    let ended = deployment.send(&request("GET", &path, &ada)).await.json();
    assert_eq!(ended["status"], "cancelled", "it was pending");
}

#[tokio::test]
async fn simultaneous_requests_that_reject_conflicts_start_one_run() {
    let deployment = Deployment::new().await;
    let ada = deployment.sign_up("ada@example.com").await;
    let project = deployment.project(&ada).await;
    let body = json!({ "input": "hello", "project_id": project });
    let (one, other) =
        tokio::join!(create(&deployment, &ada, body.clone()), create(&deployment, &ada, body.clone()));
    let mut statuses = [one.status.as_u16(), other.status.as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [202, 409]);
}

#[tokio::test]
async fn an_invalid_request_is_refused_before_a_row_is_stored() {
    let deployment = Deployment::new().await;
    let ada = deployment.sign_up("ada@example.com").await;
    let long = "x".repeat(64 * 1024 + 1);
    let many: Vec<String> = (0..65).map(|n| format!("tool_{n}")).collect();
    let bodies = [
        json!({ "input": "" }),
        json!({ "input": long }),
        json!({ "input": "x", "model": "no such/model/name at all" }),
        json!({ "input": "x", "tools": ["with space"] }),
        json!({ "input": "x", "tools": many }),
        json!({ "input": "x", "deliverable_type": "" }),
        json!({ "input": "x", "budget": { "max_stops": 3 } }),
        json!({ "input": "x", "budget": { "max_steps": -3 } }),
        json!({ "input": "x", "orchestration": "chaos" }),
        json!({ "input": "x", "parent_run_id": RunId::new() }),
        json!({}),
    ];
    for body in bodies {
        let answer = create(&deployment, &ada, body.clone()).await;
        assert!([400, 422].contains(&answer.status.as_u16()), "{} {}", answer.status, answer.text());
    }
    let list = deployment.send(&request("GET", "/api/runs", &ada)).await.json();
    assert_eq!(list["items"], json!([]));

    let reader = deployment.api_key(&ada, [Scope::RunsRead, Scope::RunsWrite]).await;
    let event = request("POST", "/api/runs", &ada).bearer(&reader).json(&json!({ "input": "x" }));
    let answer = deployment.send(&event).await;
    assert_eq!(answer.status, 403, "{}", answer.text());
}

/// A schema of 4 KB that takes 2^60 steps to check any answer.
fn endless_schema() -> Value {
    let twice = |level: usize| {
        let next = json!({"$ref": format!("#/$defs/a{}", level + 1)});
        (format!("a{level}"), json!({"allOf": [next, next]}))
    };
    let definitions: serde_json::Map<String, Value> =
        (0..60).map(twice).chain([("a60".to_owned(), json!({}))]).collect();
    json!({"$defs": definitions, "$ref": "#/$defs/a0"})
}

#[tokio::test]
async fn parameters_and_the_schema_of_the_answer_are_checked_and_kept() {
    let deployment = Deployment::new().await;
    let ada = deployment.sign_up("ada@example.com").await;
    let schema = json!({"type": "object", "required": ["city"]});
    let parameters =
        json!({"temperature": 0.2, "max_output_tokens": 500, "stop": ["END"], "reasoning_effort": "low"});
    let body = json!({"input": "The capital?", "parameters": parameters, "output_schema": schema});
    let run = create(&deployment, &ada, body).await;
    assert_eq!(run.status, 202, "{}", run.text());
    assert_eq!((&run.json()["parameters"], &run.json()["output_schema"]), (&parameters, &schema));
    for (member, wrong, pointer) in [
        ("parameters", json!({"temperature": 2.5}), "/parameters/temperature"),
        ("parameters", json!({"stop": ["a", "b", "c", "d", "e"]}), "/parameters/stop"),
        ("output_schema", json!({"type": "strnig"}), "/output_schema"),
        ("output_schema", json!({"$ref": "https://example.com/schema"}), "/output_schema"),
        ("output_schema", endless_schema(), "/output_schema"),
    ] {
        let answer = create(&deployment, &ada, json!({"input": "x", member: wrong})).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (422, "validation_failed"), "{wrong}");
        assert!(answer.text().contains(pointer), "{wrong}: {}", answer.text());
    }
    let both = json!({"input": "x", "output_schema": schema, "deliverable_type": "report"});
    assert_eq!(create(&deployment, &ada, both).await.status, 422);
}

#[tokio::test]
async fn the_context_of_a_call_has_the_parameters_and_the_schema_of_its_run() {
    let deployment = Deployment::new().await;
    let ada = deployment.sign_up("ada@example.com").await;
    let run = RunId::new();
    let chosen =
        json!({"parameters": {"temperature": 0.2, "stop": ["END"]}, "output_schema": {"type": "object"}});
    deployment.complete_with(&ada, run, serde_json::from_value(chosen.clone()).unwrap()).await;
    let path = format!("/api/runs/{run}/context?step=1");
    let shown = deployment.send(&request("GET", &path, &ada)).await.json();
    assert_eq!(shown["state"], "exact");
    for member in ["parameters", "output_schema"] {
        assert_eq!(shown[member], chosen[member], "{member}: {shown}");
    }
}

#[tokio::test]
async fn the_tools_of_a_client_are_in_the_log_of_the_run_and_not_in_its_row() {
    let deployment = Deployment::new().await;
    let ada = deployment.sign_up("ada@example.com").await;
    let tool = json!({"name": "locate", "description": "Locates.", "input_schema": {"type": "object"}});
    let started = create(&deployment, &ada, json!({"input": "Go.", "client_tools": [tool]})).await;
    assert_eq!((started.status.as_u16(), &started.json()["client_tools"]), (202, &Value::Null));
    let segments = read_all(&deployment.engine().storage, log_key(&ada, id(&started.json()))).await.unwrap();
    let first = segments[0].events().next().unwrap();
    let Some(Body::RunConfigured(configuration)) = first.body() else { panic!("{first:?}") };
    assert_eq!(configuration.client_tools[0].name, "locate");

    let twice = create(&deployment, &ada, json!({"input": "Go.", "client_tools": [tool, tool]})).await;
    assert_eq!((twice.status.as_u16(), twice.code().as_str()), (422, "validation_failed"));
    let taken =
        json!([{"name": "save_artifact", "description": "Saves.", "input_schema": {"type": "object"}}]);
    let taken = create(&deployment, &ada, json!({"input": "Go.", "client_tools": taken})).await;
    assert_eq!(taken.json()["errors"][0]["pointer"], "#/client_tools", "{}", taken.text());
}
