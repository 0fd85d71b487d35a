//! Credits through the stack: the cost of runs, refusals, and a ledger that stays correct under concurrency.

use sequent_billing::testing;
use sequent_tables::{Tables, testing::deployed};
use serde_json::{Value, json};

use crate::{
    surface::{Call, Person},
    system::{PATIENCE, System, of_kind, scaled},
};

const ADMIN_KEY: &str = "a key for tests of 32 characters";
/// One dollar per million input tokens, and ten per million output tokens.
const PRICES: &str = r#"{"demo":{"input":1000000,"output":10000000}}"#;

async fn start(more: &[(&str, &str)]) -> System {
    let usual = [("BILLING", "on"), ("MODEL_PRICES", PRICES), ("BILLING_HOLD", "50000")];
    let env: Vec<_> = usual.into_iter().chain(more.iter().copied()).collect();
    System::start_with(&env, |options| options.admin_key = Some(ADMIN_KEY.to_owned())).await
}

/// Sends a message and returns the response, or the run and its log.
async fn said(person: &Person, message: &str) -> (Value, Vec<Value>) {
    let call = Call::to("/api/chat/send").body(json!({"message": {"content": message}, "model": "demo"}));
    let answer = person.read("POST", &call, &person.bearer()).await;
    if answer.status != 200 {
        return (answer.json(), Vec::new());
    }
    let run = answer.header("x-run-id").to_owned();
    let log = person.get(&format!("/api/runs/{run}/events?limit=1000")).await;
    (person.get(&format!("/api/runs/{run}")).await, log["events"].as_array().unwrap().clone())
}

fn of_type<'a>(jobs: &'a Value, job_type: &str) -> Vec<&'a Value> {
    jobs["items"].as_array().unwrap().iter().filter(|job| job["job_type"] == job_type).collect()
}

