//! Messages that refer to files: by id, by path, of another tenant, at foreign addresses.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use sequent_artifacts::{Artifact, Artifacts, Description, Origin, testing::bucket};
use sequent_core::{ArtifactId, TenantId};
use sequent_http::App;
use sequent_runlog::DynamoStorage;
use serde_json::{Value, json};

use crate::app::{app_of, event, events, send};

/// An image of one pixel.
const PNG: &[u8] = b"\x89\x50\x4e\x47\x0d\x0a\x1a\x0a\x00\x00\x00\x0d\x49\x48\x44\x52\x00\x00\
    \x00\x01\x00\x00\x00\x01\x08\x06\x00\x00\x00\x1f\x15\xc4\x89\x00\x00\x00\
    \x0d\x49\x44\x41\x54\x78\xda\x63\x64\xf8\xcf\x50\x0f\x00\x03\x86\x01\x80\
    \x5a\x34\x7d\x6b\x00\x00\x00\x00\x49\x45\x4e\x44\xae\x42\x60\x82";

/// The function, and an image of the first tenant.
async fn app_with_image() -> (App, Artifact) {
    let (app, image, _, _) = deployment().await;
    (app, image)
}

async fn deployment() -> (App, Artifact, Artifacts, TenantId) {
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
    let app = app_of(storage, tenant, |credits| credits, Some(artifacts.clone()));
    (app, saved, artifacts, tenant)
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
    let attached = json!({"type": "image", "artifactId": image.id, "mediaType": "image/png", "name": "tides.png", "size": 70});
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

#[tokio::test]
async fn a_file_inside_a_message_becomes_an_artifact_of_its_run_once() {
    let (app, image, artifacts, tenant) = deployment().await;
    let url = format!("data:text/csv;base64,{}", STANDARD.encode("a,b\n1,2\n"));
    let part = json!({"type": "file", "mediaType": "text/csv", "filename": "table.csv", "url": url});
    let again = json!({"type": "file", "mediaType": "image/png", "url": format!("data:image/png;base64,{}", STANDARD.encode(PNG))});
    let body = json!({"messages": [{"role": "user", "parts": [said(), part, again]}]});
    let request = event("POST", "/api/chat").header("idempotency-key", "k1").json(&body);
    let sent = request.send(&app).await;
    assert_eq!(sent.status, 200, "{}", sent.text());
    let run = sent.header("x-run-id");
    let log = event("GET", &format!("/api/runs/{run}/events"));
    let content = events(&log.send(&app).await)[0]["content"].clone();
    assert_eq!(
        (&content[1]["mediaType"], &content[1]["name"], &content[1]["size"]),
        (&json!("text/csv"), &json!("table.csv"), &json!(8))
    );

    let repeated = request.send(&app).await;
    assert_eq!((repeated.status.as_u16(), repeated.header("x-run-id")), (200, run));
    let stored = artifacts.of_run(tenant, run.parse().unwrap(), 10).await.unwrap().items;
    assert_eq!(stored.len(), 2, "a repeated request stores none: {stored:?}");
    // Artifacts of one millisecond have no order.
    let of = |part: &Value| stored.iter().find(|artifact| json!(artifact.id) == part["artifactId"]).unwrap();
    assert_eq!(artifacts.bytes(tenant, of(&content[1]), 100).await.unwrap(), "a,b\n1,2\n");
    assert_eq!(of(&content[2]).sha256, image.sha256, "equal bytes are one object");
}

#[tokio::test]
async fn an_image_that_is_cut_is_refused_and_nothing_is_stored() {
    let (app, _, artifacts, tenant) = deployment().await;
    let cut = &PNG[..PNG.len() - 5];
    let description = Description {
        title: "cut.png".to_owned(),
        entity_type: "file".to_owned(),
        tags: Vec::new(),
        media_type: "image/png".to_owned(),
    };
    let saved = artifacts.save(tenant, ArtifactId::new(), description, Origin::default(), cut.into());
    let path = format!("/api/artifacts/{}/content", saved.await.unwrap().id);
    let inside = format!("data:image/png;base64,{}", STANDARD.encode(cut));
    for url in [path, inside] {
        let part = json!({"type": "file", "mediaType": "image/png", "url": url});
        let refused = event("POST", "/api/chat").json(&chat(&part)).send(&app).await;
        assert_eq!(
            (refused.status.as_u16(), refused.code().as_str()),
            (422, "attachment_unreadable"),
            "{url}"
        );
        assert!(refused.json()["detail"].as_str().unwrap().contains("damaged"), "{}", refused.text());
    }
    let cursors = sequent_tables::CursorKey::new("a key for tests".to_owned().into());
    let all = artifacts.list(tenant, Default::default(), &cursors, None, None).await.unwrap();
    assert_eq!(all.items.len(), 2, "only those that were there before: {:?}", all.items);
}

#[tokio::test]
async fn a_refused_message_leaves_no_artifact() {
    let (app, _, artifacts, tenant) = deployment().await;
    let live = send(&json!({"message": {"content": "/demo tokens=100000 rate=1"}})).open(&app).await;
    let project = live.headers()["x-project-id"].to_str().unwrap().to_owned();
    let url = format!("data:text/plain;base64,{}", STANDARD.encode("secret"));
    let part = json!({"type": "file", "mediaType": "text/plain", "url": url});
    let body = json!({"id": project, "messages": [{"role": "user", "parts": [said(), part]}]});
    let refused = event("POST", "/api/chat").json(&body).send(&app).await;
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (409, "run_in_progress"));
    let cursors = sequent_tables::CursorKey::new("a key for tests".to_owned().into());
    let all = artifacts.list(tenant, Default::default(), &cursors, None, None).await.unwrap();
    assert_eq!(all.items.len(), 1, "only the one that was there before: {:?}", all.items);
}

#[tokio::test]
async fn a_body_may_have_six_megabytes_for_files() {
    let (app, ..) = deployment().await;
    let url = |bytes: usize| format!("data:text/plain;base64,{}", STANDARD.encode(vec![b'x'; bytes]));
    let sent = |bytes| {
        let part = json!({"type": "file", "mediaType": "text/plain", "url": url(bytes)});
        event("POST", "/api/chat").json(&chat(&part))
    };
    assert_eq!(sent(4 << 20).send(&app).await.status, 200);
    let refused = sent((4 << 20) + 1).send(&app).await;
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (413, "attachment_too_large"));
    let refused = sent(5 << 20).send(&app).await;
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (413, "body_too_large"));
}
