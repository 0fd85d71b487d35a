//! Exports of documents, runs and conversations are made in the background, once.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use crate::{
    surface::{Call, Person},
    system::{PATIENCE, System},
};

/// Saves a document through a run and returns its artifact.
async fn saved(person: &Person, document: &Value) -> String {
    let args = json!({"title": "Tides", "content": document.to_string(), "media_type": "application/json",
        "entity_type": "report"});
    // The argument of a directive ends at a space.
    let args = args.to_string().replace(' ', "\\u0020");
    let said = format!("/demo tool=save_artifact args={args}\n/demo tokens=2 rate=0");
    let call = Call::to("/api/chat/send").body(json!({"message": {"content": said}}));
    let answer = person.read("POST", &call, &person.bearer()).await;
    let manifest = person.get(&format!("/api/runs/{}/manifest", answer.header("x-run-id"))).await;
    manifest["items"][0]["id"].as_str().expect("the run has saved it").to_owned()
}

async fn asked(person: &Person, body: Value) -> Value {
    let answer = person.post(Call::to("/api/exports").body(body)).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    let job = answer.json();
    assert_eq!(answer.header("location"), format!("/api/jobs/{}", job["id"].as_str().unwrap()));
    job
}

/// Waits for the end of a job and checks its progress on the way.
async fn ended(person: &Person, job: &Value) -> Value {
    let path = format!("/api/jobs/{}", job["id"].as_str().unwrap());
    let wait = async {
        loop {
            let job = person.get(&path).await;
            if matches!(job["status"].as_str(), Some("success" | "error")) {
                return job;
            }
            sleep(Duration::from_millis(100)).await;
        }
    };
    timeout(PATIENCE, wait).await.expect("the job ends")
}

/// Requests an export and returns its artifact and bytes.
pub(super) async fn file(person: &Person, body: Value) -> (Value, Vec<u8>) {
    let job = ended(person, &asked(person, body.clone()).await).await;
    assert_eq!(job["status"], "success", "{body}: {job}");
    let id = job["artifacts"][0].as_str().unwrap();
    assert_eq!(job["result"], id);
    let artifact = person.get(&format!("/api/artifacts/{id}")).await;
    assert_eq!((&artifact["entity_type"], &artifact["job_id"]), (&json!("export"), &job["id"]));
    let content = Call::to(format!("/api/artifacts/{id}/content"));
    let bytes = person.send("GET", &content, &person.bearer()).await.bytes().await.unwrap();
    assert_eq!(artifact["size"], bytes.len());
    (artifact, bytes.to_vec())
}

fn report() -> Value {
    json!({"type": "report", "version": 1, "title": "Tides of the North Sea", "language": "en", "sections": [
        {"heading": "Findings", "level": 1, "blocks": [
            {"type": "paragraph", "text": "Twice a day.[^a] שלום 東京"},
            {"type": "chart", "kind": "bar", "labels": ["low", "high"], "unit": "m",
                "series": [{"name": "Cuxhaven", "values": [0.2, 3.1]}]}
        ]}
    ], "sources": [{"id": "a", "url": "https://tides.example/", "title": "Tide tables", "accessed": "2026-01-02"}]})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_report_is_exported_once_and_again_after_its_files_are_deleted() {
    let system = System::start(&[]).await;
    let person = Person::sign_up(&system, "ada@example.com").await;
    let id = saved(&person, &report()).await;
    let (pdf, bytes) = file(&person, json!({"artifact_id": id, "format": "pdf"})).await;
    assert!(bytes.starts_with(b"%PDF-"), "{pdf}");
    assert_eq!(
        (&pdf["media_type"], &pdf["title"]),
        (&json!("application/pdf"), &json!("Tides of the North Sea"))
    );
    for (format, piece) in [("html", "<svg"), ("markdown", "# Tides of the North Sea"), ("json", "Cuxhaven")]
    {
        let (_, bytes) = file(&person, json!({"artifact_id": id, "format": format})).await;
        assert!(String::from_utf8(bytes).unwrap().contains(piece), "{format}");
    }

    // Concurrent equal requests return the same file.
    let same = json!({"artifact_id": id, "format": "pdf"});
    let (first, second) = tokio::join!(asked(&person, same.clone()), asked(&person, same.clone()));
    assert_eq!((&first["id"], &first["artifacts"]), (&second["id"], &json!([pdf["id"]])));
    let path = format!("/api/artifacts/{}", pdf["id"].as_str().unwrap());
    let deleted = person.read("DELETE", &Call::to(path), &person.bearer()).await;
    assert_eq!(deleted.status, 204);
    let (again, same_bytes) = file(&person, same).await;
    assert_ne!(again["id"], pdf["id"]);
    assert_eq!(again["sha256"], pdf["sha256"], "and the same bytes");
    assert_eq!(same_bytes, bytes);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn runs_and_conversations_are_exported() {
    let system = System::start(&[]).await;
    let person = Person::sign_up(&system, "ada@example.com").await;
    let said = "When is high tide?\n/demo tokens=3 rate=0";
    let call = Call::to("/api/chat/send").body(json!({"message": {"content": said}}));
    let answer = person.read("POST", &call, &person.bearer()).await;
    let run = answer.header("x-run-id");
    let project = answer.header("x-project-id");
    let log = person.get(&format!("/api/runs/{run}/events?limit=1000")).await;

    let (_, lines) = file(&person, json!({"run_id": run, "format": "jsonl"})).await;
    let lines = String::from_utf8(lines).unwrap();
    let events: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(json!(events), log["events"], "every event, as streams and pages have it");
    for format in ["html", "markdown"] {
        let (_, text) = file(&person, json!({"run_id": run, "format": format})).await;
        assert!(String::from_utf8(text).unwrap().contains("When is high tide?"), "{format}");
    }
    let (_, archive) = file(&person, json!({"project_id": project, "format": "zip"})).await;
    assert!(archive.starts_with(b"PK"), "an archive");
    for name in ["project.json", "conversation.md", &format!("runs/{run}.jsonl")] {
        assert!(archive.windows(name.len()).any(|window| window == name.as_bytes()), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_export_that_is_not_possible_is_explained() {
    let system = System::start(&[]).await;
    let (ada, bob) = tokio::join!(
        Person::sign_up(&system, "ada@example.com"),
        Person::sign_up(&system, "bob@example.com")
    );
    let id = saved(&ada, &json!({"type": "report", "version": 1, "title": 3})).await;
    let body = json!({"artifact_id": id, "format": "pdf"});
    let job = ended(&ada, &asked(&ada, body.clone()).await).await;
    assert_eq!((&job["status"], &job["error"]["code"]), (&json!("error"), &json!("poison")), "{job}");
    let message = job["error"]["message"].as_str().unwrap();
    assert!(message.contains("not a valid document") && message.contains("title"), "{message}");
    assert_eq!(asked(&ada, body.clone()).await["id"], job["id"], "it would fail again");

    let request = |body: Value| Call::to("/api/exports").body(body);
    let refused = bob.read("POST", &request(body), &bob.bearer()).await;
    assert_eq!(refused.status, 404, "it is another's");
    for body in [
        json!({"artifact_id": id, "format": "jsonl"}),
        json!({"artifact_id": id, "format": "docx"}),
        json!({"format": "pdf"}),
        json!({"artifact_id": id, "run_id": sequent_core::RunId::new(), "format": "html"}),
    ] {
        let answer = ada.read("POST", &request(body.clone()), &ada.bearer()).await;
        assert!(answer.status.is_client_error() && answer.json()["detail"].is_string(), "{body}: {answer:?}");
    }
}
