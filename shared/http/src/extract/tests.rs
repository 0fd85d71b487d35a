//! Wrong requests of every kind, with a real router.

use axum::{Extension, Router, routing::post};
use http::header::ALLOW;
use proptest::prelude::*;
use sequent_core::ProjectId;
use serde::Deserialize;
use serde_json::json;

use super::*;
use crate::{
    Config, Pipeline,
    testing::{Answer, Event},
};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Send {
    message: Message,
    #[serde(default)]
    tags: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Message {
    content: String,
}

#[derive(Debug, Deserialize)]
struct Page {
    limit: Option<u8>,
}

async fn send(event: Event) -> Answer {
    let router = Router::new()
        .route(
            "/projects/{id}",
            post(async |Path(id): Path<ProjectId>, Query(page): Query<Page>, Json(body): Json<Send>| {
                Json(json!([id, page.limit, body.message.content, body.tags]))
            }),
        )
        .route(
            "/large",
            post(async |Json(_): Json<serde_json::Value>| ()).layer(Extension(BodyLimit(3_000_000))),
        )
        .route("/unlabelled", post(async |UnlabelledJson(body): UnlabelledJson<Message>| body.content));
    event.send(&Pipeline::with_config("test", Config::for_tests()).around(router)).await
}

fn path() -> String {
    format!("/projects/{}", ProjectId::new())
}

fn expect(answer: &Answer, status: u16, code: &str) {
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (status, code), "{}", answer.text());
    assert_eq!(answer.header("content-type"), "application/problem+json");
    let body = answer.json();
    assert_eq!(body["instance"], answer.header("x-request-id"));
    assert_eq!(body["status"], status);
}

#[tokio::test]
async fn a_valid_request_passes_even_with_a_trailing_slash() {
    let id = ProjectId::new();
    let body = json!({"message": {"content": "hi"}});
    let answer = send(Event::new("POST", &format!("/projects/{id}/?limit=7")).json(&body)).await;
    assert_eq!(answer.json(), json!([id, 7, "hi", []]));
    assert_eq!(answer.header("content-type"), "application/json");
}

#[tokio::test]
async fn wrong_bodies() {
    let answer = send(Event::new("POST", &path()).json(&json!({"message": {"content": 5}}))).await;
    expect(&answer, 422, "validation_failed");
    assert_eq!(answer.json()["errors"][0]["pointer"], "#/message/content");
    assert_eq!(answer.json()["errors"][0]["detail"], "invalid type: integer `5`, expected a string");

    let answer =
        send(Event::new("POST", &path()).json(&json!({"message": {"content": "a"}, "tags": ["a", 1]}))).await;
    assert_eq!(answer.json()["errors"][0]["pointer"], "#/tags/1");

    let answer = send(Event::new("POST", &path()).json(&json!({"message": ["a"]}))).await;
    expect(&answer, 422, "validation_failed");
    assert_eq!(answer.json()["errors"][0]["pointer"], "#/message");

    let answer = send(Event::new("POST", &path()).json(&json!({"message": {"content": "a"}, "x": 1}))).await;
    expect(&answer, 422, "validation_failed");

    for text in ["{\"message\"", "", "nonsense", "{} trailing"] {
        let answer =
            send(Event::new("POST", &path()).header("content-type", "application/json").body(text)).await;
        assert!(matches!(answer.status.as_u16(), 400 | 422), "{text}: {}", answer.text());
        assert_eq!(answer.header("content-type"), "application/problem+json");
    }
    let answer =
        send(Event::new("POST", &path()).header("content-type", "application/json").body("{\"a")).await;
    expect(&answer, 400, "invalid_json");
}

#[tokio::test]
async fn wrong_media_type() {
    for kind in ["text/plain", "application/x-www-form-urlencoded", "application/jsonx"] {
        let answer = send(Event::new("POST", &path()).header("content-type", kind).body("{}")).await;
        expect(&answer, 415, "unsupported_media_type");
    }
}

#[tokio::test]
async fn a_body_without_a_content_type_is_accepted_only_by_some_routes() {
    let unlabelled = || Event::new("POST", "/unlabelled").body(r#"{"content":"hi"}"#);
    assert_eq!(send(unlabelled()).await.text(), "hi");
    for kind in ["text/plain;charset=UTF-8", "application/json", "application/problem+json"] {
        assert_eq!(send(unlabelled().header("content-type", kind)).await.text(), "hi", "{kind}");
    }
    for kind in ["multipart/form-data", "application/x-www-form-urlencoded", "text/html"] {
        let refused = send(unlabelled().header("content-type", kind)).await;
        expect(&refused, 415, "unsupported_media_type");
    }
}

#[tokio::test]
async fn large_bodies_are_refused_unless_the_route_allows_them() {
    let body = json!("x".repeat(2_000_000));
    let refused = send(Event::new("POST", &path()).json(&body)).await;
    expect(&refused, 413, "body_too_large");
    assert_eq!(refused.json()["max_bytes"], 1024 * 1024);
    assert_eq!(refused.json()["detail"], "The body is larger than this route allows: at most 1048576 bytes.");
    assert_eq!(send(Event::new("POST", "/large").json(&body)).await.status, 200);
    let body = json!("x".repeat(3_000_000));
    assert_eq!(send(Event::new("POST", "/large").json(&body)).await.json()["max_bytes"], 3_000_000);
}

#[tokio::test]
async fn wrong_parameters() {
    let body = json!({"message": {"content": "hi"}});
    let answer = send(Event::new("POST", &format!("{}?limit=many", path())).json(&body)).await;
    expect(&answer, 400, "invalid_query");
    assert_eq!(answer.json()["errors"][0]["parameter"], "limit");
    let answer = send(Event::new("POST", "/projects/run_01K9Z3AAAAAAAAAAAAAAAAAAAA").json(&body)).await;
    expect(&answer, 404, "not_found");
}

#[tokio::test]
async fn unknown_routes_and_methods_are_refused() {
    expect(&send(Event::new("GET", "/nowhere")).await, 404, "route_not_found");
    let answer = send(Event::new("DELETE", &path())).await;
    expect(&answer, 405, "method_not_allowed");
    assert_eq!(answer.header(ALLOW.as_str()), "POST");
}

#[test]
fn a_missing_body_and_null_are_the_same() {
    for none in ["", "null", " null "] {
        assert_eq!(optional_json::<u8>(none.as_bytes()).unwrap(), None, "{none:?}");
    }
    assert_eq!(optional_json(b"5").unwrap(), Some(5));
    assert_eq!(optional_json::<Vec<u8>>(b"[5").unwrap_err().code(), Code::InvalidJson);
}

#[test]
fn names_in_a_pointer_are_escaped() {
    type Map = std::collections::BTreeMap<String, u8>;
    let problem = from_json::<Map>(br#"{"a/b~c": "x"}"#).unwrap_err();
    let body = serde_json::to_string(&format!("{problem:?}")).unwrap();
    assert!(body.contains("#/a~1b~0c"), "{body}");
}

proptest! {
    #[test]
    fn no_body_panics(body: Vec<u8>) {
        if let Err(problem) = from_json::<Send>(&body) {
            prop_assert!(problem.status().is_client_error());
        }
    }
}
