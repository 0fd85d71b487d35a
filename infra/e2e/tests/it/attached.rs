//! Files in messages, through the whole system: what the model server received, and what a reload shows.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use reqwest::redirect::Policy;
use sequent_artifacts::Digest;
use serde_json::{Value, json};

use crate::{
    providers::{KEY, Provider, borrowed},
    system::{Caller, System, read_events},
};

/// An image of one pixel.
const PNG: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
/// A document of one page with one line.
const PDF: &str = "%PDF-1.4\n1 0 obj\n<</Type/Catalog/Pages 2 0 R>>\nendobj\n2 0 obj\n<</Type/Pages/Kids[3 0 R]/Count 1>>\nendobj\n\
    3 0 obj\n<</Type/Page/Parent 2 0 R/MediaBox[0 0 99 99]/Contents 4 0 R/Resources<</Font<</F1 5 0 R>>>>>>\nendobj\n\
    4 0 obj\n<</Length 30>>\nstream\nBT /F1 12 Tf (Tides.) Tj ET   \nendstream\nendobj\n\
    5 0 obj\n<</Type/Font/Subtype/Type1/BaseFont/Courier>>\nendobj\ntrailer\n<</Root 1 0 R>>\n%%EOF\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_model_is_shown_an_image_and_a_document_and_a_reload_shows_them_too() {
    let provider = Provider::start(0, KEY);
    let mut settings = provider.settings();
    settings.retain(|(name, _)| *name != "DEFAULT_MODEL" && *name != "MODEL_PRICES");
    settings.push(("DEFAULT_MODEL", "gpt-4o".to_owned()));
    let system = System::start(&borrowed(&settings)).await;
    let caller = system.sign_up("attached@example.com").await;
    let document = upload(&caller, "tides.pdf", "application/pdf", PDF.as_bytes()).await;
    let parts = json!([
        {"type": "text", "text": "hello"},
        {"type": "file", "mediaType": "image/png", "filename": "dot.png", "url": format!("data:image/png;base64,{PNG}")},
        {"type": "file", "mediaType": "application/pdf", "url": format!("/api/artifacts/{document}/content")},
    ]);
    let body = json!({"id": "chat with files", "messages": [{"role": "user", "parts": parts}]});
    let sent = caller.request("POST", "/api/chat").json(&body).send().await.unwrap();
    assert_eq!(sent.status(), 200);
    let project = sent.headers()["x-project-id"].to_str().unwrap().to_owned();
    read_events(sent).await;

    let mut asked = provider.asked().await;
    asked.retain(|request| !request["body"].to_string().contains("You name conversations."));
    let content = &asked[0]["body"]["messages"][1]["content"];
    assert_eq!(content[0]["image_url"]["url"], format!("data:image/png;base64,{PNG}"), "{content}");
    let data = format!("data:application/pdf;base64,{}", STANDARD.encode(PDF));
    assert_eq!(content[1]["file"], json!({"filename": "tides.pdf", "file_data": data}));
    assert!(content[2]["text"].as_str().unwrap().starts_with("hello"), "{content}");

    let page = caller.get(&format!("/api/projects/{project}/messages?format=ui")).await;
    let shown: Vec<&Value> = page["items"][0]["parts"].as_array().unwrap().iter().collect();
    assert_eq!((&shown[1]["type"], &shown[1]["filename"]), (&json!("file"), &json!("dot.png")));
    let bytes = follow(&caller, shown[1]["url"].as_str().unwrap()).await;
    assert_eq!(STANDARD.encode(bytes), PNG);
    assert_eq!(follow(&caller, shown[2]["url"].as_str().unwrap()).await, PDF.as_bytes());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_ends_its_reader_does_not_end_the_owner_of_the_run() {
    let provider = Provider::start(0, KEY);
    let mut settings = provider.settings();
    settings.retain(|(name, _)| *name != "DEFAULT_MODEL" && *name != "MODEL_PRICES");
    settings.push(("DEFAULT_MODEL", "gpt-4o".to_owned()));
    let system = System::start(&borrowed(&settings)).await;
    let caller = system.sign_up("crafted@example.com").await;
    // Four million numbers, for which a reader takes more memory than the function has.
    let crafted = PDF.replace(
        "endobj\ntrailer",
        &format!("endobj\n6 0 obj\n[{}]\nendobj\ntrailer", "0 ".repeat(4_000_000)),
    );
    let document = upload(&caller, "crafted.pdf", "application/pdf", crafted.as_bytes()).await;
    let content = json!([{"type": "text", "text": "hello"}, {"type": "file", "artifact_id": document}]);
    let log = read_events(caller.send(&json!({"message": {"content": content}})).await).await.events;
    assert_eq!(log.last().unwrap()["outcome"]["type"], "success", "{log:?}");
    let epochs = log.iter().filter_map(|event| event["epoch"].as_u64());
    assert_eq!(epochs.max(), Some(1), "its first owner finished it");

    let mut asked = provider.asked().await;
    asked.retain(|request| !request["body"].to_string().contains("You name conversations."));
    let told = asked[0]["body"]["messages"][1]["content"].as_str().unwrap();
    assert!(
        told.contains("The file cannot be read: reading it takes more memory or time than is allowed."),
        "{told}"
    );

    let cut = STANDARD.decode(PNG).unwrap();
    let url = format!("data:image/png;base64,{}", STANDARD.encode(&cut[..cut.len() - 5]));
    let part = json!({"type": "file", "mediaType": "image/png", "url": url});
    let body = json!({"messages": [{"role": "user", "parts": [part]}]});
    let refused = caller.request("POST", "/api/chat").json(&body).send().await.unwrap();
    assert_eq!(refused.status(), 422);
    let problem: Value = refused.json().await.unwrap();
    assert_eq!(problem["code"], "attachment_unreadable", "{problem}");
}

/// Uploads bytes by the signed request, and returns the id of the artifact.
async fn upload(caller: &Caller, title: &str, media_type: &str, bytes: &[u8]) -> String {
    let new =
        json!({"sha256": Digest::of(bytes), "size": bytes.len(), "title": title, "media_type": media_type});
    let offer = caller.request("POST", "/api/artifacts/uploads").json(&new).send().await.unwrap();
    let offer: Value = offer.json().await.unwrap();
    let id = offer["id"].as_str().unwrap().to_owned();
    let mut put = reqwest::Client::new().put(offer["put"]["url"].as_str().unwrap()).body(bytes.to_vec());
    for (name, value) in offer["put"]["headers"].as_object().unwrap() {
        put = put.header(name, value.as_str().unwrap());
    }
    assert!(put.send().await.unwrap().status().is_success());
    let complete = format!("/api/artifacts/uploads/{id}/complete");
    assert_eq!(caller.request("POST", &complete).send().await.unwrap().status(), 200);
    id
}

/// Reads the bytes at a path that redirects to them.
async fn follow(caller: &Caller, path: &str) -> Vec<u8> {
    let redirect = caller.request("GET", path).build().unwrap();
    let client = reqwest::Client::builder().redirect(Policy::none()).build().unwrap();
    let redirect = client.execute(redirect).await.unwrap();
    assert_eq!(redirect.status(), 302);
    let location = redirect.headers()["location"].to_str().unwrap();
    reqwest::get(location).await.unwrap().bytes().await.unwrap().to_vec()
}
