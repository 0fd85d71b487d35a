//! The whole pipeline, with the properties of every response.

mod limits;
mod origin;

use axum::{Extension, Router, routing::get};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use sequent_core::{Principal, RequestId, Scope, Scopes, SessionId, TenantId, UserId, Via};
use sequent_identity::Vault;
use sequent_telemetry::testing::capture;

use super::*;
use crate::{Caller, Config, csrf, testing::Event};

const TOKEN: &str = "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJ1c3JfMSJ9.c2lnbmF0dXJlLXNpZ25hdHVyZQ";
const SESSION: SessionId = SessionId::from_bits(7);

fn caller() -> Principal {
    Principal {
        tenant: TenantId::from_bits(1),
        user: UserId::from_bits(2),
        session: Some(SESSION),
        api_key: None,
        scopes: Scopes::NONE.with(Scope::Chat),
        via: Via::Bearer,
    }
}

fn vault(origin: &str) -> Vault {
    let key = STANDARD.encode([3; 32]);
    let secret = serde_json::json!({ "seed": "s", "csrf_key": key, "origin_secret": origin });
    Vault::fixed(&secret.to_string().into()).unwrap()
}

/// Accepts one token and one API key.
fn pipeline(config: Config) -> Pipeline {
    Pipeline::with_config("test", config).callers(vault(""), [(TOKEN, caller()), ("sk_right", caller())])
}

fn router() -> Router {
    Router::new()
        .route("/open", get(async || "open"))
        .route(
            "/me",
            get(async |Caller(caller): Caller| caller.user.to_string()).post(async |_: Caller| "written"),
        )
        .route("/maybe", get(async |caller: Option<Caller>| caller.is_some().to_string()))
        .route(
            "/account",
            get(async |Caller(caller): Caller| caller.require(Scope::Account).map_err(Problem::from)),
        )
        .route("/stream", get(async |_: Caller| "").layer(Extension(csrf::Protection::TrustedPage)))
        .route("/panic", get(async || -> &'static str { panic!("with {TOKEN}") }))
        .route("/broken", get(async || Problem::internal(format!("the cause, token={TOKEN}"))))
        .route("/text", get(async || (http::StatusCode::BAD_GATEWAY, "an upstream's words")))
        .route("/slow", get(std::future::pending::<()>))
        .route("/cached", get(async || ([("cache-control", "max-age=60")], "")))
}

fn app() -> App {
    pipeline(Config::for_tests()).around(router())
}

fn production() -> Config {
    Config {
        is_local: false,
        public_origin: Some("https://app.example".into()),
        allowed_origins: vec!["https://admin.example".into()],
        ..Config::for_tests()
    }
}

#[tokio::test]
async fn every_response_has_a_request_id_and_security_headers() {
    let app = pipeline(production()).around(router());
    for path in ["/open", "/nowhere", "/broken", "/me"] {
        let answer = Event::new("GET", path).send(&app).await;
        assert!(answer.header("x-request-id").parse::<RequestId>().is_ok(), "{path}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(answer.header("cache-control"), "no-store", "{path}");
        assert!(answer.header("strict-transport-security").starts_with("max-age"), "{path}");
    }
    assert_eq!(Event::new("GET", "/cached").send(&app).await.header("cache-control"), "max-age=60");
    let answer = Event::new("GET", "/open").header("x-request-id", "mine-1").send(&app).await;
    assert!(answer.header("x-request-id").parse::<RequestId>().is_ok(), "no client chooses our id");
    let dev = Event::new("GET", "/open").send(&self::app()).await;
    assert_eq!(dev.header("strict-transport-security"), "");
}

#[tokio::test]
async fn a_request_is_logged_in_one_line_without_secrets() {
    let (guard, lines) = capture();
    let event = Event::new("GET", "/me?token=hidden-value-123").bearer(TOKEN).header("x-request-id", "id-1");
    event.send(&app()).await;
    Event::new("GET", "/broken").send(&app()).await;
    drop(guard);
    let text = lines.text();
    let requests: Vec<_> = lines.lines().into_iter().filter(|line| line["message"] == "request").collect();
    assert_eq!(requests.len(), 2, "{text}");
    let line = &requests[0];
    assert_eq!(
        (&line["client_request_id"], &line["route"], &line["method"]),
        (&"id-1".into(), &"/me".into(), &"GET".into())
    );
    assert!(line["request_id"].as_str().unwrap().parse::<RequestId>().is_ok());
    assert_eq!((&line["status"], &line["user"]), (&200.into(), &UserId::from_bits(2).to_string().into()));
    assert_eq!(line["tenant"], TenantId::from_bits(1).to_string());
    assert!(line["latency_ms"].is_number() && line["function"] == "test");
    assert_eq!((&requests[1]["level"], &requests[1]["code"]), (&"ERROR".into(), &"internal".into()));
    assert!(requests[1]["error"].as_str().unwrap().contains("the cause"));
    assert!(!text.contains(TOKEN) && !text.contains("hidden-value-123"), "{text}");
}

#[tokio::test]
async fn the_source_of_a_failure_is_not_sent() {
    for (path, status) in [("/panic", 500), ("/broken", 500), ("/text", 502)] {
        let answer = Event::new("GET", path).send(&app()).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (status, "internal"), "{path}");
        let text = answer.text();
        assert!(!text.contains("eyJ") && !text.contains("cause") && !text.contains("upstream"), "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_hangs_is_ended() {
    let answer = Event::new("GET", "/slow").send(&app()).await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (504, "timeout"));
}

#[tokio::test]
async fn credentials_are_required_and_verified() {
    let app = app();
    let answer = Event::new("GET", "/me").send(&app).await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (401, "unauthenticated"));
    assert_eq!(answer.header("www-authenticate"), "Bearer realm=\"sequent\"");
    let answer = Event::new("GET", "/me").bearer("wrong").send(&app).await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (401, "invalid_credential"));
    assert!(answer.header("www-authenticate").contains("invalid_token"));
    for event in [
        Event::new("GET", "/me").bearer(TOKEN),
        Event::new("GET", "/me").header("x-api-key", "sk_right"),
        Event::new("GET", "/me").cookie("sequent_access", TOKEN),
    ] {
        assert_eq!(event.send(&app).await.text(), UserId::from_bits(2).to_string());
    }
    assert_eq!(Event::new("GET", "/maybe").send(&app).await.text(), "false");
    assert_eq!(Event::new("GET", "/maybe").bearer(TOKEN).send(&app).await.text(), "true");
    assert_eq!(Event::new("GET", "/maybe").bearer("wrong").send(&app).await.status, 401);
    let answer = Event::new("GET", "/account").bearer(TOKEN).send(&app).await;
    assert_eq!((answer.status.as_u16(), answer.json()["scope"].as_str()), (403, Some("account")));
}

#[tokio::test]
async fn a_write_with_a_cookie_needs_both_checks_and_other_writes_none() {
    let app = app();
    let write = || Event::new("POST", "/me");
    let browser = || write().cookie("sequent_access", TOKEN);
    let secret = vault("").get().await.unwrap();
    let token = csrf::token(secret.http(), SESSION);
    let other = csrf::token(secret.http(), SessionId::from_bits(8));
    let cases = [
        (browser(), 403, "csrf_token_missing"),
        (browser().header("x-csrf-token", &other), 403, "csrf_token_invalid"),
        (browser().header("x-csrf-token", &token), 200, ""),
        (browser().header("x-csrf-token", &token).header("origin", "http://localhost:8080"), 200, ""),
        (
            browser().header("x-csrf-token", &token).header("origin", "https://evil.example"),
            403,
            "cross_site",
        ),
        (browser().header("x-csrf-token", &token).header("sec-fetch-site", "cross-site"), 403, "cross_site"),
        (write().bearer(TOKEN).header("origin", "https://evil.example"), 200, ""),
        (write().header("x-api-key", "sk_right"), 200, ""),
    ];
    for (event, status, code) in cases {
        let answer = event.send(&app).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (status, code), "{event:?}");
    }
}

