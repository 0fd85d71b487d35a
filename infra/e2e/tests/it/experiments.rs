//! Attacks on a deployment, each of which succeeded once: a rate limit met by many clients at the same time, a day of wrong
//! passwords, and a conversation that outlives its deletion. [`strangers`](crate::strangers) has the abandoned runs.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures::future::join_all;
use reqwest::{Client, Response, StatusCode, header};
use sequent_tables::testing;
use serde_json::{Value, json};

use crate::system::{Caller, System};

const PASSWORD: &str = "correct horse battery staple";
/// A word that everything of a conversation contains.
const WORD: &str = "xylophone";

fn minute() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() / 60
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forty_clients_at_once_pass_no_more_requests_than_the_limit() {
    const LIMIT: u64 = 60;
    let system = System::start_with(&[], |options| {
        let limits = format!("read={LIMIT},write=0,chat=0,auth=0");
        options.env.insert("RATE_LIMIT_PER_MINUTE".into(), limits);
    })
    .await;
    let ada = system.sign_up("ada@example.com").await;
    let first = minute();
    let clients = (0..40).map(async |_| {
        let mut statuses = Vec::new();
        for _ in 0..10 {
            statuses.push(ada.request("GET", "/api/runs").send().await.unwrap().status());
        }
        statuses
    });
    let statuses: Vec<StatusCode> = join_all(clients).await.concat();
    let windows = minute() - first + 1;
    let count = |status: StatusCode| statuses.iter().filter(|other| **other == status).count() as u64;
    let passed = count(StatusCode::OK);
    assert_eq!(passed + count(StatusCode::TOO_MANY_REQUESTS), 400, "{statuses:?}");
    assert!((LIMIT..=LIMIT * windows).contains(&passed), "{passed} passed in {windows} minutes");
}

async fn sign_in(system: &System, password: &str, device: &str) -> Response {
    let url = format!("{}/api/auth/login", system.stack.origin_url());
    let body = json!({"email": "ada@example.com", "password": password});
    Client::new().post(url).header(header::COOKIE, device).json(&body).send().await.unwrap()
}

/// Lets time pass for the throttle: moves the times in its rows back.
async fn pass(system: &System, time: Duration) {
    for row in testing::all_rows(&system.store()).await {
        if !row.contains_key("blocked_until") {
            continue;
        }
        let place = |name: &str| json!({"S": row[name].as_s().unwrap()});
        let update = json!({
            "TableName": &*system.tables().main,
            "Key": {"pk": place("pk"), "sk": place("sk")},
            "UpdateExpression": "SET #at = #at - :time, blocked_until = blocked_until - :time",
            "ExpressionAttributeNames": {"#at": "at"},
            "ExpressionAttributeValues": {":time": {"N": time.as_millis().to_string()}},
        });
        let target = "DynamoDB_20120810.UpdateItem";
        system.stack.endpoint().json("dynamodb", target, &update).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_day_of_a_hundred_wrong_passwords_the_owner_signs_in() {
    let system = System::start(&[]).await;
    let url = format!("{}/api/auth/register", system.stack.origin_url());
    let account = json!({"email": "ada@example.com", "password": PASSWORD});
    let registered = Client::new().post(url).json(&account).send().await.unwrap();
    let mut cookies = registered.headers().get_all(header::SET_COOKIE).iter();
    let device = cookies.find_map(|cookie| {
        cookie.to_str().unwrap().split(';').next().filter(|text| text.contains("_device="))
    });
    let device = device.expect("the owner has a known device").to_owned();

    let mut compared = 0;
    for guess in 0..100 {
        let status = sign_in(&system, &format!("wrong password {guess}"), "").await.status();
        match status {
            StatusCode::UNAUTHORIZED => compared += 1,
            StatusCode::TOO_MANY_REQUESTS => {}
            other => panic!("{other}"),
        }
        pass(&system, Duration::from_secs(15 * 60)).await;
    }
    assert!((6..75).contains(&compared), "{compared} of 100 guesses were compared");

    assert_eq!(
        sign_in(&system, PASSWORD, &device).await.status(),
        StatusCode::OK,
        "at once on a known device"
    );
    // From the network of the attacker, and after one more guess.
    sign_in(&system, "wrong password", "").await;
    let refused = sign_in(&system, PASSWORD, "").await;
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    let wait: u64 = refused.headers()[header::RETRY_AFTER].to_str().unwrap().parse().unwrap();
    assert!(wait <= 3600, "{wait} s");
    pass(&system, Duration::from_secs(wait)).await;
    assert_eq!(sign_in(&system, PASSWORD, "").await.status(), StatusCode::OK, "after that wait");
}

async fn status(caller: &Caller, path: &str) -> StatusCode {
    caller.request("GET", path).header("accept", "application/json").send().await.unwrap().status()
}

/// Waits until a job has ended, and returns it.
async fn ended(caller: &Caller, job: &Value) -> Value {
    let path = format!("/api/jobs/{}", job["id"].as_str().unwrap());
    loop {
        let job = caller.get(&path).await;
        if job["completed_at"].is_string() {
            return job;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_conversation_is_gone_from_every_route_and_from_the_tables() {
    let system = System::start(&[]).await;
    let ada = system.sign_up("ada@example.com").await;
    let said = json!({"message": {"content": format!("/demo tokens=3 rate=0 {WORD}")}});
    let answer = ada.send(&said).await;
    let id = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
    let (run, project) = (id("x-run-id"), id("x-project-id"));
    assert!(answer.text().await.unwrap().contains(WORD));
    let export = json!({"run_id": run, "format": "jsonl"});
    let export = ada.request("POST", "/api/exports").json(&export).send().await.unwrap();
    let export = ended(&ada, &export.json().await.unwrap()).await;
    let file = export["artifacts"][0].as_str().expect("a file").to_owned();
    let paths = [
        format!("/api/projects/{project}"),
        format!("/api/projects/{project}/messages"),
        format!("/api/runs/{run}"),
        format!("/api/runs/{run}/events"),
        format!("/api/artifacts/{file}"),
        format!("/api/artifacts/{file}/content"),
        format!("/api/jobs/{}", export["id"].as_str().unwrap()),
    ];
    for path in &paths {
        assert!(!status(&ada, path).await.is_client_error(), "{path}");
    }

    let deleted = ada.request("DELETE", &paths[0]).send().await.unwrap().status();
    assert_eq!(deleted, StatusCode::NO_CONTENT);
    for path in &paths[..4] {
        assert_eq!(status(&ada, path).await, StatusCode::NOT_FOUND, "{path}: at once");
    }
    while !system.places_of(WORD).await.is_empty() {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    for path in &paths {
        assert_eq!(status(&ada, path).await, StatusCode::NOT_FOUND, "{path}");
    }
    for list in ["/api/projects", "/api/runs", "/api/artifacts"] {
        assert_eq!(ada.get(list).await["items"], json!([]), "{list}");
    }
    for export in [json!({"run_id": run, "format": "jsonl"}), json!({"project_id": project, "format": "zip"})]
    {
        let refused = ada.request("POST", "/api/exports").json(&export).send().await.unwrap();
        assert_eq!(refused.status(), StatusCode::NOT_FOUND, "{export}");
    }
}
