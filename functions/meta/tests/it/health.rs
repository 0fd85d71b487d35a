//! The health report when everything answers, when one dependency fails, and when all do.

use std::sync::atomic::Ordering;

use aws_sdk_secretsmanager::config::{Credentials, Region};
use aws_smithy_runtime_api::{
    client::{
        http::{
            HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
            SharedHttpConnector,
        },
        orchestrator::HttpRequest,
        runtime_components::RuntimeComponents,
    },
    shared::IntoShared as _,
};
use sequent_http::testing::{Answer, Event};
use sequent_meta_function::{FRESH, LIMIT};
use sequent_tables::{Store, Tables, testing};
use serde_json::{Value, json};

use crate::deployment::{Manager, app, client_over, environment, secrets, send};

/// Returns the report without the latencies, which differ each time.
fn timeless(answer: &Answer) -> Value {
    let mut report = answer.json();
    for check in report["checks"].as_object_mut().unwrap().values_mut() {
        assert!(check["latency_ms"].is_u64(), "{check}");
        check.as_object_mut().unwrap().remove("latency_ms");
    }
    report
}

#[tokio::test]
async fn every_dependency_answers() {
    let app = app(testing::store().await, Manager::new(secrets()).client(), environment);
    let answer = send(&app, "health").await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let expected = json!({
        "status": "ok",
        "checks": {
            "main_table": { "status": "ok" }, "events_table": { "status": "ok" }, "secret": { "status": "ok" },
            "origin_secret": { "status": "ok" },
            "model": { "status": "ok", "provider": "openai", "demo": false },
        },
    });
    assert_eq!(timeless(&answer), expected);
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(Event::new("GET", "/api/health/").send(&app).await.status, 200);
    assert_eq!(Event::new("POST", "/api/health").send(&app).await.code(), "method_not_allowed");
}

#[tokio::test]
async fn without_a_setting_the_report_names_no_provider() {
    let app = app(testing::store().await, Manager::new(secrets()).client(), |_| None);
    let report = timeless(&send(&app, "health").await);
    assert_eq!(report["checks"]["model"], json!({ "status": "ok" }), "the keys may be in a secret");
    assert!(report["checks"].get("origin_secret").is_none(), "no CDN, nothing to check");
}

#[tokio::test]
async fn the_report_names_what_fails_and_quotes_no_cause() {
    let store = testing::unreachable_store().await;
    let broken = |name: &str| match name {
        "OPENAI_BASE_URL" => Some("ftp://secret.host".to_owned()),
        name => environment(name),
    };
    let answer = send(&app(store, Manager::new(json!({})).client(), broken), "health").await;
    assert_eq!((answer.status.as_u16(), answer.header("content-type")), (503, "application/json"));
    let failing = |detail: &str| json!({ "status": "failing", "detail": detail });
    let expected = json!({
        "status": "failing",
        "checks": {
            "main_table": failing("cannot be read"), "events_table": failing("cannot be read"),
            "secret": failing("cannot be read"), "origin_secret": failing("cannot be read"),
            "model": failing("is not usable"),
        },
    });
    assert_eq!(timeless(&answer), expected);
    let text = answer.text();
    for private in ["secret.host", "internals", "127.0.0.1", "from-the-cdn"] {
        assert!(!text.contains(private), "{text}");
    }
}

#[tokio::test]
async fn one_missing_table_fails_alone() {
    let store = testing::store().await;
    let tables = Tables { main: store.tables().main.clone(), events: "no-such-table".into() };
    let store = Store::new(store.client().clone(), tables);
    let answer = send(&app(store, Manager::new(secrets()).client(), environment), "health").await;
    assert_eq!(answer.status, 503);
    let checks = &timeless(&answer)["checks"];
    let failing: Vec<_> =
        checks.as_object().unwrap().iter().filter(|(_, check)| check["status"] != "ok").collect();
    assert_eq!(
        failing,
        [(&"events_table".to_owned(), &json!({ "status": "failing", "detail": "cannot be read" }))]
    );
}

#[tokio::test]
async fn many_requests_check_the_dependencies_once() {
    let manager = Manager::new(secrets());
    let app = app(testing::store().await, manager.client(), environment);
    let first = send(&app, "health").await;
    let once = manager.requests.load(Ordering::SeqCst);
    assert_eq!(once, 1, "one secret");
    *manager.secrets.lock().unwrap() = json!({});
    for _ in 0..20 {
        let again = send(&app, "health").await;
        assert_eq!(again.json(), first.json(), "within {FRESH:?} the answer is the same");
    }
    assert_eq!(manager.requests.load(Ordering::SeqCst), once);
}

/// An AWS that accepts connections and never answers.
#[derive(Debug, Clone)]
struct Silence;

impl HttpConnector for Silence {
    fn call(&self, _: HttpRequest) -> HttpConnectorFuture {
        HttpConnectorFuture::new(std::future::pending())
    }
}

impl HttpClient for Silence {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        self.clone().into_shared()
    }
}

#[tokio::test(start_paused = true)]
async fn no_answer_within_the_limit_is_a_failure_and_all_checks_run_at_once() {
    let config = aws_sdk_dynamodb::Config::builder()
        .behavior_version(aws_sdk_dynamodb::config::BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("test", "test", None, None, "test"))
        .http_client(SharedHttpClient::new(Silence))
        .build();
    let tables = Tables { main: "main".into(), events: "events".into() };
    let store = Store::new(aws_sdk_dynamodb::Client::from_conf(config), tables);
    let app = app(store, client_over(Silence), environment);
    let began = tokio::time::Instant::now();
    let answer = send(&app, "health").await;
    assert!(began.elapsed() < LIMIT * 2, "{:?}", began.elapsed());
    assert_eq!(answer.status, 503);
    let report = timeless(&answer);
    // The model provider is a setting, and not asked.
    for (name, check) in report["checks"].as_object().unwrap().iter().filter(|(name, _)| *name != "model") {
        assert_eq!(check, &json!({ "status": "failing", "detail": "no answer in time" }), "{name}");
    }
}
