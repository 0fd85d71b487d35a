//! The whole pipeline, with the properties of every response.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use axum::{Extension, Router, routing::get};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use sequent_aws::Secrets;
use sequent_core::{Principal, RequestId, Scope, Scopes, SessionId, TenantId, UserId, Via};
use sequent_identity::{Vault, token::ApiKeyToken};
use sequent_tables::testing::process;
use sequent_telemetry::testing::capture;

use super::*;
use crate::{Caller, Config, Operator, csrf, rate_limit::Limits, testing::Event};

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

#[tokio::test]
async fn only_requests_through_the_cdn_are_answered() {
    let app = Pipeline::with_config("test", production())
        .callers(vault("cdn-secret"), [(TOKEN, caller())])
        .around(router());
    let ask = |secret: &'static str| Event::new("GET", "/open").header("x-origin-verify", secret);
    assert_eq!(ask("cdn-secret").send(&app).await.status, 200);
    for event in [ask("wrong"), ask(""), ask("cdn-secret-longer"), Event::new("GET", "/open")] {
        let answer = event.send(&app).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (403, "wrong_origin"), "{event:?}");
    }
}

#[tokio::test]
async fn a_new_secret_of_the_cdn_is_read_when_a_request_has_it() {
    let reads = Arc::new(AtomicUsize::new(0));
    let stored = Secrets::read_by("origin", move || {
        let is_first = reads.fetch_add(1, Ordering::SeqCst) == 0;
        async move { Ok([if is_first { "old" } else { "new" }].into_iter().collect()) }
    });
    let vault = vault("").with_origin(stored);
    let app =
        Pipeline::with_config("test", production()).callers(vault, [(TOKEN, caller())]).around(router());
    let ask = |secret: &'static str| Event::new("GET", "/open").header("x-origin-verify", secret);
    assert_eq!(ask("old").send(&app).await.status, 200);
    assert_eq!(ask("new").send(&app).await.status, 200);
    assert_eq!(ask("invented").send(&app).await.status, 403);
}

/// A deployment without a domain, behind the CDN.
fn unnamed() -> App {
    let config = Config { public_origin: None, allowed_origins: Vec::new(), ..production() };
    Pipeline::with_config("test", config).callers(vault("cdn-secret"), [(TOKEN, caller())]).around(router())
}

#[tokio::test]
async fn pages_of_the_host_that_the_cdn_reports_may_write() {
    let secret = vault("").get().await.unwrap();
    let token = csrf::token(secret.http(), SESSION);
    for (origin, host, status, code) in [
        ("https://d111.cloudfront.net", "d111.cloudfront.net", 200, ""),
        ("https://evil.example", "d111.cloudfront.net", 403, "cross_site"),
        ("http://d111.cloudfront.net", "d111.cloudfront.net", 403, "cross_site"),
    ] {
        let write =
            Event::new("POST", "/me").cookie("__Host-sequent_access", TOKEN).header("x-csrf-token", &token);
        let write = write.header("x-origin-verify", "cdn-secret").header("x-forwarded-host", host);
        let answer = write.header("origin", origin).send(&unnamed()).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (status, code), "{origin}");
    }
}

#[tokio::test]
async fn the_address_that_the_cdn_reports_is_logged() {
    let (guard, lines) = capture();
    let event = Event::new("GET", "/open").header("x-origin-verify", "cdn-secret");
    event.header("x-viewer-ip", "203.0.113.7").send(&unnamed()).await;
    // Without the secret it is a claim.
    Event::new("GET", "/open").header("x-viewer-ip", "203.0.113.8").send(&app()).await;
    drop(guard);
    let requests: Vec<_> = lines.lines().into_iter().filter(|line| line["message"] == "request").collect();
    assert_eq!(requests[0]["client"], "203.0.113.7");
    assert_ne!(requests[1]["client"], "203.0.113.8");
}

#[tokio::test]
async fn headers_have_limits() {
    let event = (0..120).fold(Event::new("GET", "/open"), |event, n| event.header(&format!("x-{n}"), "v"));
    let answer = event.send(&app()).await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (431, "headers_too_large"));
    let answer = Event::new("GET", "/open").header("x-large", &"v".repeat(40_000)).send(&app()).await;
    assert_eq!(answer.status, 431);
}

#[tokio::test]
async fn a_tenant_is_limited_per_class() {
    let limits = Limits::LOCAL.overridden("read=2,write=0").unwrap();
    let config = Config { limits, timeout: Duration::from_secs(5), ..Config::for_tests() };
    let app = pipeline(config).store(sequent_tables::testing::store().await).around(router());
    let mut refused = 0;
    for _ in 0..8 {
        let answer = Event::new("GET", "/me").bearer(TOKEN).send(&app).await;
        if answer.status == 429 {
            refused += 1;
            assert!(!answer.header("retry-after").is_empty() && answer.header("ratelimit").contains("read"));
        }
    }
    // Two pass, and two more if a new minute has begun.
    assert!((4..=6).contains(&refused), "{refused}");
    assert_eq!(Event::new("POST", "/me").bearer(TOKEN).send(&app).await.status, 200);
    assert_eq!(Event::new("GET", "/open").send(&app).await.status, 200);
}