#[tokio::test]
async fn a_get_with_an_effect_must_come_from_a_trusted_page() {
    let app = app();
    let browser = || Event::new("GET", "/stream").cookie("sequent_access", TOKEN);
    for (site, status) in [("same-origin", 200), ("none", 200), ("cross-site", 403), ("same-site", 403)] {
        assert_eq!(
            browser().header("sec-fetch-site", site).send(&app).await.status.as_u16(),
            status,
            "{site}"
        );
    }
    assert_eq!(browser().send(&app).await.status, 403, "a browser that says nothing");
    assert_eq!(Event::new("GET", "/stream").bearer(TOKEN).send(&app).await.status, 200);
}

fn preflight(origin: &str) -> Event {
    let event = Event::new("OPTIONS", "/me").header("origin", origin);
    event.header("access-control-request-method", "POST").header("access-control-request-headers", "x-custom")
}

#[tokio::test]
async fn cors_reflects_in_development_and_lists_in_production() {
    let dev = app();
    let answer = preflight("https://anything.example").send(&dev).await;
    assert!(answer.status.is_success());
    assert_eq!(answer.header("access-control-allow-origin"), "https://anything.example");
    assert_eq!(answer.header("access-control-allow-credentials"), "true");
    assert_eq!(answer.header("access-control-allow-headers"), "x-custom");

    let prod = pipeline(production()).around(router());
    let allowed = preflight("https://admin.example").send(&prod).await;
    assert_eq!(allowed.header("access-control-allow-origin"), "https://admin.example");
    assert!(allowed.header("access-control-allow-headers").contains("idempotency-key"));
    let refused = preflight("https://evil.example").send(&prod).await;
    assert_eq!(refused.header("access-control-allow-origin"), "");

    for path in ["/open", "/broken", "/nowhere", "/panic"] {
        let answer = Event::new("GET", path).header("origin", "https://admin.example").send(&prod).await;
        assert_eq!(answer.header("access-control-allow-origin"), "https://admin.example", "{path}");
        for name in
            ["x-run-id", "x-project-id", "x-request-id", "retry-after", "x-vercel-ai-ui-message-stream"]
        {
            assert!(answer.header("access-control-expose-headers").contains(name), "{path}: {name}");
        }
    }
}

#[tokio::test]
async fn head_answers_like_get_without_a_body() {
    let app = app();
    let answer = Event::new("HEAD", "/open").send(&app).await;
    assert_eq!((answer.status.as_u16(), answer.body.len()), (200, 0));
    let answer = Event::new("HEAD", "/broken").send(&app).await;
    assert_eq!((answer.status.as_u16(), answer.body.len()), (500, 0));
}
