//! The limits of headers, tenants, addresses and the operator.

use std::{collections::BTreeMap, time::Duration};

use axum::{Router, routing::get};
use sequent_core::TenantId;
use sequent_identity::{Vault, token::ApiKeyToken};
use sequent_tables::{Store, testing::process};

use super::{TOKEN, app, caller, pipeline, router, vault};
use crate::{App, Config, Operator, Pipeline, rate_limit::Limits, testing::Event};

const ADMIN_KEY: &str = "0123456789abcdef0123456789abcdef";

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
