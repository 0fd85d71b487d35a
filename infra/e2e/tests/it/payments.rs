//! Purchases with the test server for Stripe as a process: subscribe, spend, top up, refund.

use std::time::{Duration, Instant};

use sequent_core::{SecretString, Timestamp};
use sequent_stripe::signature;
use serde_json::{Value, json};

use crate::{
    stripe::{SIGNING, Stripe, buy, selling, until, webhook},
    surface::{Answer, Call, Person},
    system::{PATIENCE, System},
};

const PLANS: &str = r#"{"pro": {"concurrent_runs": 7}, "team": {}}"#;
/// One dollar per million input tokens, and ten per million output tokens.
const PRICES: &str = r#"{"demo":{"input":1000000,"output":10000000}}"#;

/// Like [`selling`], with a small hold per run.
async fn start() -> (Stripe, System) {
    let env = [
        ("BILLING_PLANS", PLANS),
        ("BILLING_HOLD", "50000"),
        ("MODEL_PRICES", PRICES),
        ("BILLING_METER", "micro_credits_spent"),
    ];
    selling(&env).await
}

async fn post(person: &Person, path: &str, body: Value) -> Answer {
    person.read("POST", &Call::to(path).body(body), &person.bearer()).await
}

/// Sends a message and returns the status, and the problem's code if there is one.
async fn chat(person: &Person, tokens: u32) -> (u16, String) {
    let content = format!("Hello.\n/demo tokens={tokens} rate=0");
    let answer =
        post(person, "/api/chat/send", json!({"message": {"content": content}, "model": "demo"})).await;
    let code =
        if answer.status == 200 { String::new() } else { answer.json()["code"].as_str().unwrap().to_owned() };
    (answer.status.as_u16(), code)
}

