//! Accounts over the whole stack: passwords by mail, sessions that end in every function, and deletion.

use std::time::{Duration, Instant};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use crate::system::{Caller, PATIENCE, System};

/// A word that everything of an account contains.
const WORD: &str = "xylophone";

/// Calls `find` until it returns a value.
async fn wait_for<T>(what: &str, find: impl AsyncFn() -> Option<T>) -> T {
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        if let Some(found) = find().await {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    panic!("{what} has not happened");
}

async fn with_mail() -> System {
    System::start_with(&[], |options| {
        options.parameters.insert("MailFrom".to_owned(), "no-reply@example.com".to_owned());
        // The first request of a deletion waits for requests that are at work.
        options.time_scale = 20;
    })
    .await
}

/// The texts of the mails that the emulator has taken.
async fn mails(system: &System) -> String {
    let url = format!("{}/_ministack/ses/messages", system.stack.endpoint().url());
    reqwest::get(url).await.unwrap().text().await.unwrap()
}

async fn post(caller: &Caller, path: &str, body: &Value) -> u16 {
    caller.request("POST", path).json(body).send().await.unwrap().status().as_u16()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forgotten_password_is_replaced_with_the_link_of_a_mail() {
    let system = with_mail().await;
    let ann = system.sign_up("ann@example.com").await;
    assert_eq!(post(&ann, "/api/auth/password-reset", &json!({"email": "ann@example.com"})).await, 202);
    let token = wait_for("the mail", async || {
        let mails = mails(&system).await;
        let (_, rest) = mails.split_once("/reset-password#token=")?;
        Some(rest[..46].to_owned())
    })
    .await;
    let new = "seven lanterns over the harbour";
    let confirm = json!({"token": token, "password": new});
    assert_eq!(post(&ann, "/api/auth/password-reset/confirm", &confirm).await, 204);
    assert_eq!(post(&ann, "/api/auth/password-reset/confirm", &confirm).await, 400, "it works once");
    let login = json!({"email": "ann@example.com", "password": new});
    assert_eq!(post(&ann, "/api/auth/login", &login).await, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_ended_session_is_refused_by_every_function_before_its_token_expires() {
    let system = System::start(&[]).await;
    let ann = system.sign_up("ann@example.com").await;
    let status = async |path: &str| ann.request("GET", path).send().await.unwrap().status().as_u16();
    let paths = ["/api/auth/me", "/api/projects", "/api/runs", "/api/artifacts", "/api/jobs"];
    for path in paths {
        assert_eq!(status(path).await, 200, "{path}");
    }
    assert_eq!(post(&ann, "/api/auth/logout", &json!({})).await, 204);
    for path in paths {
        // The token itself would be valid for longer than this waits.
        wait_for(path, async || (status(path).await == 401).then_some(())).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_word_of_a_deleted_account_is_left_in_the_tables() {
    let system = with_mail().await;
    let ann = system.sign_up(&format!("{WORD}@example.com")).await;
    let message = json!({"message": {"content": format!("/demo tokens=3 rate=0 {WORD}")}});
    ann.send(&message).await.text().await.unwrap();
    let text = json!({"type": "text", "text": "/demo tokens=3 rate=0"});
    let url = format!("data:text/plain;base64,{}", STANDARD.encode(WORD));
    let inside =
        json!({"type": "file", "mediaType": "text/plain", "filename": format!("{WORD}.txt"), "url": url});
    let with_file = json!({"messages": [{"role": "user", "parts": [text, inside]}]});
    let sent = ann.request("POST", "/api/chat").json(&with_file).send().await.unwrap();
    assert_eq!(sent.status(), 200);
    sent.text().await.unwrap();
    let key = json!({"name": WORD, "scopes": ["chat"]});
    assert_eq!(post(&ann, "/api/auth/api-keys", &key).await, 201);
    assert_eq!(
        post(&ann, "/api/runs", &json!({"input": format!("/demo tokens=3 rate=0 {WORD}")})).await,
        202
    );
    assert!(!system.places_of(WORD).await.is_empty());

    let me = ann.get("/api/auth/me").await;
    let path = format!("/api/auth/me?user_id={}", me["id"].as_str().unwrap());
    assert_eq!(ann.request("DELETE", &path).send().await.unwrap().status(), 202);
    assert_eq!(ann.request("GET", "/api/auth/me").send().await.unwrap().status(), 401);
    let login = json!({"email": format!("{WORD}@example.com"), "password": "correct horse battery staple"});
    assert_eq!(post(&ann, "/api/auth/login", &login).await, 401);
    wait_for("the deletion", async || system.places_of(WORD).await.is_empty().then_some(())).await;
}