#[tokio::test]
async fn invented_api_keys_cost_few_reads() {
    let (store, requests) = process(&sequent_tables::testing::store().await);
    let settings = sequent_identity::Config::from_env().unwrap();
    let identity = sequent_identity::Identity::new(store.clone(), vault(""), &settings).unwrap();
    let limits = Limits::LOCAL.overridden("auth=3").unwrap();
    let config = Config { limits, ..Config::for_tests() };
    let app = Pipeline::with_config("test", config).store(store).identity(identity).around(router());
    let mut statuses = BTreeMap::<u16, usize>::new();
    for _ in 0..40 {
        let invented = ApiKeyToken::generate().unwrap();
        let answer = Event::new("GET", "/me").bearer(invented.expose()).send(&app).await;
        *statuses.entry(answer.status.as_u16()).or_default() += 1;
    }
    // Three wrong keys and the one that exceeds the limit; as many more if a new minute has begun.
    assert!((4..=8).contains(&statuses[&401]) && statuses[&429] >= 32, "{statuses:?}");
    let reads = requests.take();
    assert!(reads["GetItem"] <= 8, "{reads:?}");
}

#[tokio::test]
async fn a_revoked_key_that_is_sent_again_and_again_is_read_once() {
    let (store, requests) = process(&sequent_tables::testing::store().await);
    let settings = sequent_identity::Config::from_env().unwrap();
    let identity = sequent_identity::Identity::new(store.clone(), vault(""), &settings).unwrap();
    let app =
        Pipeline::with_config("test", Config::for_tests()).store(store).identity(identity).around(router());
    let revoked = ApiKeyToken::generate().unwrap();
    for _ in 0..5 {
        assert_eq!(Event::new("GET", "/me").bearer(revoked.expose()).send(&app).await.status, 401);
    }
    assert_eq!(requests.take()["GetItem"], 1);
}

const ADMIN_KEY: &str = "0123456789abcdef0123456789abcdef";

/// A route of the operator, whose wrong keys are limited to three a minute.
fn operated(store: &Store) -> App {
    let secret = serde_json::json!({ "seed": "s", "admin_key": ADMIN_KEY }).to_string().into();
    let limits = Limits::LOCAL.overridden("auth=3").unwrap();
    Pipeline::with_config("test", Config { limits, ..Config::for_tests() })
        .callers(Vault::fixed(&secret).unwrap(), [(TOKEN, caller())])
        .store(store.clone())
        .around(Router::new().route("/admin", get(async |_: Operator| "done")))
}

#[tokio::test]
async fn each_request_of_the_operator_is_in_the_audit_trail() {
    let store = sequent_tables::testing::store().await;
    let app = operated(&store);
    let ask = || Event::new("GET", "/admin");
    let refused = ask().send(&app).await;
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (401, "unauthenticated"));
    let refused = ask().bearer(TOKEN).send(&app).await;
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (403, "not_an_admin"));
    assert_eq!(ask().header("x-admin-key", ADMIN_KEY).send(&app).await.text(), "done");
    let rows = sequent_tables::testing::all_rows(&store).await;
    let text = |row, name| sequent_tables::attribute_of::<String>(row, name);
    let uses: Vec<_> =
        rows.iter().filter(|row| text(row, "action").as_deref() == Some("operator_request")).collect();
    let [used] = uses.as_slice() else { panic!("{rows:?}") };
    assert_eq!(text(used, "pk"), Some(format!("{}#audit", TenantId::SYSTEM)));
    assert_eq!(text(used, "request").as_deref(), Some("GET /admin"));
    assert_eq!(text(used, "address").as_deref(), Some("203.0.113.7"));
}

#[tokio::test]
async fn an_address_cannot_guess_the_admin_key() {
    let app = operated(&sequent_tables::testing::store().await);
    let mut statuses = BTreeMap::<u16, usize>::new();
    for _ in 0..40 {
        let guess = Event::new("GET", "/admin").header("x-admin-key", "a guess of at least 32 characters");
        *statuses.entry(guess.send(&app).await.status.as_u16()).or_default() += 1;
    }
    // Three guesses and the one that exceeds the limit; as many more if a new minute has begun.
    assert!((4..=8).contains(&statuses[&401]) && statuses[&429] >= 32, "{statuses:?}");
}
