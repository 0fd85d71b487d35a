//! The answers to the golden events.

use insta::assert_snapshot;
use sequent_http::testing::golden::Golden;
use sequent_webhooks_function::openapi;

use crate::deployment::{Deployment, golden};

/// Sends the event in a deployment with a webhook that has a delivery, and renders the response.
async fn answer(case: &str) -> String {
    let deployment = Deployment::new().await;
    let ada = deployment.sign_up("ada@example.com").await;
    let webhook = deployment.webhook(&ada).await;
    let delivery = deployment.delivery(&ada, &webhook).await;
    let event = golden(case, &ada, &webhook, &delivery);
    goldens().render(&event, &deployment.send(&event).await)
}

pub(crate) fn goldens() -> Golden {
    Golden::new("webhooks", &openapi()).redact_member("instance").redact("whsec_[A-Za-z0-9+/=]+", "[secret]")
}

#[test]
fn every_golden_event_has_a_test() {
    goldens().assert_all_tested(concat!(include_str!("golden.rs"), include_str!("hooks_golden.rs")));
}

#[tokio::test]
async fn webhooks_are_listed_and_read() {
    assert_snapshot!(answer("list").await, @r#"
    200 application/json
    {
      "items": [
        {
          "id": "whk_1",
          "url": "https://example.com/",
          "description": null,
          "events": [
            "run.finished"
          ],
          "api_version": "2026-12-01",
          "enabled": true,
          "disabled": null,
          "failing_since": null,
          "previous_secret_until": null,
          "user_id": "usr_1",
          "created_at": "[time]",
          "updated_at": "[time]"
        }
      ]
    }
    "#);
    assert_snapshot!(answer("get").await, @r#"
    200 application/json
    {
      "id": "whk_1",
      "url": "https://example.com/",
      "description": null,
      "events": [
        "run.finished"
      ],
      "api_version": "2026-12-01",
      "enabled": true,
      "disabled": null,
      "failing_since": null,
      "previous_secret_until": null,
      "user_id": "usr_1",
      "created_at": "[time]",
      "updated_at": "[time]"
    }
    "#);
    assert_snapshot!(answer("get-unknown").await, @r#"
    404 application/problem+json
    {
      "type": "/api/errors#not_found",
      "title": "Not Found",
      "status": 404,
      "code": "not_found",
      "detail": "There is no webhook with this id.",
      "instance": "[redacted]"
    }
    "#);
}

#[tokio::test]
async fn a_webhook_is_created_with_a_secret() {
    assert_snapshot!(answer("create").await, @r#"
    201 application/json
    {
      "id": "whk_1",
      "url": "https://example.com/sequent?key=1",
      "description": "Tells the ticket system.",
      "events": [
        "run.finished",
        "run.failed"
      ],
      "api_version": "2026-12-01",
      "enabled": true,
      "disabled": null,
      "failing_since": null,
      "previous_secret_until": null,
      "user_id": "usr_1",
      "created_at": "[time]",
      "updated_at": "[time]",
      "secret": "[secret]"
    }
    "#);
    assert!(answer("create-anonymous").await.starts_with("401"));
}

#[tokio::test]
async fn a_webhook_that_is_not_allowed_is_refused_at_its_place() {
    assert_snapshot!(answer("create-private").await, @r##"
    422 application/problem+json
    {
      "type": "/api/errors#validation_failed",
      "title": "Unprocessable Entity",
      "status": 422,
      "code": "validation_failed",
      "detail": "The address of the webhook is not allowed.",
      "instance": "[redacted]",
      "errors": [
        {
          "pointer": "#/url",
          "detail": "the address is not on the public internet"
        }
      ]
    }
    "##);
    for (case, at) in [
        ("create-http", "must be https"),
        ("create-unknown-event", "#/events/0"),
        ("create-no-events", "#/events"),
        ("change-unknown-field", "secret"),
    ] {
        let answer = answer(case).await;
        assert!(answer.starts_with("422") && answer.contains(at), "{case}: {answer}");
    }
}

#[tokio::test]
async fn a_webhook_is_changed_deleted_and_given_another_secret() {
    assert_snapshot!(answer("change").await, @r#"
    200 application/json
    {
      "id": "whk_1",
      "url": "https://hooks.example.com/sequent",
      "description": null,
      "events": [
        "run.failed",
        "credits.low"
      ],
      "api_version": "2026-12-01",
      "enabled": false,
      "disabled": null,
      "failing_since": null,
      "previous_secret_until": null,
      "user_id": "usr_1",
      "created_at": "[time]",
      "updated_at": "[time]"
    }
    "#);
    assert_snapshot!(answer("rotate").await, @r#"
    200 application/json
    {
      "id": "whk_1",
      "url": "https://example.com/",
      "description": null,
      "events": [
        "run.finished"
      ],
      "api_version": "2026-12-01",
      "enabled": true,
      "disabled": null,
      "failing_since": null,
      "previous_secret_until": "[time]",
      "user_id": "usr_1",
      "created_at": "[time]",
      "updated_at": "[time]",
      "secret": "[secret]"
    }
    "#);
    assert_snapshot!(answer("delete").await, @"204");
}

#[tokio::test]
async fn deliveries_are_listed_and_read() {
    assert_snapshot!(answer("list-deliveries").await, @r#"
    200 application/json
    {
      "items": [
        {
          "id": "dlv_1",
          "webhook_id": "whk_1",
          "event_id": "evt_1",
          "event_type": "webhook.test",
          "seq": 1,
          "status": "pending",
          "attempts": [],
          "next_attempt_at": "[time]",
          "created_at": "[time]"
        }
      ],
      "next_cursor": null
    }
    "#);
    assert_snapshot!(answer("list-failed").await, @r#"
    200 application/json
    {
      "items": [],
      "next_cursor": null
    }
    "#);
    assert!(answer("list-pending").await.contains("\"status\": \"pending\""));
    assert!(answer("list-invalid-status").await.starts_with("400"));
    assert_snapshot!(answer("get-delivery").await, @r#"
    200 application/json
    {
      "id": "dlv_1",
      "webhook_id": "whk_1",
      "event_id": "evt_1",
      "event_type": "webhook.test",
      "seq": 1,
      "status": "pending",
      "attempts": [],
      "next_attempt_at": "[time]",
      "created_at": "[time]",
      "payload": {
        "id": "evt_1",
        "type": "webhook.test",
        "api_version": "2026-12-01",
        "created_at": "[time]",
        "seq": 1,
        "data": {
          "webhook_id": "whk_1"
        }
      }
    }
    "#);
}

#[tokio::test]
async fn a_webhook_is_tested_and_a_delivery_that_has_not_ended_is_not_sent_again() {
    assert_snapshot!(answer("test").await, @r#"
    202 application/json
    {
      "id": "dlv_1",
      "webhook_id": "whk_1",
      "event_id": "evt_1",
      "event_type": "webhook.test",
      "seq": 2,
      "status": "pending",
      "attempts": [],
      "next_attempt_at": "[time]",
      "created_at": "[time]"
    }
    "#);
    assert_snapshot!(answer("redeliver").await, @r#"
    409 application/problem+json
    {
      "type": "/api/errors#delivery_pending",
      "title": "Conflict",
      "status": 409,
      "code": "delivery_pending",
      "detail": "The delivery has not ended.",
      "instance": "[redacted]"
    }
    "#);
}
