//! Artifacts of runs, and the scopes that they need.

use reqwest::{Client, header};
use serde_json::{Value, json};

use super::{list, objects};
use crate::{
    surface::{Call, Person},
    system::{System, of_kind},
};

const SAVE: &str = "/demo tool=save_artifact args={\"title\":\"Q3\",\"content\":\"<script>alert(1)</script>\",\
                    \"media_type\":\"text/html\",\"entity_type\":\"report\",\"tags\":[\"q3\",\"draft\"]}\n/demo tokens=2 rate=0";

/// Starts a run with a credential and returns its id and log.
async fn run(person: &Person, credential: &[(&'static str, String)], said: &str) -> (String, Vec<Value>) {
    let call = Call::to("/api/chat/send").body(json!({"message": {"content": said}}));
    let answer = person.read("POST", &call, credential).await;
    let run = answer.header("x-run-id").to_owned();
    let log = person.get(&format!("/api/runs/{run}/events?limit=1000")).await;
    (run, log["events"].as_array().unwrap().clone())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn saved_artifacts_are_in_the_log_the_manifest_and_every_list() {
    let system = System::start(&[]).await;
    let person = Person::sign_up(&system, "ada@example.com").await;
    let (run, log) = run(&person, &person.bearer(), SAVE).await;
    let created = of_kind(&log, "ARTIFACT_CREATED");
    let [created] = created[..] else { panic!("one artifact: {log:?}") };
    let result = of_kind(&log, "TOOL_CALL_RESULT")[0];
    assert_eq!(created["toolCallId"], result["toolCallId"]);
    let id = created["artifactId"].as_str().unwrap();
    assert!(result["content"].as_str().unwrap().contains(id), "the model gets the id: {result}");

    let artifact = person.get(&format!("/api/artifacts/{id}")).await;
    for (field, event_field) in
        [("sha256", "sha256"), ("size", "size"), ("title", "title"), ("tool_call_id", "toolCallId")]
    {
        assert_eq!(artifact[field], created[event_field], "{field}");
    }
    assert_eq!(artifact["run_id"], run.as_str());
    let manifest = person.get(&format!("/api/runs/{run}/manifest")).await;
    assert_eq!(manifest, json!({"run_id": run, "items": [artifact], "complete": true}));
    for query in
        [format!("&run={run}"), "&tag=draft".to_owned(), format!("&tag=q3&entity_type=report&run={run}")]
    {
        assert_eq!(list(&person, &query).await, std::slice::from_ref(&artifact), "{query}");
    }
    assert_eq!(list(&person, &format!("&run={run}&tag=final")).await, Vec::<Value>::new());
    let entities = person.get("/api/entities?type=report").await;
    let [entity] = &entities["items"].as_array().unwrap()[..] else { panic!("one entity: {entities}") };
    assert_eq!((&entity["name"], &entity["artifact_id"]), (&artifact["title"], &artifact["id"]));
    assert_eq!(person.get("/api/entities?type=table").await["items"], json!([]));

    // The bytes are served whole and in ranges, but never as a type that a browser executes.
    let content = Call::to(format!("/api/artifacts/{id}/content"));
    let there = person.send("GET", &content, &person.bearer()).await;
    assert_eq!(there.headers()[header::CONTENT_TYPE], "application/octet-stream");
    let disposition = there.headers()[header::CONTENT_DISPOSITION].to_str().unwrap().to_owned();
    assert!(disposition.starts_with("attachment; filename=\"Q3.html\""), "{disposition}");
    let place = there.url().clone();
    assert_eq!(there.text().await.unwrap(), "<script>alert(1)</script>");
    let part = Client::new().get(place).header(header::RANGE, "bytes=1-6").send().await.unwrap();
    assert_eq!((part.status().as_u16(), part.text().await.unwrap().as_str()), (206, "script"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_saves_nothing_for_a_caller_without_the_scope() {
    let system = System::start(&[]).await;
    let person = Person::sign_up(&system, "ada@example.com").await;
    let key = async |scopes: Value| {
        let call = Call::to("/api/auth/api-keys").body(json!({"name": "k", "scopes": scopes}));
        vec![("x-api-key", person.post(call).await.json()["key"].as_str().unwrap().to_owned())]
    };
    let (with, without) =
        (key(json!(["chat", "artifacts:write"])).await, key(json!(["chat", "runs:read"])).await);

    let (_, log) = run(&person, &without, SAVE).await;
    assert_eq!(of_kind(&log, "RUN_CONFIGURED")[0]["scopes"], json!(["chat", "runs:read"]));
    assert_eq!(of_kind(&log, "TOOL_CALL_START"), Vec::<&Value>::new(), "it is not offered");
    // A child run has no scope that its parent lacks.
    let plan =
        json!({"input": format!("/demo\n{SAVE}"), "orchestration": "plan", "tools": ["save_artifact"]});
    let started = person.read("POST", &Call::to("/api/runs").body(plan), &without).await.json();
    let row = loop {
        let row = person.get(&format!("/api/runs/{}", started["id"].as_str().unwrap())).await;
        if row["completed_at"].is_string() {
            break row;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    };
    assert_eq!(row["scopes"], json!(["chat", "runs:read"]));
    assert!(list(&person, "").await.is_empty() && objects(&system).await.is_empty());

    let (_, log) = run(&person, &with, SAVE).await;
    assert_eq!(of_kind(&log, "ARTIFACT_CREATED").len(), 1);
    let refused = person.read("GET", &Call::to("/api/artifacts"), &with).await;
    assert_eq!((refused.status.as_u16(), refused.json()["scope"].clone()), (403, json!("artifacts:read")));
    let refused = person
        .read(
            "POST",
            &Call::to("/api/artifacts/uploads").body(json!({"sha256": "0".repeat(64),
        "size": 1, "title": "t", "media_type": "text/plain"})),
            &without,
        )
        .await;
    assert_eq!((refused.status.as_u16(), refused.json()["scope"].clone()), (403, json!("artifacts:write")));
}
