//! Sessions, API keys, passwords and mails.

use insta::assert_snapshot;

use super::answer;

#[tokio::test]
async fn sessions_are_listed() {
    assert_snapshot!(answer("sessions-list").await, @r#"
    200 application/json
    {
      "items": [
        {
          "id": "ses_1",
          "created_at": "[time]",
          "last_used_at": "[time]",
          "expires_at": "[time]",
          "user_agent": null,
          "address": "203.0.113.7",
          "current": true
        }
      ],
      "next_cursor": null
    }
    "#);
}

#[tokio::test]
async fn a_session_of_another_user_is_not_found() {
    assert_snapshot!(answer("sessions-delete").await, @r#"
    404 application/problem+json
    {
      "type": "/api/errors#not_found",
      "title": "Not Found",
      "status": 404,
      "code": "not_found",
      "detail": "There is nothing with this id.",
      "instance": "req_1"
    }
    "#);
}

#[tokio::test]
async fn an_api_key_is_created() {
    assert_snapshot!(answer("api-keys-create").await, @r#"
    201 application/json
    {
      "key": "[API key]",
      "id": "key_1",
      "name": "ci",
      "prefix": "[redacted]",
      "scopes": [
        "runs:read"
      ],
      "created_at": "[time]",
      "created_by_session": "ses_1",
      "expires_at": null,
      "last_used_at": null
    }
    "#);
}

#[tokio::test]
async fn api_keys_are_listed() {
    assert_snapshot!(answer("api-keys-list").await, @r#"
    200 application/json
    {
      "items": [],
      "next_cursor": null
    }
    "#);
}

#[tokio::test]
async fn an_api_key_of_another_tenant_is_not_found() {
    assert_snapshot!(answer("api-keys-delete").await, @r#"
    404 application/problem+json
    {
      "type": "/api/errors#not_found",
      "title": "Not Found",
      "status": 404,
      "code": "not_found",
      "detail": "There is nothing with this id.",
      "instance": "req_1"
    }
    "#);
}

#[tokio::test]
async fn a_password_is_presented_again() {
    assert_snapshot!(answer("reauthenticate").await, @"204");
}

#[tokio::test]
async fn a_password_is_changed() {
    assert_snapshot!(answer("password").await, @"204");
}

#[tokio::test]
async fn a_password_reset_is_requested() {
    assert_snapshot!(answer("password-reset").await, @"202");
}

#[tokio::test]
async fn a_made_up_token_resets_no_password() {
    assert_snapshot!(answer("password-reset-confirm").await, @r#"
    400 application/problem+json
    {
      "type": "/api/errors#invalid_mail_token",
      "title": "Bad Request",
      "status": 400,
      "code": "invalid_mail_token",
      "detail": "The link was used before or has expired. Request another mail.",
      "instance": "req_1"
    }
    "#);
}

#[tokio::test]
async fn a_verification_is_requested() {
    assert_snapshot!(answer("verification").await, @"202");
}

#[tokio::test]
async fn a_made_up_token_verifies_no_address() {
    assert_snapshot!(answer("verification-confirm").await, @r#"
    400 application/problem+json
    {
      "type": "/api/errors#invalid_mail_token",
      "title": "Bad Request",
      "status": 400,
      "code": "invalid_mail_token",
      "detail": "The link was used before or has expired. Request another mail.",
      "instance": "req_1"
    }
    "#);
}
