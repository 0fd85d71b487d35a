//! The buckets, with a real table and the time as an argument.

use http::header::RETRY_AFTER;
use sequent_tables::testing;

use super::*;

fn limits(chat: u32) -> Limits {
    Limits { chat, ..Limits::NONE }
}

async fn passed(limiter: &RateLimiter, key: &Key, at: i64, tries: usize) -> usize {
    let mut passed = 0;
    for _ in 0..tries {
        let now = Timestamp::from_millis(at);
        passed += usize::from(limiter.take_at(key.clone(), Class::Chat, now).await.is_ok());
    }
    passed
}

#[tokio::test]
async fn a_full_bucket_gives_its_burst_then_its_rate() {
    let limiter = RateLimiter::new(Some(testing::store().await), limits(120));
    let key = key::rate_limit(TenantId::new(), "chat");
    let start = 1_700_000_000_000;
    assert_eq!(passed(&limiter, &key, start, 200).await, 120, "a minute's worth at once");
    assert_eq!(passed(&limiter, &key, start + 400, 5).await, 0, "half a second per permit");
    assert_eq!(passed(&limiter, &key, start + 1_000, 5).await, 2);
    assert_eq!(passed(&limiter, &key, start + 3_600_000, 500).await, 120, "never more than full");
}

#[tokio::test]
async fn instances_share_one_bucket_and_tenants_do_not() {
    let store = testing::store().await;
    let first = RateLimiter::new(Some(store.clone()), limits(60));
    let second = RateLimiter::new(Some(store), limits(60));
    let key = key::rate_limit(TenantId::new(), "chat");
    let start = 1_700_000_000_000;
    let mut total = 0;
    for _ in 0..40 {
        total += passed(&first, &key, start, 1).await + passed(&second, &key, start, 1).await;
    }
    assert_eq!(total, 60);
    let other = key::rate_limit(TenantId::new(), "chat");
    assert_eq!(passed(&second, &other, start, 1).await, 1);
}

#[tokio::test]
async fn most_requests_cost_no_write() {
    let store = testing::store().await;
    let limiter = RateLimiter::new(Some(store.clone()), limits(600));
    let key = key::rate_limit(TenantId::new(), "chat");
    let start = 1_700_000_000_000;
    assert_eq!(passed(&limiter, &key, start, 10).await, 10);
    let bucket: serde_json::Value = store.get(&key).await.unwrap().unwrap();
    let taken = bucket[FULL_AT].as_i64().unwrap() - start * 1000;
    assert_eq!(taken, 10 * 100_000, "one block of ten permits was taken for ten requests");
}

#[tokio::test]
async fn a_refusal_names_the_time_to_wait() {
    let limiter = RateLimiter::new(Some(testing::store().await), limits(6));
    let key = key::rate_limit(TenantId::new(), "chat");
    let now = Timestamp::from_millis(1_700_000_000_000);
    for _ in 0..6 {
        limiter.take_at(key.clone(), Class::Chat, now).await.unwrap();
    }
    let problem = limiter.take_at(key, Class::Chat, now).await.unwrap_err();
    let response = problem.render(None);
    assert_eq!(response.status(), 429);
    assert_eq!(response.headers()[RETRY_AFTER], "10");
    assert_eq!(response.headers()["ratelimit-policy"], "\"chat\";q=6;w=60");
}

#[tokio::test]
async fn without_a_table_requests_pass_with_a_warning() {
    let limiter = RateLimiter::new(Some(testing::unreachable_store().await), limits(1));
    let (guard, lines) = sequent_telemetry::testing::capture_at("warn");
    let key = key::rate_limit(TenantId::new(), "chat");
    assert_eq!(passed(&limiter, &key, 1_700_000_000_000, 3).await, 3);
    drop(guard);
    assert!(lines.text().contains("the request passes"), "{}", lines.text());
}

#[test]
fn limits_are_read_from_text() {
    let prod = Limits::of_stage(Stage::Prod);
    let parse = |text| Limits::parse(Some(text), Stage::Prod);
    assert_eq!(Limits::parse(None, Stage::Prod), Ok(prod));
    assert_eq!(parse("chat=5, auth = 7"), Ok(Limits { chat: 5, auth: 7, ..prod }));
    assert_eq!(parse("90"), Ok(Limits { read: 90, write: 90, ..prod }));
    assert!(parse("x=1").is_err() && parse("read=many").is_err());
}
