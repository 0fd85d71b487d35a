//! The paths for older clients.

use insta::assert_snapshot;
use serde_json::json;

use super::answer;
use crate::deployment::{Deployment, PASSWORD, SignedIn, request};

#[tokio::test]
async fn the_deprecated_path_creates_an_account() {
    assert_snapshot!(answer("old-register").await, @r#"
    201 application/json
    {
      "access_token": "[jwt]",
      "token_type": "Bearer",
      "expires_in": 900,
      "refresh_token": "[refresh token]",
      "user": {
        "id": "usr_1",
        "email": "ada@example.com",
        "name": "Ada",
        "tenant_id": "ten_1",
        "created_at": "[time]",
        "role": "owner"
      }
    }
    "#);
}

#[tokio::test]
async fn the_deprecated_path_signs_in() {
    assert_snapshot!(answer("old-login").await, @r#"
    200 application/json
    {
      "access_token": "[jwt]",
      "token_type": "Bearer",
      "expires_in": 900,
      "refresh_token": "[refresh token]",
      "user": {
        "id": "usr_1",
        "email": "ada@example.com",
        "name": "Ada",
        "tenant_id": "ten_1",
        "created_at": "[time]",
        "role": "owner"
      }
    }
    "#);
}

#[tokio::test]
async fn the_deprecated_path_signs_out() {
    assert_snapshot!(answer("old-logout").await, @"204");
}

#[tokio::test]
async fn the_deprecated_path_returns_the_user() {
    assert_snapshot!(answer("old-check-session").await, @r#"
    200 application/json
    {
      "id": "usr_1",
      "tenant_id": "ten_1",
      "role": "owner",
      "created_at": "[time]",
      "email": "ada@example.com",
      "name": "Ada",
      "scopes": [
        "projects:read",
        "projects:write",
        "chat",
        "runs:read",
        "runs:write",
        "agents:read",
        "agents:write",
        "tools:read",
        "tools:write",
        "schedules:read",
        "schedules:write",
        "evaluations:read",
        "evaluations:write",
        "artifacts:read",
        "artifacts:write",
        "webhooks:read",
        "webhooks:write",
        "account",
        "approvals"
      ]
    }
    "#);
}

#[tokio::test]
async fn the_deprecated_paths_answer_the_same_way() {
    let deployment = Deployment::new().await;
    let body = json!({ "email": "old@example.com", "password": PASSWORD, "name": "Old" });
    // Older clients send a trailing slash.
    let registered = deployment.send(&request("POST", "/api/users/").json(&body)).await;
    assert_eq!(registered.status, 201, "{}", registered.text());
    let user = SignedIn::of(&registered).user;

    let body = json!({ "email": "old@example.com", "password": PASSWORD });
    let signed_in = SignedIn::of(&deployment.send(&request("POST", "/api/login/").json(&body)).await);
    assert_eq!(signed_in.user, user);
    let checked =
        deployment.send(&request("GET", "/api/check_session/").bearer(&signed_in.access_token)).await;
    assert_eq!((&checked.json()["id"], &checked.json()["email"]), (&user["id"], &user["email"]));
    let out = deployment.send(&request("POST", "/api/logout/").bearer(&signed_in.access_token)).await;
    assert_eq!(out.status, 204);
    let body = json!({ "refresh_token": signed_in.refresh_token });
    let refused = deployment.send(&request("POST", "/api/auth/refresh").json(&body)).await;
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (401, "invalid_refresh_token"));
}
