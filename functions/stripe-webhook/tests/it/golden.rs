//! The answers to the golden events, and to events that must not be trusted.

use std::time::Duration;

use sequent_core::{SecretString, Timestamp};
use sequent_http::{
    App, Config, Pipeline,
    testing::{Answer, Event, golden::Golden},
};
use sequent_stripe::{WebhookSecrets, signature};
use sequent_stripe_webhook_function::{App as State, openapi, router};

const SECRET: &str = "whsec_current";
const OTHER_SECRET: &str = "whsec_previous";

async fn function(secrets: Option<WebhookSecrets>) -> App {
    let state = State::new(sequent_tables::testing::store().await, secrets);
    Pipeline::with_config("stripe-webhook", Config::for_tests()).around(router(state))
}

/// A function that accepts the signatures of two secrets, as during a rotation.
async fn trusting() -> App {
    let secrets = [SECRET, OTHER_SECRET].map(SecretString::from).to_vec();
    function(Some(WebhookSecrets::fixed(secrets))).await
}

fn goldens() -> Golden {
    Golden::new("stripe-webhook", &openapi())
}

/// The golden event, signed again `age` before now. The signatures in the files have expired.
fn signed(case: &str, secret: &str, age: Duration) -> Event {
    let text = sequent_core::golden::text("stripe-webhook", case);
    let file: serde_json::Value = serde_json::from_str(&text).unwrap();
    let body = file["body"].as_str().unwrap();
    let header = signature::sign(body.as_bytes(), &SecretString::from(secret), Timestamp::now() - age);
    Event::from_text(&text).header(signature::HEADER, &header)
}

fn outcome(answer: &Answer) -> (u16, String) {
    (answer.status.as_u16(), answer.code())
}

#[test]
fn every_golden_event_has_a_test() {
    goldens().assert_all_tested(include_str!("golden.rs"));
}

#[tokio::test]
async fn an_event_is_stored_once() {
    let app = trusting().await;
    let event = signed("invoice-paid", SECRET, Duration::ZERO);
    insta::assert_snapshot!(goldens().render(&event, &event.send(&app).await), @r#"
    200 application/json
    {
      "outcome": "stored"
    }
    "#);
    insta::assert_snapshot!(goldens().render(&event, &event.send(&app).await), @r#"
    200 application/json
    {
      "outcome": "known"
    }
    "#);
    // The same event, signed with the other secret of a rotation.
    let event = signed("rolled-secret", OTHER_SECRET, Duration::ZERO);
    insta::assert_snapshot!(goldens().render(&event, &event.send(&app).await), @r#"
    200 application/json
    {
      "outcome": "known"
    }
    "#);
}

#[tokio::test]
async fn a_thin_event_is_stored() {
    let event = signed("thin", SECRET, Duration::ZERO);
    insta::assert_snapshot!(goldens().render(&event, &event.send(&trusting().await).await), @r#"
    200 application/json
    {
      "outcome": "stored"
    }
    "#);
}

#[tokio::test]
async fn an_event_without_a_subject_is_ignored() {
    let body = r#"{"id": "evt_1", "object": "event", "created": 1, "type": "plan.created", "data": {"object": {"id": "p", "object": "plan"}}}"#;
    let header = signature::sign(body.as_bytes(), &SecretString::from(SECRET), Timestamp::now());
    let event = Event::new("POST", "/api/webhooks/stripe").body(body);
    let event = event.header("content-type", "application/json").header(signature::HEADER, &header);
    insta::assert_snapshot!(goldens().render(&event, &event.send(&trusting().await).await), @r#"
    200 application/json
    {
      "outcome": "ignored"
    }
    "#);
}

#[tokio::test]
async fn an_untrusted_event_is_refused() {
    let app = trusting().await;
    let event = Event::golden("stripe-webhook", "unsigned");
    insta::assert_snapshot!(goldens().render(&event, &event.send(&app).await), @r#"
    400 application/problem+json
    {
      "type": "/api/errors#invalid_signature",
      "title": "Bad Request",
      "status": 400,
      "code": "invalid_signature",
      "detail": "The signature of the event is not valid: the header Stripe-Signature is missing.",
      "instance": "req_1"
    }
    "#);
    for (event, reason) in [
        (signed("invoice-paid", "whsec_unknown", Duration::ZERO), "an unknown secret"),
        (signed("invoice-paid", SECRET, Duration::from_secs(302)), "a signature that is too old"),
        (Event::golden("stripe-webhook", "invoice-paid"), "a signature of last year"),
        (signed("invoice-paid", SECRET, Duration::ZERO).body("{}"), "another body"),
        (Event::golden("stripe-webhook", "unsigned").header(signature::HEADER, "v1=00"), "no time"),
    ] {
        let answer = event.send(&app).await;
        assert_eq!(outcome(&answer), (400, "invalid_signature".to_owned()), "{reason}");
    }
}

#[tokio::test]
async fn a_signed_body_that_is_not_an_event_is_refused() {
    let header = signature::sign(b"[]", &SecretString::from(SECRET), Timestamp::now());
    let event = Event::golden("stripe-webhook", "unsigned").body("[]").header(signature::HEADER, &header);
    let answer = event.send(&trusting().await).await;
    assert_eq!(outcome(&answer), (400, "invalid_event".to_owned()));
}

#[tokio::test]
async fn a_deployment_without_billing_has_no_webhook() {
    let event = signed("invoice-paid", SECRET, Duration::ZERO);
    let answer = event.send(&function(None).await).await;
    assert_eq!(outcome(&answer), (404, "not_found".to_owned()));
}
