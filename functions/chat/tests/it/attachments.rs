//! Messages that refer to files: by id, by path, of another tenant, at foreign addresses.

use sequent_artifacts::{Artifact, Artifacts, Description, Origin, testing::bucket};
use sequent_core::{ArtifactId, TenantId};
use sequent_http::App;
use sequent_runlog::DynamoStorage;
use serde_json::{Value, json};

use crate::app::{app_over, event, events, send};

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n not really";

/// The function, and an image of the first tenant.
async fn app_with_image() -> (App, Artifact) {
    let storage = DynamoStorage::new(sequent_tables::testing::store().await);
    let tenant = TenantId::new();
    let artifacts = Artifacts::new(storage.store().clone(), bucket().await.0);
    let description = Description {
        title: "tides.png".to_owned(),
        entity_type: "file".to_owned(),
        tags: Vec::new(),
        media_type: "image/png".to_owned(),
    };
    let id = ArtifactId::new();
    let saved = artifacts.save(tenant, id, description, Origin::default(), PNG.into()).await.unwrap();
    (app_over(storage, tenant), saved)
}

fn said() -> Value {
    json!({"type": "text", "text": "/demo tokens=3 rate=0"})
}

fn chat(file: &Value) -> Value {
    json!({"messages": [{"role": "user", "parts": [said(), file]}]})
}

#[tokio::test]
async fn an_artifact_is_attached_by_its_id_or_by_the_path_that_the_history_gives_it() {
    let (app, image) = app_with_image().await;
    let by_id = json!({"type": "image", "artifact_id": image.id});
    let sent = send(&json!({"message": {"content": [said(), by_id]}})).send(&app).await;
    assert_eq!(sent.status, 200, "{}", sent.text());
    let message = events(&sent).remove(0);
    assert_eq!((&message["type"], &message["v"]), (&json!("USER_MESSAGE"), &json!(2)));
    let attached = json!({"type": "image", "artifactId": image.id, "mediaType": "image/png", "name": "tides.png", "size": 19});
    assert_eq!(message["content"][1], attached);

    let path = format!("/api/artifacts/{}/content", image.id);
    let part = json!({"type": "file", "mediaType": "image/png", "url": path});
    let sent = event("POST", "/api/chat").json(&chat(&part)).send(&app).await;
    assert_eq!(sent.status, 200, "{}", sent.text());
    let log = event("GET", &format!("/api/runs/{}/events", sent.header("x-run-id")));
    assert_eq!(events(&log.send(&app).await)[0]["content"][1], attached);
}

#[tokio::test]
async fn a_file_of_another_tenant_is_refused_like_an_unknown_one() {
    let (app, image) = app_with_image().await;
    let mut refusals = Vec::new();
    for id in [image.id, ArtifactId::new()] {
        let body = json!({"message": {"content": [said(), {"type": "image", "artifact_id": id}]}});
        let refused = send(&body).bearer("other").send(&app).await;
        assert_eq!((refused.status.as_u16(), refused.code().as_str()), (422, "attachment_not_found"));
        let mut problem = refused.json();
        problem.as_object_mut().unwrap().remove("instance");
        refusals.push(problem);
    }
    assert_eq!(refusals[0], refusals[1]);
}

#[tokio::test]
async fn no_file_is_fetched_from_an_address() {
    let (app, image) = app_with_image().await;
    for url in [
        "https://example.com/a.png".to_owned(),
        "http://169.254.169.254/latest/meta-data".to_owned(),
        format!("https://evil.example/api/artifacts/{}/content", image.id),
        String::new(),
    ] {
        let part = json!({"type": "file", "mediaType": "image/png", "url": url});
        let refused = event("POST", "/api/chat").json(&chat(&part)).send(&app).await;
        assert_eq!(
            (refused.status.as_u16(), refused.code().as_str()),
            (422, "attachment_url_refused"),
            "{url}"
        );
    }
}