async fn adjust(system: &System, body: Value) -> (u16, String) {
    let url = format!("{}/api/admin/billing/adjustments", system.stack.origin_url().trim_end_matches('/'));
    let request = reqwest::Client::new().post(url).header("x-admin-key", ADMIN_KEY).json(&body);
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn runs_spend_credits_and_stop_where_they_end() {
    let system = start(&[("BILLING_WELCOME", "60000")]).await;
    let person = Person::sign_up(&system, "ada@example.com").await;
    let credits = person.get("/api/billing/credits").await;
    assert_eq!((&credits["available"], &credits["plan"]), (&json!(60_000), &json!("free")), "{credits}");

    // A thousand output tokens cost a hundredth of a credit, plus a little for the input.
    let (run, log) = said(&person, "Hello.\n/demo tokens=1000 rate=0").await;
    let cost = run["cost"]["micro_usd"].as_i64().unwrap();
    assert!((10_000..11_000).contains(&cost), "{run}");
    assert_eq!(of_kind(&log, "RUN_CONFIGURED")[0]["hold"]["amount"], 50_000);
    assert_eq!(run["budget"]["max_cost_micro_usd"], 50_000, "the row is the log's");
    let credits = person.get("/api/billing/credits").await;
    assert_eq!(
        (&credits["spent"], &credits["available"]),
        (&json!(cost), &json!(60_000 - cost)),
        "{credits}"
    );
    assert_eq!((&credits["reserved"], &credits["runs_under_way"]), (&json!(0), &json!(0)));

    // A run never costs more than its hold: its response ends where the hold ends.
    let (run, _) = said(&person, "More.\n/demo tokens=10000 rate=0").await;
    assert_eq!(run["error"]["code"], "cost_limit", "{run}");
    let after = person.get("/api/billing/credits").await;
    let left = after["available"].as_i64().unwrap();
    assert!((0..5_000).contains(&left) && after["reserved"] == 0, "{after} {run}");
    let postings = person.get("/api/billing/ledger").await;
    assert!(
        postings["items"].as_array().unwrap().iter().all(|posting| posting["uncovered"] == 0),
        "{postings}"
    );

    // Without credits there is no run, and the problem names the remedy.
    let (problem, _) = said(&person, "And more.\n/demo tokens=1 rate=0").await;
    assert_eq!(
        (&problem["status"], &problem["code"]),
        (&json!(402), &json!("insufficient_credits")),
        "{problem}"
    );
    assert!(problem["detail"].as_str().unwrap().contains("/api/billing/checkout"), "{problem}");
    let background = Call::to("/api/runs").body(json!({"input": "x", "model": "demo"}));
    assert_eq!(person.read("POST", &background, &person.bearer()).await.status, 402);

    let tenant = person.get("/api/auth/me").await["tenant_id"].clone();
    let top_up = json!({"tenant_id": tenant, "amount": 1_000_000, "reason": "goodwill", "key": "1"});
    assert_eq!(adjust(&system, top_up.clone()).await.0, 201);
    assert_eq!(adjust(&system, top_up).await.0, 204, "once");
    let nobodys = json!({"tenant_id": sequent_core::TenantId::new(), "amount": 5, "reason": "x", "key": "3"});
    assert_eq!(adjust(&system, nobodys).await.0, 404);
    let (run, _) = said(&person, "And now?\n/demo tokens=3 rate=0").await;
    assert_eq!(run["status"], "success");

    let ledger = person.get("/api/billing/ledger").await;
    let postings = ledger["items"].as_array().unwrap();
    assert_eq!(postings.len(), 5, "welcome, three runs, an adjustment: {ledger}");
    for posting in postings {
        let sum: i64 = posting["entries"]
            .as_array()
            .unwrap()
            .iter()
            .map(|entry| entry["amount"].as_i64().unwrap())
            .sum();
        assert_eq!(sum, 0, "{posting}");
    }
    let usage = person.get("/api/billing/usage?by=user").await;
    assert_eq!((&usage["items"][0]["runs"], &usage["complete"]), (&json!(3), &json!(true)), "{usage}");
    let credits = person.get("/api/billing/credits").await;
    assert_eq!((&usage["spent"], &usage["adjusted"]), (&credits["spent"], &json!(1_000_000)));
    for (body, at) in [
        (json!({"tenant_id": tenant, "amount": 0, "reason": "x", "key": "2"}), "/amount"),
        (json!({"tenant_id": tenant, "amount": 5, "reason": " ", "key": "2"}), "/reason"),
        (json!({"tenant_id": tenant, "amount": 5, "reason": "x", "key": "a b"}), "/key"),
    ] {
        let (status, text) = adjust(&system, body).await;
        assert!(status == 422 && text.contains(at), "{status} {text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_releases_its_reserved_credits_however_it_ends() {
    let plans =
        r#"{"free":{"concurrent_runs":2,"models":["demo"],"tools":["cite_source"],"retention_days":30}}"#;
    let system = start(&[("BILLING_WELCOME", "1000000"), ("BILLING_PLANS", plans)]).await;
    let person = Person::sign_up(&system, "ada@example.com").await;
    let call = |body: Value| Call::to("/api/runs").body(body);
    let slow = call(json!({"input": "/demo tokens=100000 rate=5", "model": "demo"}));
    let first = person.post(slow.clone()).await.json();
    let second = person.post(slow.clone()).await.json();
    let refused = person.read("POST", &slow, &person.bearer()).await;
    assert_eq!((refused.status.as_u16(), &refused.json()["code"]), (429, &json!("too_many_runs")));
    let other = call(json!({"input": "x", "model": "gpt-5"}));
    let refused = person.read("POST", &other, &person.bearer()).await;
    assert_eq!((refused.status.as_u16(), &refused.json()["code"]), (403, &json!("model_not_in_plan")));

    let nobodys = call(json!({"input": "x", "model": "openai/of-my-own"}));
    let refused = person.read("POST", &nobodys, &person.bearer()).await;
    assert_eq!((refused.status.as_u16(), &refused.json()["code"]), (403, &json!("model_not_priced")));

    // The first run of a day enqueues the deletion of conversations beyond the plan's retention, which enqueues that of the
    // next day.
    let forgets = async || {
        let jobs = person.get("/api/jobs").await;
        let forgets = of_type(&jobs, "forget_old_projects");
        forgets.iter().map(|job| job["status"].clone()).collect::<Vec<_>>()
    };
    while !forgets().await.contains(&json!("success")) {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    assert_eq!(forgets().await, [json!("pending"), json!("success")], "once a day");

    for run in [&first, &second] {
        let cancel = Call::to(format!("/api/runs/{}/cancel", run["id"].as_str().unwrap()));
        assert!(person.post(cancel).await.status.is_success());
    }
    let tool = "/demo tokens=1 rate=0 tool=save_artifact args={\"title\":\"a\",\"content\":\"b\"}\n/demo tokens=1 rate=0";
    let (run, log) = said(&person, tool).await;
    assert_eq!(
        (&run["tools"], of_kind(&log, "TOOL_CALL_START").len()),
        (&json!(["cite_source"]), 0),
        "{run}"
    );
    let failed = said(&person, "/demo tokens=3 rate=0 fail_after=1").await.0;
    assert_eq!(failed["status"], "error", "{failed}");
    let freed = async {
        loop {
            let credits = person.get("/api/billing/credits").await;
            if credits["runs_under_way"] == 0 {
                return credits;
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    };
    let credits = tokio::time::timeout(PATIENCE, freed).await.expect("the runs end");
    assert_eq!(credits["reserved"], 0, "{credits}");
    let sum = credits["available"].as_i64().unwrap() + credits["spent"].as_i64().unwrap();
    assert_eq!(sum, 1_000_000, "{credits}");
}

/// Random histories of accounts on the stack's own table, where transactions conflict as in DynamoDB.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_books_balance_under_32_concurrent_spenders() {
    let system = System::start(&[]).await;
    let outputs = &system.stack.deployed().outputs;
    let tables = Tables {
        main: outputs["MainTableName"].clone().into(),
        events: outputs["EventsTableName"].clone().into(),
    };
    let store = deployed(system.stack.endpoint_url(), tables);
    // Each spender performs a sequence of operations.
    let sequences = scaled(320, 10_000);
    let seed = fastrand::u64(..);
    println!("seed {seed}, {sequences} sequences");
    let mut settled = 0;
    let mut refused = 0;
    let mut postings = 0;
    for n in 0..sequences.div_ceil(32) {
        let history = testing::history(&store, seed.wrapping_add(n as u64), 32, 3).await;
        settled += history.settled;
        refused += history.refused;
        postings += history.postings;
    }
    println!("{settled} runs settled, {refused} refused, {postings} postings");
    assert!(settled > 0 && refused > 0 && postings > settled, "all kinds of things were done");
}
