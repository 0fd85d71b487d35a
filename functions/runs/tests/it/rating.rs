//! Feedback on runs, in sequences of requests.

use sequent_conversation::{FeedbackTarget, give_feedback};
use sequent_core::RunId;
use sequent_event::{Body, Rating};
use sequent_runlog::read_all;
use serde_json::{Value, json};

use crate::deployment::{Deployment, Person, log_key, request};

async fn rate(deployment: &Deployment, of: &Person, path: &str, body: Value) -> (u16, Value) {
    let answer = deployment.send(&request("PUT", path, of).json(&body)).await;
    (answer.status.as_u16(), answer.json())
}

async fn feedback_of(deployment: &Deployment, of: &Person, run: RunId) -> Value {
    let answer = deployment.send(&request("GET", &format!("/api/runs/{run}"), of)).await;
    answer.json()["feedback"].clone()
}

/// The id of the first message of the answer.
async fn answer_of(deployment: &Deployment, of: &Person, run: RunId) -> String {
    let segments = read_all(&deployment.engine().storage, log_key(of, run)).await.unwrap();
    let mut entries = segments.iter().flat_map(|segment| &segment.entries);
    let started = entries.find_map(|entry| match entry.body() {
        Some(Body::TextMessageStart { message_id, .. }) => Some(message_id.to_string()),
        _ => None,
    });
    started.expect("the run has answered")
}

#[tokio::test]
async fn each_person_has_feedback_on_a_run_and_on_its_answers() {
    let deployment = Deployment::new().await;
    let ada = deployment.sign_up("ada@example.com").await;
    let bob = ada.colleague();
    let run = RunId::new();
    deployment.complete(&ada, run).await;
    assert_eq!(feedback_of(&deployment, &ada, run).await, Value::Null);
    let whole = format!("/api/runs/{run}/feedback");
    let answer = answer_of(&deployment, &ada, run).await;
    let part = format!("/api/runs/{run}/messages/{answer}/feedback");
    let (status, first) = rate(&deployment, &ada, &whole, json!({"thumb": "down"})).await;
    assert_eq!((status, &first["thumb"]), (200, &json!("down")));
    let scores = json!({"scores": {"tone": 1, "facts": -0.25}});
    let (status, other) = rate(&deployment, &ada, &part, scores).await;
    assert_eq!((status, &other["message_id"]), (200, &json!(answer)), "{other}");
    let on = FeedbackTarget { run, message: None };
    let rating = Rating { comment: Some("It is long.".to_owned()), ..Rating::default() };
    let storage = &deployment.engine().storage;
    Box::pin(give_feedback(storage, ada.tenant(), on, bob.user(), Some(rating))).await.unwrap();
    let (_, again) = rate(&deployment, &ada, &whole, json!({"thumb": "up", "comment": "It is right."})).await;
    let shown = feedback_of(&deployment, &ada, run).await;
    assert_eq!(shown.as_array().map(Vec::len), Some(3), "{shown}");
    for feedback in [&again, &other] {
        assert!(shown.as_array().unwrap().contains(feedback), "{feedback} is not in {shown}");
    }
    for path in [&whole, &part, &part] {
        assert_eq!(deployment.send(&request("DELETE", path, &ada)).await.status, 204, "{path}");
    }
    let shown = feedback_of(&deployment, &ada, run).await;
    assert_eq!((shown.as_array().map(Vec::len), &shown[0]["user_id"]), (Some(1), &json!(bob.user())));
}

#[tokio::test]
async fn feedback_is_checked_and_another_tenants_run_is_not_found() {
    let deployment = Deployment::new().await;
    let ada = deployment.sign_up("ada@example.com").await;
    let eve = deployment.sign_up("eve@example.com").await;
    let run = RunId::new();
    deployment.complete(&ada, run).await;
    let path = format!("/api/runs/{run}/feedback");
    for (body, pointer) in [
        (json!({"scores": {"Tone": 1}}), "#/scores"),
        (json!({"comment": " "}), "#/comment"),
        (json!({"comment": "é".repeat(4_001)}), "#/comment"),
        (json!({"scores": {"tone": 1_000.5}}), "#/scores/tone"),
        (json!({"thumb": "sideways"}), "#/thumb"),
    ] {
        let (status, problem) = rate(&deployment, &ada, &path, body).await;
        assert_eq!((status, &problem["errors"][0]["pointer"]), (422, &json!(pointer)), "{problem}");
    }
    let answer = answer_of(&deployment, &ada, run).await;
    for path in [path, format!("/api/runs/{run}/messages/{answer}/feedback")] {
        let (status, problem) = rate(&deployment, &eve, &path, json!({"thumb": "up"})).await;
        assert_eq!((status, &problem["code"]), (404, &json!("not_found")));
        let removed = deployment.send(&request("DELETE", &path, &eve)).await;
        assert_eq!(removed.status, 404, "{path}");
    }
    assert_eq!(feedback_of(&deployment, &ada, run).await, Value::Null);
}
