//! Every golden event of this function, answered.

use crate::deployment::{Deployment, PROJECT, Person, get, golden, request};
use sequent_core::golden::cases;
use sequent_http::testing::Answer;
use serde_json::{Value, json};

/// The status and, for a problem, its code.
fn expected(name: &str) -> (u16, &'static str) {
    match name {
        "create" | "create-base64" | "create-cookie" => (201, ""),
        "create-anonymous" => (401, "unauthenticated"),
        "create-cookie-no-csrf" => (403, "cross_site"),
        "create-form" | "create-no-content-type" => (415, "unsupported_media_type"),
        "create-name-too-long" => (422, "validation_failed"),
        "delete" => (204, ""),
        "get-encoded-id" => (404, "not_found"),
        "unknown-route" => (404, "route_not_found"),
        "change" | "generate-name" | "get" | "list" | "list-trailing-slash" | "messages" => (200, ""),
        other => panic!("no expectation for {other}"),
    }
}

/// A deployment where the project of the golden events is Ada's, with one exchange in it.
async fn seeded() -> (Deployment, Person) {
    let deployment = Deployment::new().await;
    let ada = deployment.sign_up("ada@example.com").await;
    deployment.converse(&ada, PROJECT.parse().unwrap(), "When is high tide?").await;
    (deployment, ada)
}

async fn answered(name: &str) -> (Deployment, Person, Answer) {
    let (deployment, ada) = seeded().await;
    let answer = deployment.send(&golden(name, &ada)).await;
    (deployment, ada, answer)
}

#[tokio::test]
async fn each_is_answered_as_expected() {
    for name in cases("projects") {
        let (_, _, answer) = answered(&name).await;
        let found = (answer.status.as_u16(), answer.code());
        assert_eq!((found.0, found.1.as_str()), expected(&name), "{name}: {}", answer.text());
        assert!(!answer.header("x-request-id").is_empty(), "{name}");
    }
}

#[tokio::test]
async fn a_project_has_the_documented_shape() {
    let (deployment, ada, answer) = answered("create").await;
    let project = answer.json();
    let mut fields: Vec<_> = project.as_object().unwrap().keys().map(String::as_str).collect();
    fields.sort_unstable();
    assert_eq!(fields, ["created_at", "id", "live_run_id", "name", "updated_at", "user_id"]);
    assert_eq!((&project["name"], &project["user_id"]), (&json!("Tide tables"), &json!(ada.user())));
    assert_eq!(answer.header("location"), format!("/api/projects/{}", project["id"].as_str().unwrap()));
    assert_eq!(deployment.send(&get(answer.header("location"), &ada)).await.json(), project);

    let again = deployment.send(&golden("create", &ada)).await;
    assert_eq!((again.status.as_u16(), again.header("idempotency-replayed")), (201, "true"));
    assert_eq!((again.json(), again.header("location")), (project, answer.header("location")));
    let other = golden("create", &ada).json(&json!({ "name": "Another" }));
    assert_eq!(deployment.send(&other).await.code(), "idempotency_key_reused");
    let list = deployment.send(&get("/api/projects", &ada)).await.json();
    assert_eq!(list["items"].as_array().unwrap().len(), 2, "the golden one and one more");
    assert_eq!(list["next_cursor"], Value::Null);
}

#[tokio::test]
async fn a_name_arrives_as_it_was_typed() {
    let (_, _, answer) = answered("create-base64").await;
    assert_eq!(answer.json()["name"], "Gezeiten · 潮汐 · 🌊");
    let (_, _, answer) = answered("change").await;
    assert_eq!(
        (&answer.json()["name"], &answer.json()["id"]),
        (&json!("Tides of the North Sea"), &json!(PROJECT))
    );
}

#[tokio::test]
async fn an_exchange_is_two_messages() {
    let (_, _, answer) = answered("messages").await;
    let page = answer.json();
    let [question, reply] = page["items"].as_array().unwrap().as_slice() else { panic!("{page}") };
    assert_eq!((&question["role"], &question["content"]), (&json!("user"), &json!("When is high tide?")));
    assert_eq!((&reply["role"], &reply["status"]), (&json!("assistant"), &json!("complete")));
    assert_eq!((&reply["project_id"], &reply["run_id"]), (&json!(PROJECT), &question["run_id"]));
}

#[tokio::test]
async fn what_is_deleted_is_gone() {
    let (deployment, ada, answer) = answered("delete").await;
    assert!(answer.body.is_empty());
    for name in ["get", "messages", "change", "generate-name", "delete"] {
        assert_eq!(deployment.send(&golden(name, &ada)).await.code(), "not_found", "{name}");
    }
    let list = deployment.send(&request("GET", "/api/projects", &ada)).await.json();
    assert_eq!(list, json!({ "items": [], "next_cursor": null }));
}
