//! Every golden event of this function, answered.

use crate::deployment::{Deployment, PASSWORD, SignedIn, golden, request};
use sequent_core::golden::cases;
use serde_json::json;

const NOBODY: &str = "someone@example.com";

/// Whether the account of the event exists when it arrives, and what it is answered with.
fn expected(name: &str) -> (bool, u16, &'static str) {
    match name {
        "register" | "old-register" => (false, 201, ""),
        "register-password-too-long" => (false, 422, "validation_failed"),
        "login-malformed" => (true, 400, "invalid_json"),
        "logout" | "old-logout" => (true, 204, ""),
        "api-keys-create" => (true, 201, ""),
        "api-keys-delete" | "sessions-delete" => (true, 404, "not_found"), // ids of somebody else
        "api-keys-list" | "csrf-token" | "jwks" | "login" | "me" | "me-cookie" | "old-check-session"
        | "old-login" | "refresh" | "refresh-cookie" | "sessions-list" => (true, 200, ""),
        other => panic!("no expectation for {other}"),
    }
}

/// Adds the token that writes with the cookie need.
async fn with_csrf_token(deployment: &Deployment, signed_in: SignedIn) -> SignedIn {
    let event =
        request("GET", "/api/auth/csrf-token").cookie("__Host-sequent_access", &signed_in.access_token);
    let answer = deployment.send(&event).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    SignedIn { csrf_token: answer.json()["csrf_token"].as_str().unwrap().to_owned(), ..signed_in }
}

#[tokio::test]
async fn each_is_answered_as_expected() {
    for name in cases("auth") {
        let (registered, status, code) = expected(&name);
        let deployment = Deployment::new().await;
        let email = if registered { "ada@example.com" } else { NOBODY };
        let signed_in = with_csrf_token(&deployment, deployment.register(email).await).await;
        let answer = deployment.send(&golden(&name, &signed_in)).await;
        assert_eq!(
            (answer.status.as_u16(), answer.code().as_str()),
            (status, code),
            "{name}: {}",
            answer.text()
        );
        assert!(!answer.header("x-request-id").is_empty(), "{name}");
    }
}

#[tokio::test]
async fn no_credential_of_the_examples_is_accepted() {
    let deployment = Deployment::new().await;
    let examples = SignedIn {
        access_token: "eyJhbGciOiJFZERTQSIsImtpZCI6ImV4YW1wbGUiLCJ0eXAiOiJhdCtqd3QifQ.e30.ZXhhbXBsZQ"
            .to_owned(),
        refresh_token: "rt_example".to_owned(),
        csrf_token: "example-csrf".to_owned(),
        user: json!(null),
    };
    for name in [
        "me",
        "me-cookie",
        "csrf-token",
        "sessions-list",
        "sessions-delete",
        "api-keys-create",
        "api-keys-list",
        "api-keys-delete",
        "refresh",
        "refresh-cookie",
        "old-check-session",
    ] {
        let answer = deployment.send(&golden(name, &examples)).await;
        assert_eq!(answer.status, 401, "{name}: {}", answer.text());
    }
}

#[tokio::test]
async fn the_older_paths_answer_the_same_way() {
    let deployment = Deployment::new().await;
    let body = json!({ "email": "old@example.com", "password": PASSWORD, "name": "Old" });
    // With the trailing slash that clients of old send.
    let registered = deployment.send(&request("POST", "/api/users/").json(&body)).await;
    assert_eq!(registered.status, 201, "{}", registered.text());
    let user = SignedIn::of(&registered).user;

    let body = json!({ "email": "old@example.com", "password": PASSWORD });
    let signed_in = SignedIn::of(&deployment.send(&request("POST", "/api/login/").json(&body)).await);
    assert_eq!(signed_in.user, user);
    let checked =
        deployment.send(&request("GET", "/api/check_session/").bearer(&signed_in.access_token)).await;
    assert_eq!(checked.json(), user);
    let out = deployment.send(&request("POST", "/api/logout/").bearer(&signed_in.access_token)).await;
    assert_eq!(out.status, 204);
    let body = json!({ "refresh_token": signed_in.refresh_token });
    let refused = deployment.send(&request("POST", "/api/auth/refresh").json(&body)).await;
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (401, "invalid_refresh_token"));
}

#[test]
fn the_document_names_every_route() {
    let document = serde_json::to_value(sequent_auth_function::openapi()).unwrap();
    let mut routes: Vec<String> = document["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, item)| {
            let methods = ["get", "post", "delete", "patch", "put"]
                .into_iter()
                .filter(|method| item[method].is_object());
            methods.map(|method| format!("{} {path}", method.to_uppercase())).collect::<Vec<_>>()
        })
        .collect();
    routes.sort();
    assert_eq!(
        routes,
        [
            "DELETE /api/auth/api-keys/{id}",
            "DELETE /api/auth/sessions/{id}",
            "GET /.well-known/jwks.json",
            "GET /api/auth/api-keys",
            "GET /api/auth/csrf-token",
            "GET /api/auth/me",
            "GET /api/auth/sessions",
            "GET /api/check_session",
            "POST /api/auth/api-keys",
            "POST /api/auth/login",
            "POST /api/auth/logout",
            "POST /api/auth/refresh",
            "POST /api/auth/register",
            "POST /api/login",
            "POST /api/logout",
            "POST /api/users",
        ]
    );
    assert_eq!(document["paths"]["/api/users"]["post"]["deprecated"], true);
    assert!(document["paths"]["/api/auth/register"]["post"]["deprecated"].is_null());
    let text = document.to_string();
    for reference in text.split("\"$ref\":\"#").skip(1).filter_map(|rest| rest.split('"').next()) {
        assert!(document.pointer(reference).is_some(), "{reference} does not resolve");
    }
}
