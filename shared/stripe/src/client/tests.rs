use std::sync::{
    Mutex,
    atomic::{AtomicUsize, Ordering},
};

use futures::FutureExt;
use sequent_tables::SecretTable;
use serde_json::json;

use super::*;
use crate::{ApiKey, Price, price::SCALE};

/// Returns responses from a list and records the requests.
#[derive(Debug, Default)]
struct Script {
    answers: Mutex<Vec<Result<Answer, Unsent>>>,
    asked: Arc<Mutex<Vec<Request>>>,
    calls: AtomicUsize,
}

impl Transport for Script {
    fn send<'a>(&'a self, request: &'a Request) -> BoxFuture<'a, Result<Answer, Unsent>> {
        self.asked.lock().unwrap().push(request.clone());
        let n = self.calls.fetch_add(1, Ordering::Relaxed);
        let answers = self.answers.lock().unwrap();
        let answer = answers.get(n).or(answers.last()).unwrap().clone();
        async move { answer }.boxed()
    }
}

fn answer(status: u16, body: Value) -> Result<Answer, Unsent> {
    Ok(Answer { status, body, should_retry: None, request_id: Some("req_1".to_owned()) })
}

fn client(answers: Vec<Result<Answer, Unsent>>) -> (Client, Arc<Mutex<Vec<Request>>>) {
    let script = Script { answers: Mutex::new(answers), ..Script::default() };
    let asked = Arc::clone(&script.asked);
    (Client::new(script), asked)
}

fn price() -> Value {
    json!({"id": "price_1", "currency": "usd", "unit_amount": 2000, "nickname": null})
}

#[tokio::test(start_paused = true)]
async fn what_may_pass_is_tried_again_with_the_same_key() {
    let failures = vec![
        Err(Unsent::Lost("connection reset".to_owned())),
        answer(500, Value::Null),
        answer(429, json!({"error": {"message": "slow down"}})),
        answer(200, json!({"id": "cus_1"})),
    ];
    let (client, asked) = client(failures);
    assert_eq!(client.create_customer("k", "ten_1", None).await.unwrap().id, "cus_1");
    let asked = asked.lock().unwrap();
    assert_eq!(asked.len(), 4);
    assert!(asked.iter().all(|request| request.idempotency_key.as_deref() == Some("k")));
}

#[tokio::test(start_paused = true)]
async fn what_will_not_pass_is_not() {
    let refusal = json!({"error": {"type": "card_error", "code": "card_declined", "message": "No."}});
    let (declined, asked) = client(vec![answer(402, refusal)]);
    let error = declined.price("price_1", "eur").await.unwrap_err();
    assert!(matches!(&error, Error::Refused { status: 402, code, .. } if code == "card_declined"), "{error}");
    assert_eq!(asked.lock().unwrap().len(), 1);

    // Stripe's header takes precedence over the status.
    let told = Ok(Answer { status: 500, body: Value::Null, should_retry: Some(false), request_id: None });
    let (client, asked) = client(vec![told]);
    assert!(matches!(client.price("price_1", "eur").await, Err(Error::Unavailable(_))));
    assert_eq!(asked.lock().unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn after_some_tries_it_is_enough() {
    let (client, asked) = client(vec![Err(Unsent::Lost("refused".to_owned()))]);
    assert_eq!(client.price("price_1", "eur").await, Err(Error::Unavailable("refused".to_owned())));
    assert_eq!(asked.lock().unwrap().len(), TRIES);
}

#[tokio::test]
async fn what_is_missing_is_none_and_what_is_unreadable_says_where() {
    let missing = json!({"error": {"type": "invalid_request_error", "code": "resource_missing", "message": "No such price"}});
    let (none, _) = client(vec![answer(404, missing)]);
    assert_eq!(none.price("price_1", "eur").await, Ok(None));
    let (other, _) = client(vec![answer(200, json!({"id": "price_1", "unit_amount": "many"}))]);
    let error = other.price("price_1", "eur").await.unwrap_err().to_string();
    assert!(
        error.contains("/v1/prices/price_1") && error.contains("unit_amount") && !error.contains("many"),
        "{error}"
    );
    let (found, asked) = client(vec![answer(200, price())]);
    let found: Price = found.price("price_1", "eur").await.unwrap().unwrap();
    assert_eq!((found.amount_of(1, "usd"), found.amount_of(1, "eur")), (Some(2000 * SCALE), None));
    let expanded = ["currency_options", "tiers", "currency_options.eur.tiers"]
        .map(|name| ("expand[]".to_owned(), name.to_owned()));
    assert_eq!(asked.lock().unwrap()[0].form, expanded);
}

#[tokio::test]
async fn lists_are_read_to_their_end() {
    let page = |ids: [&str; 2], has_more: bool| {
        let data =
            ids.map(|id| json!({"id": id, "amount": 5, "status": "succeeded", "payment_intent": "pi_1"}));
        answer(200, json!({"data": data, "has_more": has_more}))
    };
    let (client, asked) = client(vec![page(["re_4", "re_3"], true), page(["re_2", "re_1"], false)]);
    let ids: Vec<String> =
        client.refunds("pi_1").await.unwrap().into_iter().map(|refund| refund.id).collect();
    assert_eq!(ids, ["re_4", "re_3", "re_2", "re_1"]);
    let after = ("starting_after".to_owned(), "re_3".to_owned());
    assert!(asked.lock().unwrap()[1].form.contains(&after));
}

#[tokio::test]
async fn the_key_is_not_sent_in_the_open() {
    let table = SecretTable::new(sequent_tables::testing::store().await);
    let web = |base: &str| Web::new(base, ApiKey::new(&table));
    for base in
        ["https://api.stripe.com", "http://127.0.0.1:12111", "http://[::1]:1", "http://localhost:8420/"]
    {
        assert!(web(base).is_ok(), "{base}");
    }
    for base in [
        "http://api.stripe.com",
        "http://localhost.example.com",
        "https://api.stripe.com/v1",
        "ftp://127.0.0.1",
        "x",
    ] {
        assert!(web(base).is_err(), "{base}");
    }
}
