//! Files that people attach, in the requests that models get.

use bytes::Bytes;
use sequent_agent::{Engine, execute};
use sequent_artifacts::{Artifact, Artifacts, Description, Origin, testing::bucket};
use sequent_conversation::{NewRun, RunStatus};
use sequent_core::ArtifactId;
use sequent_event::{Attachment, UserContent, UserPart};
use serde_json::{Value, json};

use crate::{
    bench::Bench,
    failover::{bench, overloaded},
    server::{ModelServer, completion},
};

/// An image of one pixel.
const PNG: &[u8] = b"\x89\x50\x4e\x47\x0d\x0a\x1a\x0a\x00\x00\x00\x0d\x49\x48\x44\x52\x00\x00\
    \x00\x01\x00\x00\x00\x01\x08\x06\x00\x00\x00\x1f\x15\xc4\x89\x00\x00\x00\
    \x0d\x49\x44\x41\x54\x78\xda\x63\x64\xf8\xcf\x50\x0f\x00\x03\x86\x01\x80\
    \x5a\x34\x7d\x6b\x00\x00\x00\x00\x49\x45\x4e\x44\xae\x42\x60\x82";
const PNG_IN_BASE64: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

async fn with_artifacts(server: &ModelServer) -> (Bench, Artifacts) {
    let bench = bench(server).await;
    let artifacts = Artifacts::new(bench.engine.store().clone(), bucket().await.0);
    let engine = Engine { artifacts: Some(artifacts.clone()), ..bench.engine.clone() };
    (Bench { engine, ..bench }, artifacts)
}

async fn upload(bench: &Bench, artifacts: &Artifacts, media_type: &str, bytes: impl Into<Bytes>) -> Artifact {
    let description = Description {
        title: "tides".to_owned(),
        entity_type: "file".to_owned(),
        tags: Vec::new(),
        media_type: media_type.to_owned(),
    };
    let origin = Origin::default();
    artifacts.save(bench.tenant, ArtifactId::new(), description, origin, bytes.into()).await.unwrap()
}

/// A question with the artifact.
fn asking(bench: &Bench, of: &NewRun, text: &str, artifact: &Artifact) -> NewRun {
    let attachment = Attachment {
        artifact_id: artifact.id,
        media_type: artifact.media_type.clone(),
        name: Some(artifact.title.clone()),
        size: artifact.size,
    };
    let parts = vec![UserPart::Text { text: text.to_owned() }, UserPart::Image(attachment)];
    NewRun { content: UserContent::Parts(parts), ..bench.asking(of.project, text) }
}

async fn execute_all(bench: &Bench, new: &NewRun) {
    let writer = bench.owned(new).await;
    execute(&bench.engine, bench.key(new.run), *writer, None).await.unwrap();
    assert_eq!(bench.status(new.run).await, RunStatus::Success);
}

fn content(request: &Value, at: usize) -> &Value {
    &request["messages"][at]["content"]
}

#[tokio::test]
async fn each_model_is_shown_what_it_can_read_and_a_deleted_file_does_not_end_the_conversation() {
    let server = overloaded();
    let (bench, artifacts) = with_artifacts(&server).await;
    let image = upload(&bench, &artifacts, "image/png", PNG).await;
    let project = bench.project().await.id;
    let first = asking(&bench, &bench.asking(project, ""), "What is this?", &image);
    let first = NewRun { model: Some("gpt-4o".to_owned()), ..first };
    execute_all(&bench, &first).await;

    let asked = server.asked();
    // The model of the run sees images, and its fallback reads text only.
    let description = format!("[attached: tides, image/png, 70 bytes, {}]", image.id);
    let expected = json!([
        {"type": "image_url", "image_url": {"url": format!("data:image/png;base64,{PNG_IN_BASE64}")}},
        {"type": "text", "text": format!("What is this?\n\n{description}")},
    ]);
    assert_eq!((&asked[0]["model"], content(&asked[0], 1)), (&json!("gpt-4o"), &expected));
    let told = content(&asked[1], 1).as_str().unwrap();
    assert!(asked[1]["model"] == "second" && told.contains("You cannot see images"), "{told}");
    // No byte of the file is in the log.
    let log = serde_json::to_string(&bench.events(first.run).await).unwrap();
    assert!(log.contains(&image.id.to_string()) && !log.contains("iVBOR"), "{log}");

    artifacts.delete(bench.tenant, image.id).await.unwrap();
    server.forget();
    let second = NewRun { model: Some("gpt-4o".to_owned()), ..bench.asking(project, "And again?") };
    assert!(first.run < second.run);
    execute_all(&bench, &second).await;
    let asked = server.asked();
    let told = content(&asked[0], 1).as_str().unwrap();
    assert!(told.contains("What is this?") && told.contains("The file was deleted"), "{told}");
}

fn hello() -> String {
    completion(&[json!({"content": "Hello."})], "stop")
}

#[tokio::test]
async fn a_file_larger_than_the_window_is_cut_and_the_conversation_goes_on() {
    let server = ModelServer::start(vec![hello()]);
    let (bench, artifacts) = with_artifacts(&server).await;
    // More tokens than the model takes.
    let table = upload(&bench, &artifacts, "text/csv", "12,34;".repeat(33_000)).await;
    let project = bench.project().await.id;
    let first = asking(&bench, &bench.asking(project, ""), "What is this?", &table);
    let second = bench.asking(project, "And again?");
    for new in [first, second] {
        let new = NewRun { model: Some("gpt-4o".to_owned()), ..new };
        execute_all(&bench, &new).await;
        let asked = server.asked();
        let told = content(asked.last().unwrap(), 1).as_str().unwrap();
        assert!(told.len() > 50_000 && told.contains("[Cut:"), "{} bytes", told.len());
    }
}

#[tokio::test]
async fn a_file_that_the_provider_refuses_does_not_end_the_conversation() {
    let problem =
        json!({"error": {"message": "Could not process image", "type": "invalid_request_error"}}).to_string();
    let head = format!(
        "HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\ncontent-length: {}",
        problem.len()
    );
    let server = ModelServer::start(vec![format!("{head}\r\nconnection: close\r\n\r\n{problem}"), hello()]);
    let (bench, artifacts) = with_artifacts(&server).await;
    let image = upload(&bench, &artifacts, "image/png", PNG).await;
    let project = bench.project().await.id;
    let new = asking(&bench, &bench.asking(project, ""), "What is this?", &image);
    execute_all(&bench, &NewRun { model: Some("gpt-4o".to_owned()), ..new }).await;
    let asked = server.asked();
    assert_eq!(asked.len(), 2);
    assert!(content(&asked[0], 1)[0]["image_url"].is_object(), "{}", asked[0]);
    let told = content(&asked[1], 1).as_str().unwrap();
    assert!(told.contains("the provider of the model refused"), "{told}");
}
