//! The routes of the operator, and the audit trail.

use insta::assert_snapshot;

use super::answer;

#[tokio::test]
async fn the_operator_creates_an_invitation() {
    assert_snapshot!(answer("invitations-create").await, @r#"
    201 application/json
    {
      "invitation": "[redacted]",
      "id": "inv_1",
      "kind": "guest",
      "email": "ada@example.com",
      "created_at": "[time]",
      "expires_at": "[time]",
      "used_at": null
    }
    "#);
}

#[tokio::test]
async fn the_operator_lists_the_invitations() {
    assert_snapshot!(answer("invitations-list").await, @r#"
    200 application/json
    {
      "items": [],
      "next_cursor": null
    }
    "#);
}

#[tokio::test]
async fn an_unknown_invitation_is_not_found() {
    assert_snapshot!(answer("invitations-delete").await, @r#"
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
async fn an_account_is_suspended() {
    assert_snapshot!(answer("admin-suspend").await, @r#"
    200 application/json
    {
      "user": {
        "id": "usr_1",
        "email": "ada@example.com",
        "name": "Ada",
        "tenant_id": "ten_1",
        "created_at": "[time]",
        "role": "owner"
      },
      "suspended_at": "[time]"
    }
    "#);
}

#[tokio::test]
async fn an_account_is_reinstated() {
    assert_snapshot!(answer("admin-reinstate").await, @r#"
    200 application/json
    {
      "user": {
        "id": "usr_1",
        "email": "ada@example.com",
        "name": "Ada",
        "tenant_id": "ten_1",
        "created_at": "[time]",
        "role": "owner"
      },
      "suspended_at": null
    }
    "#);
}

#[tokio::test]
async fn an_account_is_unlocked() {
    assert_snapshot!(answer("admin-unlock").await, @r#"
    200 application/json
    {
      "user": {
        "id": "usr_1",
        "email": "ada@example.com",
        "name": "Ada",
        "tenant_id": "ten_1",
        "created_at": "[time]",
        "role": "owner"
      },
      "suspended_at": null
    }
    "#);
}

#[tokio::test]
async fn the_audit_trail_is_listed() {
    assert_snapshot!(answer("audit-list").await, @r#"
    200 application/json
    {
      "items": [
        {
          "action": "signed_up",
          "at": "[time]",
          "user": "usr_1",
          "session": "ses_1",
          "address": "203.0.113.7"
        }
      ],
      "next_cursor": null
    }
    "#);
}
