//! Sequences of requests, and requests that are refused.

use sequent_http::{Scope, testing::deployment::with_token};
use serde_json::{Value, json};

use crate::deployment::{Deployment, Person, golden};

async fn with_schedule() -> (Deployment, Person, String) {
    let deployment = Deployment::new().await;
    let ada = deployment.sign_up("ada@example.com").await;
    let path = deployment.create(&ada).await;
    (deployment, ada, path)
}

#[tokio::test]
async fn the_next_five_times_are_shown_until_the_schedule_is_paused() {
    let (deployment, ada, path) = with_schedule().await;
    let change = json!({"starts_at": "2120-03-30T00:00:00Z"});
    let shown = deployment.call(&ada, "PATCH", &path, change).await.json();
    // The clocks of Berlin are changed on 31 March 2120 at 01:00 UTC.
    let expected = [
        "2120-03-30T01:30:00Z",
        "2120-03-31T01:00:00Z",
        "2120-04-01T00:30:00Z",
        "2120-04-02T00:30:00Z",
        "2120-04-03T00:30:00Z",
    ];
    assert_eq!(shown["next_times"], json!(expected), "{shown}");
    let paused = deployment.call(&ada, "PATCH", &path, json!({"paused": true})).await.json();
    assert_eq!((&paused["status"], &paused["next_times"]), (&json!("paused"), &json!([])));
    let resumed = deployment.call(&ada, "PATCH", &path, json!({"paused": false})).await.json();
    assert_eq!((&resumed["status"], &resumed["next_times"]), (&json!("active"), &json!(expected)));
}

#[tokio::test]
async fn a_repeated_request_has_its_effect_once() {
    let (deployment, ada, path) = with_schedule().await;
    for (case, status) in [("create", 201), ("run", 202)] {
        let first = deployment.send(&golden(case, &ada, &path)).await;
        let again = deployment.send(&golden(case, &ada, &path)).await;
        assert_eq!((again.status.as_u16(), &again.json()["id"]), (status, &first.json()["id"]), "{case}");
        assert_eq!(again.header("idempotency-replayed"), "true", "{case}");
    }
    assert_eq!(deployment.read(&ada, &path).await["counts"]["started"], 1);
    assert_eq!(deployment.read(&ada, "/api/schedules").await["items"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn a_key_that_may_not_start_or_end_runs_cannot_have_a_schedule_do_it() {
    let (deployment, ada, path) = with_schedule().await;
    let schedule =
        json!({"name": "Tides", "input": "When is high tide?", "every_seconds": 60, "overlap": "cancel"});
    let code = async |scopes: Vec<Scope>, method: &str, path: &str, body: &Value| {
        let key = deployment.api_key(&ada, scopes).await;
        let event = with_token(method, path, &key).json(body);
        let answer = deployment.send(&event).await;
        (answer.status.as_u16(), answer.json()["scope"].clone())
    };
    let write = || vec![Scope::SchedulesWrite];
    assert_eq!(code(write(), "POST", "/api/schedules", &schedule).await, (403, json!("chat")));
    let chat = || vec![Scope::SchedulesWrite, Scope::Chat];
    assert_eq!(code(chat(), "POST", "/api/schedules", &schedule).await, (403, json!("runs:write")));
    let cancels = json!({"overlap": "cancel"});
    assert_eq!(code(chat(), "PATCH", &path, &cancels).await, (403, json!("runs:write")));
    let all = vec![Scope::SchedulesWrite, Scope::Chat, Scope::RunsWrite];
    assert_eq!(code(all, "PATCH", &path, &cancels).await.0, 200);
}

#[tokio::test]
async fn what_is_another_tenants_does_not_exist() {
    let (deployment, ada, path) = with_schedule().await;
    let eve = deployment.sign_up("eve@example.com").await;
    for (method, path) in [
        ("GET", path.clone()),
        ("PATCH", path.clone()),
        ("DELETE", path.clone()),
        ("POST", format!("{path}/run")),
    ] {
        let answer = deployment.call(&eve, method, &path, json!({"paused": true})).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (404, "not_found"), "{method} {path}");
    }
    assert_eq!(deployment.read(&eve, "/api/schedules").await, json!({"items": [], "next_cursor": null}));
    assert_eq!(deployment.read(&ada, &path).await["status"], "active");
}

#[tokio::test]
async fn a_schedule_and_its_stored_responses_are_deleted_with_the_account() {
    let (deployment, ada, path) = with_schedule().await;
    deployment.send(&golden("create", &ada, &path)).await;
    let store = deployment.store();
    for list in sequent_tables::key::plain_lists(ada.tenant()) {
        store.empty(list).await.unwrap();
    }
    let rows = sequent_tables::testing::all_rows(store).await;
    let keys = rows.iter().filter_map(sequent_tables::Key::of_item);
    let left: Vec<String> =
        keys.map(|key| key.pk().to_owned()).filter(|pk| pk.contains("schedules")).collect();
    assert_eq!(left, [] as [&str; 0]);
}