async fn credits(person: &Person, what: &str, expected: impl Fn(&Value) -> bool) -> Value {
    until(person, "/api/billing/credits", what, expected).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn paid_credits_can_be_spent_and_refunded_ones_cannot() {
    let (stripe, system) = start().await;
    let person = Person::sign_up(&system, "ada@example.com").await;
    let none = person.get("/api/billing/subscription").await;
    assert_eq!(none, json!({"subscription": null}));
    assert_eq!(person.get("/api/billing/invoices").await["items"], json!([]));
    assert_eq!(chat(&person, 1).await, (402, "insufficient_credits".to_owned()));
    let nothing = post(&person, "/api/billing/portal", json!({})).await;
    assert_eq!((nothing.status.as_u16(), &nothing.json()["code"]), (409, &json!("nothing_bought")));
    let catalog = person.get("/api/billing/catalog").await;
    assert_eq!(catalog["plans"]["pro"]["prices"]["monthly"]["credits"], 60_000, "{catalog}");

    // Subscribe: the webhook brings the plan and its credits.
    let page = buy(&person, json!({"plan": "pro"})).await;
    assert!(page["expires_at"].is_string(), "{page}");
    assert_eq!(stripe.all("customer").await.len(), 1);
    stripe.pays(&page).await;
    let has =
        credits(&person, "a plan", |credits| credits["plan"] == "pro" && credits["available"] == 60_000)
            .await;
    assert_eq!(has["entitlements"]["concurrent_runs"], 7, "{has}");
    let subscription = person.get("/api/billing/subscription").await;
    assert_eq!(subscription["subscription"]["status"], "active", "{subscription}");
    let invoices = person.get("/api/billing/invoices").await;
    assert_eq!(
        (&invoices["items"][0]["status"], &invoices["items"][0]["amount_paid"], &invoices["next_cursor"]),
        (&json!("paid"), &json!(2000), &Value::Null),
        "{invoices}"
    );
    let again = post(&person, "/api/billing/checkout", json!({"plan": "team", "price": "yearly"})).await;
    assert_eq!((again.status.as_u16(), &again.json()["code"]), (409, &json!("already_subscribed")));
    let portal = post(&person, "/api/billing/portal", json!({})).await;
    assert!(portal.json()["url"].as_str().unwrap().starts_with("https://billing."), "{}", portal.json());

    // Spend until a hold is refused.
    assert_eq!(chat(&person, 1000).await.0, 200);
    assert_eq!(chat(&person, 4900).await.0, 200);
    assert_eq!(chat(&person, 1000).await, (402, "insufficient_credits".to_owned()));

    // Top up: the same request returns the same page.
    let body = json!({"pack": "small", "quantity": 2});
    let twice = || async {
        let call = Call::to("/api/billing/checkout").body(body.clone()).header("idempotency-key", "top-up-1");
        person.read("POST", &call, &person.bearer()).await.json()
    };
    let one = twice().await;
    let other = twice().await;
    assert_eq!(one, other);
    let other = Call::to("/api/billing/checkout")
        .body(json!({"pack": "small"}))
        .header("idempotency-key", "top-up-1");
    let other = person.read("POST", &other, &person.bearer()).await;
    assert_eq!((other.status.as_u16(), &other.json()["code"]), (422, &json!("idempotency_key_reused")));
    let long =
        Call::to("/api/billing/checkout").body(body.clone()).header("idempotency-key", &"k".repeat(255));
    assert_eq!(person.read("POST", &long, &person.bearer()).await.status, 201);
    let before = person.get("/api/billing/credits").await["available"].as_i64().unwrap();
    stripe.pays(&one).await;
    credits(&person, "a pack", |credits| credits["available"] == before + 200_000).await;
    assert_eq!(chat(&person, 100).await.0, 200);

    // Partial refund: the same share of the credits is taken back.
    let left = person.get("/api/billing/credits").await["available"].as_i64().unwrap();
    let payment = stripe.latest("payment_intent").await;
    stripe.has("refund", json!({"id": payment, "amount": 250})).await;
    credits(&person, "a refund", |credits| credits["available"] == left - 50_000).await;

    // Dispute: no credits can be spent until the bank has decided.
    let dispute = stripe.has("dispute", json!({"id": payment})).await;
    credits(&person, "frozen", |credits| credits["frozen"].is_string()).await;
    assert_eq!(chat(&person, 1).await, (402, "account_frozen".to_owned()));
    stripe.has("close_dispute", json!({"id": dispute, "won": true})).await;
    credits(&person, "released", |credits| {
        credits["frozen"].is_null() && credits["available"] == left - 50_000
    })
    .await;
    assert_eq!(chat(&person, 1).await.0, 200);

    // A renewal fails and is recovered; a cancellation is scheduled and takes effect.
    let id = stripe.latest("subscription").await;
    let status = |expected: &'static str| {
        let person = &person;
        async move {
            let is = |answer: &Value| answer["subscription"]["status"] == expected;
            until(person, "/api/billing/subscription", expected, is).await
        }
    };
    stripe.has("renew", json!({"id": id, "paid": false})).await;
    status("past_due").await;
    assert_eq!(person.get("/api/billing/credits").await["plan"], "pro", "it is tried again");
    let before = person.get("/api/billing/credits").await["available"].as_i64().unwrap();
    stripe.has("recover", json!({"id": id})).await;
    status("active").await;
    credits(&person, "the next month", |credits| credits["available"] == before + 60_000).await;
    stripe.has("cancel_at_period_end", json!({"id": id})).await;
    let expected = |answer: &Value| answer["subscription"]["cancels_at"].is_string();
    until(&person, "/api/billing/subscription", "a cancellation", expected).await;
    stripe.has("renew", json!({"id": id})).await;
    status("canceled").await;
    credits(&person, "no plan", |credits| credits["plan"] == "free").await;

    // The cost of each run was reported once.
    let ledger = person.get("/api/billing/ledger?limit=100").await;
    let postings = ledger["items"].as_array().unwrap();
    let mut runs: Vec<(String, String)> = Vec::new();
    for posting in postings.iter().filter(|posting| posting["cause"]["type"] == "run") {
        let spent =
            posting["entries"].as_array().unwrap().iter().find(|entry| entry["place"] == "spent").unwrap();
        runs.push((posting["cause"]["run_id"].as_str().unwrap().to_owned(), spent["amount"].to_string()));
    }
    let mut reported: Vec<(String, String)> = Vec::new();
    let asked = Instant::now();
    while asked.elapsed() < PATIENCE {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let reports = stripe.all("billing.meter_event").await;
        reported =
            reports.iter().map(|one| (text(&one["identifier"]), text(&one["payload"]["value"]))).collect();
        if reported.len() >= runs.len() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    runs.sort();
    reported.sort();
    assert_eq!(reported, runs);
    assert_eq!(runs.len(), 4);

    // Each payment has one posting, although each event arrived twice.
    let causes: Vec<String> = postings
        .iter()
        .filter(|posting| posting["cause"]["type"] == "stripe")
        .map(|posting| posting["cause"]["effect"].as_str().unwrap().split('#').next().unwrap().to_owned())
        .collect();
    assert_eq!(causes, ["grant", "reversal", "grant", "grant"], "{ledger}");

    // Deleted at Stripe: the next purchase creates another customer.
    let left = person.get("/api/billing/credits").await["available"].as_i64().unwrap();
    stripe.has("delete_customer", json!({"id": stripe.latest("customer").await})).await;
    stripe.pays(&buy(&person, json!({"pack": "small"})).await).await;
    credits(&person, "a pack for another", |credits| credits["available"] == left + 100_000).await;
    assert_eq!(stripe.all("customer").await.len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_signed_events_are_accepted_and_missing_ones_are_found() {
    let (stripe, system) = start().await;
    let person = Person::sign_up(&system, "ada@example.com").await;

    // The catalog decides what can be bought.
    for (body, status, expected) in [
        (json!({}), 422, "/plan"),
        (json!({"plan": "pro", "pack": "small"}), 422, "/pack"),
        (json!({"plan": "gold"}), 422, "gold"),
        (json!({"plan": "team"}), 422, "monthly, yearly"),
        (json!({"plan": "team", "price": "weekly"}), 422, "weekly"),
        (json!({"pack": "small", "quantity": 0}), 422, "/quantity"),
        (json!({"pack": "small", "price": "x"}), 422, "/price"),
        (json!({"plans": "pro"}), 422, "plans"),
    ] {
        let answer = post(&person, "/api/billing/checkout", body.clone()).await;
        let text = answer.json().to_string();
        assert!(answer.status == status && text.contains(expected), "{body}: {} {text}", answer.status);
    }

    // The events are not delivered.
    stripe.has("webhook", json!({"url": "http://127.0.0.1:9/"})).await;
    let page = buy(&person, json!({"plan": "team", "price": "monthly"})).await;
    stripe.pays(&page).await;

    // A forged event.
    let events: Vec<Value> =
        reqwest::get(format!("{}/control/events", stripe.url)).await.unwrap().json().await.unwrap();
    let created = events.iter().find(|event| event["type"] == "customer.subscription.created").unwrap();
    let send = |header: Option<String>, body: String| {
        let request = reqwest::Client::new().post(webhook(&system)).body(body);
        let request = match header {
            Some(header) => request.header(signature::HEADER, header),
            None => request,
        };
        async move {
            let answer = request.send().await.unwrap();
            let (status, kind) = (answer.status().as_u16(), answer.headers().get("content-type").cloned());
            let body: Value = answer.json().await.unwrap();
            if status != 200 {
                assert_eq!(kind.unwrap(), "application/problem+json");
            }
            (status, body)
        }
    };
    let sign = |body: &str, secret: &str, at: Timestamp| {
        signature::sign(body.as_bytes(), &SecretString::from(secret), at)
    };
    let body = created.to_string();
    let now = Timestamp::now();
    let old = Timestamp::from_millis(now.millis() - 302_000);
    for header in [
        None,
        Some(String::new()),
        Some("t=1,v1=00".to_owned()),
        Some(sign(&body, "whsec_other", now)),
        Some(sign(&body, SIGNING, old)),
        Some(sign("{}", SIGNING, now)),
        Some(sign(&body, SIGNING, now).replace("v1=", "v0=")),
    ] {
        let (status, problem) = send(header.clone(), body.clone()).await;
        assert_eq!((status, &problem["code"]), (400, &json!("invalid_signature")), "{header:?}");
    }
    let (status, problem) = send(Some(sign("[]", SIGNING, now)), "[]".to_owned()).await;
    assert_eq!((status, &problem["code"]), (400, &json!("invalid_event")));
    let other = json!({"id": "evt_x", "object": "event", "type": "terminal.reader.updated"}).to_string();
    assert_eq!(send(Some(sign(&other, SIGNING, now)), other.clone()).await.1["outcome"], "ignored");
    assert_eq!(person.get("/api/billing/credits").await["plan"], "free");

    // The schedule finds the undelivered events, once.
    let reconcile = || async {
        let name = &system.stack.deployed().resources["SchedulerFunction"];
        let url = format!("{}/2015-03-31/functions/{name}/invocations", system.stack.control_url());
        let event = include_str!("../../../../events/scheduler/enqueue-hourly-jobs.json");
        let answer = reqwest::Client::new().post(url).body(event).send().await.unwrap();
        answer.json::<Value>().await.unwrap()
    };
    assert_eq!(reconcile().await, json!({"enqueued": 1}));
    credits(&person, "a trial", |credits| credits["plan"] == "team" && credits["available"] == 9000).await;
    let trial = person.get("/api/billing/subscription").await;
    assert_eq!(trial["subscription"]["status"], "trialing", "{trial}");

    // A late delivery is known already, in either form.
    assert_eq!(send(Some(sign(&body, SIGNING, now)), body).await.1["outcome"], "known");
    let thin = json!({
        "id": "evt_thin", "object": "v2.core.event", "type": "v1.customer.subscription.updated",
        "related_object": {"id": stripe.latest("subscription").await, "type": "subscription"},
    });
    let thin = thin.to_string();
    assert_eq!(send(Some(sign(&thin, SIGNING, now)), thin.clone()).await.1["outcome"], "stored");
    assert_eq!(person.get("/api/billing/credits").await["available"], 9000);
}
