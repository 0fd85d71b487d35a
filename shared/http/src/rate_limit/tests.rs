//! The windows, with a real table and the time as an argument.

use std::sync::Arc;

use http::header::RETRY_AFTER;
use sequent_tables::testing::{self, Fault};

use super::*;

const START: i64 = 1_700_000_040_000; // the beginning of a minute

fn limiter(store: &Store, chat: u32) -> RateLimiter {
    RateLimiter::new(Some(store.clone()), Limits { chat, ..Limits::NONE }, None)
}

fn tenant() -> RateSubject {
    RateSubject::Tenant(TenantId::new())
}

async fn passed(limiter: &RateLimiter, subject: &RateSubject, at: i64, tries: usize) -> usize {
    let mut passed = 0;
    for _ in 0..tries {
        let now = Timestamp::from_millis(at);
        passed += usize::from(limiter.take_at(subject, Class::Chat, now).await.is_ok());
    }
    passed
}

#[tokio::test]
async fn each_minute_has_its_permits() {
    let limiter = limiter(&testing::store().await, 120);
    let subject = tenant();
    assert_eq!(passed(&limiter, &subject, START, 200).await, 120, "a minute's worth at once");
    assert_eq!(passed(&limiter, &subject, START + 59_999, 5).await, 0);
    assert_eq!(
        passed(&limiter, &subject, START + 60_000, 500).await,
        120,
        "never more than one minute's worth"
    );
}

#[tokio::test]
async fn however_many_clients_ask_at_once_no_more_pass_than_the_limit() {
    let store = testing::store().await;
    let subject = tenant();
    let clients: Vec<_> = (0..40)
        .map(|_| {
            let limiter = limiter(&store, 120);
            let subject = subject.clone();
            tokio::spawn(async move { passed(&limiter, &subject, START, 50).await })
        })
        .collect();
    let mut total = 0;
    for client in clients {
        total += client.await.unwrap();
    }
    assert_eq!(total, 120, "of 2,000 requests");
}

#[tokio::test]
async fn requests_of_one_instance_at_the_same_time_share_its_permits() {
    let limiter = Arc::new(limiter(&testing::store().await, 600));
    let subject = tenant();
    let clients: Vec<_> = (0..40)
        .map(|_| {
            let limiter = Arc::clone(&limiter);
            let subject = subject.clone();
            tokio::spawn(async move { passed(&limiter, &subject, START, 50).await })
        })
        .collect();
    let mut total = 0;
    for client in clients {
        total += client.await.unwrap();
    }
    assert_eq!(total, 600, "of 2,000 requests");
}

#[tokio::test]
async fn instances_share_one_count_and_tenants_do_not() {
    let store = testing::store().await;
    let first = limiter(&store, 60);
    let second = limiter(&store, 60);
    let subject = tenant();
    let mut total = 0;
    for _ in 0..40 {
        total += passed(&first, &subject, START, 1).await + passed(&second, &subject, START, 1).await;
    }
    assert_eq!(total, 60);
    assert_eq!(passed(&second, &tenant(), START, 1).await, 1);
}

#[tokio::test]
async fn most_requests_cost_no_write() {
    let store = testing::store().await;
    let limiter = limiter(&store, 600);
    let subject = tenant();
    assert_eq!(passed(&limiter, &subject, START, 10).await, 10);
    let key = subject.key(Class::Chat, Window::at(Timestamp::from_millis(START)).number);
    let count: serde_json::Value = store.get(&key).await.unwrap().unwrap();
    assert_eq!(count["used"], 10, "one block of ten permits was taken for ten requests");
}

#[tokio::test]
async fn a_refusal_names_the_time_to_wait_and_costs_no_further_write() {
    let store = testing::store().await;
    let limiter = limiter(&store, 6);
    let subject = tenant();
    let now = Timestamp::from_millis(START + 45_500);
    for _ in 0..6 {
        limiter.take_at(&subject, Class::Chat, now).await.unwrap();
    }
    for _ in 0..3 {
        let problem = limiter.take_at(&subject, Class::Chat, now).await.unwrap_err();
        let response = problem.render(None);
        assert_eq!(response.status(), 429);
        assert_eq!(response.headers()[RETRY_AFTER], "15");
        assert_eq!(response.headers()["ratelimit-policy"], "\"chat\";q=6;w=60");
        assert_eq!(response.headers()["ratelimit"], "\"chat\";r=0;t=15");
    }
    let count: serde_json::Value =
        store.get(&subject.key(Class::Chat, Window::at(now).number)).await.unwrap().unwrap();
    assert_eq!(count["used"], 7, "six permits and one refusal");
}

#[tokio::test]
async fn without_a_table_reads_pass_with_a_warning_and_attempts_to_sign_in_do_not() {
    let limits = Limits { read: 1, write: 1, chat: 1, auth: 1 };
    let limiter = RateLimiter::new(Some(testing::unreachable_store().await), limits, None);
    let (guard, lines) = sequent_telemetry::testing::capture_at("warn");
    for class in [Class::Read, Class::Write] {
        for _ in 0..3 {
            limiter.take(&tenant(), class).await.unwrap();
        }
    }
    drop(guard);
    assert!(lines.text().contains("it passes"), "{}", lines.text());
    for class in [Class::Chat, Class::Auth] {
        let response = limiter.take(&tenant(), class).await.unwrap_err().render(None);
        assert_eq!(
            (response.status().as_u16(), &response.headers()[RETRY_AFTER]),
            (503, &"1".parse().unwrap())
        );
    }
}

#[tokio::test]
async fn a_count_that_is_written_too_often_refuses_every_class() {
    let (store, faults) = testing::faulty_store().await;
    let limits = Limits { read: 1, ..Limits::NONE };
    let limiter = RateLimiter::new(Some(store), limits, None);
    faults.plan([Fault::Throttled]);
    let refused = limiter.take(&tenant(), Class::Read).await.unwrap_err();
    assert_eq!(refused.status(), 503);
}

#[tokio::test]
async fn an_address_is_refused_from_memory_after_its_guesses() {
    let limits = Limits { auth: 3, ..Limits::NONE };
    let limiter = RateLimiter::new(Some(testing::store().await), limits, None);
    let guesser = RateSubject::Address("203.0.113.7".to_owned());
    let now = Timestamp::from_millis(START);
    for _ in 0..4 {
        limiter.check_at(&guesser, Class::Failure, now).unwrap();
        let _ = limiter.take_at(&guesser, Class::Failure, now).await;
    }
    assert_eq!(limiter.check_at(&guesser, Class::Failure, now).unwrap_err().status(), 429);
    limiter.check_at(&RateSubject::Address("203.0.113.8".to_owned()), Class::Failure, now).unwrap();
    limiter.check_at(&guesser, Class::Failure, now + WINDOW).unwrap();
}
