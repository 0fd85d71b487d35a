//! Files of a conversation: exported with it, and deleted with it.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use sequent_artifacts::Digest;
use sequent_core::Timestamp;
use serde_json::{Value, json};

use super::{artifacts, exports::file, list, objects, offer, uploads};
use crate::{
    surface::{Call, Person},
    system::System,
};

/// A word in the names and in the bytes of all files.
const WORD: &str = "xylophone";
/// Ample time for a job on a busy machine.
const PATIENCE: Duration = Duration::from_secs(240);

/// Uploads a text that belongs to no run, and returns its id.
async fn uploaded(person: &Person, content: &str) -> String {
    let new = json!({"sha256": Digest::of(content.as_bytes()), "size": content.len(), "media_type": "text/plain",
        "title": format!("{WORD} upload.txt")});
    let offered = offer(person, new).await;
    assert!(uploads::put(&offered, content, &[]).await.status().is_success());
    assert_eq!(uploads::complete(person, &offered).await.status, 200);
    offered["id"].as_str().unwrap().to_owned()
}

/// Sends a message with the upload and with a file inside it. Returns the project and the id of that file.
async fn send(person: &Person, upload: &str) -> [String; 2] {
    let inside = STANDARD.encode(format!("{WORD} inside"));
    let parts = json!([
        {"type": "text", "text": format!("/demo tokens=3 rate=0 {WORD}")},
        {"type": "file", "mediaType": "text/plain", "url": format!("/api/artifacts/{upload}/content")},
        {"type": "file", "mediaType": "text/plain", "filename": format!("{WORD} inside.txt"),
            "url": format!("data:text/plain;base64,{inside}")},
    ]);
    let body = json!({"messages": [{"role": "user", "parts": parts}]});
    let sent = person.post(Call::to("/api/chat").body(body)).await;
    let project = sent.header("x-project-id").to_owned();
    let page = person.get(&format!("/api/projects/{project}/messages")).await;
    let parts = page["items"][0]["parts"].as_array().unwrap();
    let inside = parts.iter().find(|part| part["name"] == format!("{WORD} inside.txt"));
    [project, inside.unwrap_or_else(|| panic!("{page}"))["artifact_id"].as_str().unwrap().to_owned()]
}

/// Waits until only rows of these artifacts contain the word.
async fn only_artifacts_are_left(system: &System, ids: &[&str]) {
    let deleted = async {
        loop {
            let mut places = system.places_of(WORD).await;
            places.retain(|place| !ids.iter().any(|id| place.contains(id)));
            if places.is_empty() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    tokio::time::timeout(PATIENCE, deleted).await.expect("everything else is deleted");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_files_of_a_conversation_are_exported_and_deleted_with_it() {
    let system = System::start(&[]).await;
    let ann = Person::sign_up(&system, "ann@example.com").await;
    let upload = uploaded(&ann, &format!("{WORD} uploaded")).await;
    let [project, inside] = send(&ann, &upload).await;

    let (_, archive) = file(&ann, json!({"project_id": project, "format": "zip"})).await;
    for name in
        [format!("artifacts/{upload}/{WORD} upload.txt"), format!("artifacts/{inside}/{WORD} inside.txt")]
    {
        let is_there = archive.windows(name.len()).any(|window| window == name.as_bytes());
        assert!(is_there, "{name} is in the archive");
    }

    let delete = async |path: String| ann.read("DELETE", &Call::to(path), &ann.bearer()).await.status;
    assert!(delete(format!("/api/projects/{project}")).await.is_success());
    only_artifacts_are_left(&system, &[&upload]).await;
    let left: Vec<Value> = list(&ann, "").await;
    assert_eq!(left.len(), 1, "the upload belongs to the account: {left:?}");
    assert!(delete(format!("/api/artifacts/{upload}")).await.is_success());
    only_artifacts_are_left(&system, &[]).await;
    let later = Timestamp::now() + Duration::from_secs(60);
    let artifacts = artifacts(&system);
    artifacts.collect(later, || true).await.unwrap();
    assert_eq!(objects(&system).await, Vec::<String>::new(), "no byte is left");
}
