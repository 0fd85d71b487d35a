//! The golden events of this function and their answers.

mod credentials;
mod deprecated;
mod operator;

use insta::assert_snapshot;
use sequent_http::testing::golden::Golden;
use serde_json::json;

use crate::deployment::{Deployment, SignedIn, golden, request};

/// The address in the events that create an account.
const NEW_ADDRESS: &str = "ada@example.com";

fn events() -> Golden {
    let golden = Golden::new("auth", &sequent_auth_function::openapi());
    ["csrf_token", "prefix", "kid", "x", "invitation"].into_iter().fold(golden, Golden::redact_member)
}

/// Adds the CSRF token.
async fn with_csrf_token(deployment: &Deployment, signed_in: SignedIn) -> SignedIn {
    let event =
        request("GET", "/api/auth/csrf-token").cookie("__Host-sequent_access", &signed_in.access_token);
    let answer = deployment.send(&event).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    SignedIn { csrf_token: answer.json()["csrf_token"].as_str().unwrap().to_owned(), ..signed_in }
}

/// The answer to a golden event from a user who is signed in, unless the event creates the account.
async fn answer(case: &str) -> String {
    let deployment = Deployment::with_mail().await;
    let is_new = case.contains("register");
    let email = if is_new { "someone@example.com" } else { NEW_ADDRESS };
    let signed_in = with_csrf_token(&deployment, deployment.register(email).await).await;
    let event = golden(case, &signed_in);
    let answer = deployment.send(&event).await;
    assert!(!answer.header("x-request-id").is_empty());
    events().render(&event, &answer)
}

#[test]
fn every_event_is_tested() {
    events().assert_all_tested(concat!(
        include_str!("golden.rs"),
        include_str!("golden/credentials.rs"),
        include_str!("golden/deprecated.rs"),
        include_str!("golden/operator.rs"),
    ));
}

#[tokio::test]
async fn an_account_is_created() {
    assert_snapshot!(answer("register").await, @r#"
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
async fn an_open_deployment_needs_no_invitation_and_ignores_a_wrong_one() {
    assert_snapshot!(answer("register-invited").await, @r#"
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
async fn a_password_that_is_too_long_is_refused() {
    assert_snapshot!(answer("register-password-too-long").await, @r##"
    422 application/problem+json
    {
      "type": "/api/errors#validation_failed",
      "title": "Unprocessable Entity",
      "status": 422,
      "code": "validation_failed",
      "detail": "The account cannot be created with these values.",
      "instance": "req_1",
      "errors": [
        {
          "pointer": "#/password",
          "detail": "must have at most 1024 bytes"
        }
      ]
    }
    "##);
}

#[tokio::test]
async fn a_user_signs_in() {
    assert_snapshot!(answer("login").await, @r#"
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
async fn a_malformed_body_is_refused() {
    assert_snapshot!(answer("login-malformed").await, @r#"
    400 application/problem+json
    {
      "type": "/api/errors#invalid_json",
      "title": "Bad Request",
      "status": 400,
      "code": "invalid_json",
      "detail": "The body is not JSON (line 1, column 27).",
      "instance": "req_1"
    }
    "#);
}

#[tokio::test]
async fn tokens_are_refreshed_with_a_token_in_the_body() {
    assert_snapshot!(answer("refresh").await, @r#"
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
async fn tokens_are_refreshed_with_the_cookie() {
    assert_snapshot!(answer("refresh-cookie").await, @r#"
    200 application/json
    {
      "access_token": "[jwt]",
      "token_type": "Bearer",
      "expires_in": 900,
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
async fn a_user_signs_out() {
    assert_snapshot!(answer("logout").await, @"204");
}

#[tokio::test]
async fn the_user_of_a_bearer_token_is_returned() {
    assert_snapshot!(answer("me").await, @r#"
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
async fn the_user_of_a_cookie_is_returned() {
    assert_snapshot!(answer("me-cookie").await, @r#"
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
async fn the_csrf_token_is_returned() {
    assert_snapshot!(answer("csrf-token").await, @r#"
    200 application/json
    {
      "csrf_token": "[redacted]"
    }
    "#);
}

#[tokio::test]
async fn the_signing_keys_are_public() {
    assert_snapshot!(answer("jwks").await, @r#"
    200 application/json
    {
      "keys": [
        {
          "kty": "OKP",
          "crv": "Ed25519",
          "alg": "EdDSA",
          "use": "sig",
          "kid": "[redacted]",
          "x": "[redacted]"
        }
      ]
    }
    "#);
}

#[tokio::test]
async fn another_user_is_not_deleted() {
    assert_snapshot!(answer("me-delete").await, @r#"
    404 application/problem+json
    {
      "type": "/api/errors#not_found",
      "title": "Not Found",
      "status": 404,
      "code": "not_found",
      "detail": "The id is not that of the caller.",
      "instance": "req_1"
    }
    "#);
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
        "reauthenticate",
        "password",
        "me-delete",
        "verification",
        "audit-list",
        "old-check-session",
    ] {
        let answer = deployment.send(&golden(name, &examples)).await;
        assert_eq!(answer.status, 401, "{name}: {}", answer.text());
    }
}

#[test]
fn the_description_follows_the_rules() {
    let document = serde_json::to_value(sequent_auth_function::openapi()).unwrap();
    assert_eq!(sequent_http::testing::document::faults(&document), Vec::<String>::new());
    assert_eq!(document["paths"]["/api/users"]["post"]["deprecated"], true);
    assert!(document["paths"]["/api/auth/register"]["post"]["deprecated"].is_null());
}
