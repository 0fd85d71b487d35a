//! Requests that are refused.

use sequent_http::{
    Scope,
    testing::{
        Answer, Event,
        deployment::{Person, golden, request},
    },
};
use serde_json::{Value, json};

use crate::deployment::Deployment;

/// The cases that a signed-in caller sends.
const CASES: [&str; 8] =
    ["catalog", "checkout", "credits", "invoices", "ledger", "portal", "subscription", "usage"];

fn outcome(answer: &Answer) -> (u16, String) {
    (answer.status.as_u16(), answer.code())
}

fn refused(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}

fn adjustment(of: &Person, change: impl FnOnce(&mut Value)) -> Event {
    let mut body = json!({
        "tenant_id": of.tenant(), "amount": 5_000_000, "reason": "Goodwill", "key": "outage-3"
    });
    change(&mut body);
    Event::new("POST", "/api/admin/billing/adjustments")
        .header("x-origin-verify", "example-origin-secret")
        .json(&body)
}

#[tokio::test]
async fn every_route_needs_the_scope_of_an_account() {
    let deployment = Deployment::new().await;
    let ada = deployment.sign_up("ada@example.com").await;
    let others = Scope::ALL.into_iter().filter(|scope| *scope != Scope::Account);
    let key = deployment.api_key(&ada, others).await;
    for case in CASES {
        let answer = deployment.send(&golden("billing", case, &ada).bearer(&key)).await;
        assert_eq!(outcome(&answer), refused(403, "insufficient_scope"), "{case}");
        assert_eq!(answer.json()["scope"], "account", "{case}");
    }
}

#[tokio::test]
async fn a_deployment_without_billing_answers_not_found() {
    let deployment = Deployment::without_billing().await;
    let ada = deployment.sign_up("ada@example.com").await;
    for case in CASES {
        let answer = deployment.send(&golden("billing", case, &ada)).await;
        assert_eq!(outcome(&answer), refused(404, "not_found"), "{case}");
    }
}

#[tokio::test]
async fn only_the_operator_adjusts_credits() {
    let deployment = Deployment::new().await;
    let ada = deployment.sign_up("ada@example.com").await;
    let event = adjustment(&ada, |_| ());
    assert_eq!(outcome(&deployment.send(&event).await), refused(401, "unauthenticated"));
    let owner = event.clone().bearer(&ada.token);
    assert_eq!(outcome(&deployment.send(&owner).await), refused(403, "not_an_admin"));
    let wrong = event.header("x-admin-key", "wrong");
    assert_eq!(outcome(&deployment.send(&wrong).await), refused(401, "invalid_credential"));
}

#[tokio::test]
async fn a_wrong_adjustment_names_its_field() {
    let deployment = Deployment::new().await;
    let ada = deployment.sign_up("ada@example.com").await;
    for (field, value) in [
        ("amount", json!(0)),
        ("amount", json!(1_000_000_000_001_i64)),
        ("reason", json!(" ")),
        ("reason", json!("x".repeat(501))),
        ("key", json!("")),
        ("key", json!("a b")),
    ] {
        let event = adjustment(&ada, |body| body[field] = value.clone());
        let answer =
            deployment.send(&event.header("x-admin-key", "example-admin-key-of-32-characters")).await;
        assert_eq!(outcome(&answer), refused(422, "validation_failed"), "{field}: {value}");
        assert_eq!(answer.json()["errors"][0]["pointer"], format!("#/{field}"), "{field}: {value}");
    }
    let unknown = adjustment(&ada, |body| body["tenant_id"] = json!("ten_01K9Z3TB6W0000000000000001"));
    let answer = deployment.send(&unknown.header("x-admin-key", "example-admin-key-of-32-characters")).await;
    assert_eq!(outcome(&answer), refused(404, "not_found"));
}

#[tokio::test]
async fn a_purchase_that_is_not_in_the_catalog_is_refused() {
    let deployment = Deployment::new().await;
    let ada = deployment.sign_up("ada@example.com").await;
    for (body, code) in [
        (json!({}), "validation_failed"),
        (json!({"plan": "pro", "quantity": 2}), "validation_failed"),
        (json!({"pack": "small", "price": "monthly"}), "validation_failed"),
        (json!({"pack": "small", "quantity": 101}), "validation_failed"),
        (json!({"plan": "gold"}), "not_for_sale"),
        (json!({"pack": "huge"}), "not_for_sale"),
    ] {
        let answer = deployment.send(&request("POST", "/api/billing/checkout", &ada).json(&body)).await;
        assert_eq!(outcome(&answer), refused(422, code), "{body}");
    }
}

#[tokio::test]
async fn a_second_subscription_is_refused() {
    let deployment = Deployment::new().await;
    let ada = deployment.sign_up("ada@example.com").await;
    assert_eq!(deployment.send(&golden("billing", "checkout", &ada)).await.status, 201);
    deployment.pay().await;
    let again = request("POST", "/api/billing/checkout", &ada).json(&json!({"plan": "pro"}));
    assert_eq!(outcome(&deployment.send(&again).await), refused(409, "already_subscribed"));
}

#[tokio::test]
async fn a_wrong_period_or_page_is_refused() {
    let deployment = Deployment::new().await;
    let ada = deployment.sign_up("ada@example.com").await;
    for (path, code) in [
        ("/api/billing/usage?from=2026-02-01T00:00:00Z&to=2026-01-01T00:00:00Z", "invalid_query"),
        ("/api/billing/usage?by=week", "invalid_query"),
        ("/api/billing/ledger?limit=0", "invalid_query"),
        ("/api/billing/invoices?limit=101", "invalid_query"),
        ("/api/billing/ledger?cursor=x", "invalid_cursor"),
    ] {
        let answer = deployment.send(&request("GET", path, &ada)).await;
        assert_eq!(outcome(&answer), refused(400, code), "{path}");
    }
}

#[tokio::test]
async fn tenants_do_not_see_each_others_ledgers() {
    let deployment = Deployment::new().await;
    let ada = deployment.sign_up("ada@example.com").await;
    let eve = deployment.sign_up("eve@example.com").await;
    let event = adjustment(&ada, |_| ()).header("x-admin-key", "example-admin-key-of-32-characters");
    assert_eq!(deployment.send(&event).await.status, 201);
    let credits = deployment.send(&golden("billing", "credits", &eve)).await.json();
    assert_eq!(credits["adjusted"], 0);
    let ledger = deployment.send(&golden("billing", "ledger", &eve)).await.json();
    assert!(!ledger.to_string().contains("Goodwill"), "{ledger}");
}
