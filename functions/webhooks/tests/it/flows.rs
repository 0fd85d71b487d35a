//! Sequences of requests, and requests that are refused.

use sequent_http::Scope;
use serde_json::{Value, json};

use crate::deployment::{Deployment, request};

#[tokio::test]
async fn the_secret_is_shown_when_it_is_made_and_never_again() {
    let deployment = Deployment::new().await;
    let ada = deployment.sign_up("ada@example.com").await;
    let new = json!({"url": "https://example.com/", "events": ["run.finished"]});
    let created = deployment.made(&ada, "POST", "/api/webhooks", new).await;
    let path = format!("/api/webhooks/{}", created["id"].as_str().unwrap());
    let rotated = deployment.made(&ada, "POST", &format!("{path}/secret"), json!({})).await;
    assert_ne!(created["secret"], rotated["secret"]);
    for path in ["/api/webhooks", &path] {
        let shown = deployment.send(&request("GET", path, &ada)).await;
        assert!(shown.status == 200 && !shown.text().contains("whsec_"), "{}", shown.text());
    }
}

#[tokio::test]
async fn what_is_another_tenants_does_not_exist() {
    let deployment = Deployment::new().await;
    let ada = deployment.sign_up("ada@example.com").await;
    let eve = deployment.sign_up("eve@example.com").await;
    let webhook = deployment.webhook(&ada).await;
    let delivery = deployment.delivery(&ada, &webhook).await;
    let own = deployment.webhook(&eve).await;
    for (method, path, body) in [
        ("GET", format!("/api/webhooks/{webhook}"), Value::Null),
        ("PATCH", format!("/api/webhooks/{webhook}"), json!({"enabled": false})),
        ("POST", format!("/api/webhooks/{webhook}/secret"), Value::Null),
        ("POST", format!("/api/webhooks/{webhook}/test"), Value::Null),
        ("GET", format!("/api/webhooks/{webhook}/deliveries"), Value::Null),
        ("GET", format!("/api/webhooks/{webhook}/deliveries/{delivery}"), Value::Null),
        ("GET", format!("/api/webhooks/{own}/deliveries/{delivery}"), Value::Null),
        ("POST", format!("/api/webhooks/{webhook}/deliveries/{delivery}/redeliver"), Value::Null),
        ("POST", format!("/api/webhooks/{own}/deliveries/{delivery}/redeliver"), Value::Null),
        ("DELETE", format!("/api/webhooks/{webhook}"), Value::Null),
    ] {
        let event = request(method, &path, &eve);
        let event = if body.is_null() { event } else { event.json(&body) };
        let answer = deployment.send(&event).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (404, "not_found"), "{method} {path}");
    }
    let kept = deployment.send(&request("GET", &format!("/api/webhooks/{webhook}"), &ada)).await;
    assert_eq!(kept.json()["enabled"], true);
}

#[tokio::test]
async fn a_key_that_reads_cannot_change() {
    let deployment = Deployment::new().await;
    let ada = deployment.sign_up("ada@example.com").await;
    let webhook = deployment.webhook(&ada).await;
    let key = deployment.api_key(&ada, [Scope::WebhooksRead]).await;
    let send = async |method: &str, path: &str| {
        let event = sequent_http::testing::deployment::with_token(method, path, &key);
        deployment.send(&event).await.status.as_u16()
    };
    let path = format!("/api/webhooks/{webhook}");
    assert_eq!(send("GET", &path).await, 200);
    assert_eq!(send("POST", &format!("{path}/test")).await, 403);
    assert_eq!(send("DELETE", &path).await, 403);
}

#[tokio::test]
async fn a_webhook_that_was_disabled_takes_no_test_until_it_is_enabled() {
    let deployment = Deployment::new().await;
    let ada = deployment.sign_up("ada@example.com").await;
    let webhook = deployment.webhook(&ada).await;
    let path = format!("/api/webhooks/{webhook}");
    deployment.made(&ada, "PATCH", &path, json!({"enabled": false})).await;
    let refused = deployment.send(&request("POST", &format!("{path}/test"), &ada)).await;
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (409, "webhook_disabled"));
    deployment.made(&ada, "PATCH", &path, json!({"enabled": true})).await;
    deployment.delivery(&ada, &webhook).await;
}
