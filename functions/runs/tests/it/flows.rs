//! Requests that build on each other: listing, cancelling, and the limits of tenants and scopes.

use std::time::Duration;

use crate::deployment::{Deployment, Person, RUN, golden, log_key, request};
use sequent_agent::execute;
use sequent_conversation::Projects;
use sequent_core::{ProjectId, RunId};
use sequent_event::Body;
use sequent_http::{Scope, testing::Event};
use sequent_runlog::{Settings, read_all};
use serde_json::{Value, json};

async fn get(deployment: &Deployment, path: &str, of: &Person) -> Value {
    let answer = deployment.send(&request("GET", path, of)).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

async fn cancel(deployment: &Deployment, run: RunId, of: &Person) -> (u16, Value) {
    let answer = deployment.send(&request("POST", &format!("/api/runs/{run}/cancel/"), of)).await;
    (answer.status.as_u16(), answer.json())
}

/// The events of a run, in order.
async fn log(deployment: &Deployment, of: &Person, run: RunId) -> Vec<Body> {
    let segments = read_all(&deployment.engine().storage, log_key(of, run)).await.unwrap();
    let entries = segments.into_iter().flat_map(|segment| segment.entries);
    entries.map(|entry| entry.body().expect("a known event").clone()).collect()
}

async fn project_of(deployment: &Deployment, of: &Person, run: RunId) -> ProjectId {
    let run = get(deployment, &format!("/api/runs/{run}"), of).await;
    serde_json::from_value(run["project_id"].clone()).unwrap()
}

#[tokio::test]
async fn a_list_is_paged_and_mine_contains_only_the_callers_runs() {
    let deployment = Deployment::new().await;
    let ada = deployment.sign_up("ada@example.com").await;
    let bob = ada.colleague();
    let mut all: Vec<RunId> = (0..7).map(|_| RunId::new()).collect();
    all.sort();
    all.reverse(); // newest first: ids begin with their time
    let (mine, theirs) = all.split_at(4);
    for run in mine {
        deployment.complete(&ada, *run).await;
    }
    for run in theirs {
        deployment.complete(&bob, *run).await;
    }
    for (filter, expected) in [("", all.as_slice()), ("&mine=false", &all), ("&mine=true", mine)] {
        let mut seen = Vec::new();
        let mut cursor = String::new();
        let mut pages = 0;
        loop {
            let page = get(&deployment, &format!("/api/runs/?limit=3{filter}{cursor}"), &ada).await;
            seen.extend(page["items"].as_array().unwrap().iter().map(|run| run["id"].clone()));
            pages += 1;
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        assert_eq!((json!(seen), pages), (json!(expected), expected.len().div_ceil(3)), "{filter}");
    }
    let first = get(&deployment, "/api/runs?limit=3", &ada).await;
    let cursor = first["next_cursor"].as_str().unwrap();
    let other = deployment.send(&request("GET", &format!("/api/runs?mine=true&cursor={cursor}"), &ada)).await;
    assert_eq!(other.code(), "invalid_cursor", "a cursor is valid for its list only");
    assert_eq!(deployment.send(&request("GET", "/api/runs?mine=maybe", &ada)).await.code(), "invalid_query");
}

#[tokio::test]
async fn a_live_owner_is_asked_to_cancel_and_ends_the_run() {
    let deployment = Deployment::new().await;
    let ada = deployment.sign_up("ada@example.com").await;
    let run = RunId::new();
    let owner = deployment.begin(&ada, run).await;
    let (status, answer) = cancel(&deployment, run, &ada).await;
    assert_eq!((status, &answer["status"]), (202, &json!("running")));
    Box::pin(execute(deployment.engine(), log_key(&ada, run), owner, None)).await.unwrap();
    let ended = get(&deployment, &format!("/api/runs/{run}"), &ada).await;
    assert_eq!(ended["status"], "cancelled", "the owner ended the run");
    assert_eq!(cancel(&deployment, run, &ada).await, (200, ended), "a repetition changes nothing");
}

#[tokio::test]
async fn a_run_with_a_dead_owner_is_ended_by_the_request() {
    let settings = Settings { lease: Duration::ZERO, ..Settings::default() };
    let deployment = Deployment::with(settings).await;
    let ada = deployment.sign_up("ada@example.com").await;
    let run = RunId::new();
    let owner = deployment.begin(&ada, run).await;
    let message_id = sequent_core::MessageId::new();
    owner.append(Body::TextMessageStart { message_id, role: sequent_event::Role::Assistant }).await.unwrap();
    owner.append(Body::TextMessageContent { message_id, delta: "High tide is".to_owned() }).await.unwrap();
    owner.flush().await.unwrap();
    let project = project_of(&deployment, &ada, run).await;

    let (status, answer) = cancel(&deployment, run, &ada).await;
    assert_eq!((status, &answer["status"]), (200, &json!("cancelled")), "{answer}");
    assert!(answer["completed_at"].is_string());
    let projects = Projects::new(deployment.engine().store(), ada.tenant());
    assert_eq!(projects.get(project).await.unwrap().live_run_id, None, "the turn is free again");
    let messages = projects.latest_messages(project, 10).await.unwrap();
    assert_eq!(messages.last().unwrap().content, "High tide is", "the text so far is kept");
    let events = log(&deployment, &ada, run).await;
    assert!(matches!(events.last(), Some(Body::RunFinished { .. })), "{events:?}");

    let before = events.len();
    assert_eq!(cancel(&deployment, run, &ada).await, (200, answer));
    assert_eq!(log(&deployment, &ada, run).await.len(), before, "the log of an ended run does not change");
    drop(owner);
}

#[tokio::test]
async fn a_pending_run_is_cancelled_without_disturbing_the_live_run() {
    let deployment = Deployment::new().await;
    let ada = deployment.sign_up("ada@example.com").await;
    let first = RunId::new();
    let second = RunId::new();
    let owner = deployment.begin(&ada, first).await;
    let project = project_of(&deployment, &ada, first).await;
    deployment.queue(&ada, project, second).await;
    assert_eq!(get(&deployment, &format!("/api/runs/{second}"), &ada).await["status"], "pending");

    let (status, answer) = cancel(&deployment, second, &ada).await;
    assert_eq!((status, &answer["status"]), (200, &json!("cancelled")), "{answer}");
    assert_eq!(answer["started_at"], Value::Null);
    let live =
        Projects::new(deployment.engine().store(), ada.tenant()).get(project).await.unwrap().live_run_id;
    assert_eq!(live, Some(first), "the live run keeps the turn");
    assert_eq!(get(&deployment, &format!("/api/runs/{first}"), &ada).await["status"], "running");
    drop(owner);
}

#[tokio::test]
async fn another_tenant_can_neither_see_nor_cancel_a_run() {
    let deployment = Deployment::new().await;
    let ada = deployment.sign_up("ada@example.com").await;
    let eve = deployment.sign_up("eve@example.com").await;
    let run: RunId = RUN.parse().unwrap();
    let owner = deployment.begin(&ada, run).await;
    deployment.complete(&ada, RunId::new()).await;
    let before = log(&deployment, &ada, run).await.len();
    for name in ["get", "cancel"] {
        let answer = deployment.send(&golden(name, &eve)).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (404, "not_found"), "{name}");
    }
    assert_eq!(log(&deployment, &ada, run).await.len(), before, "nothing was appended");
    assert!(log(&deployment, &eve, run).await.is_empty(), "and no log of the other tenant was created");
    for filter in ["", "&mine=true"] {
        let list = get(&deployment, &format!("/api/runs?limit=1{filter}"), &eve).await;
        assert_eq!(list, json!({ "items": [], "next_cursor": null }));
        let hers = get(&deployment, &format!("/api/runs?limit=1{filter}"), &ada).await;
        let cursor = hers["next_cursor"].as_str().unwrap();
        let answer =
            deployment.send(&request("GET", &format!("/api/runs?cursor={cursor}{filter}"), &eve)).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (400, "invalid_cursor"));
    }
    drop(owner);
}

#[tokio::test]
async fn each_route_requires_its_scope() {
    let deployment = Deployment::new().await;
    let ada = deployment.sign_up("ada@example.com").await;
    deployment.complete(&ada, RUN.parse().unwrap()).await;
    for (name, needed) in [("list", Scope::RunsRead), ("get", Scope::RunsRead), ("cancel", Scope::RunsWrite)]
    {
        let others = deployment.api_key(&ada, Scope::ALL.into_iter().filter(|scope| *scope != needed)).await;
        let refused = deployment.send(&golden(name, &ada).bearer(&others)).await;
        assert_eq!((refused.status.as_u16(), refused.code().as_str()), (403, "insufficient_scope"), "{name}");
        let key = deployment.api_key(&ada, [needed]).await;
        assert_eq!(deployment.send(&golden(name, &ada).bearer(&key)).await.status, 200, "{name}");
    }
}

#[tokio::test]
async fn a_request_needs_a_credential_and_must_come_through_the_cdn() {
    let deployment = Deployment::new().await;
    for (method, path) in [
        ("GET", "/api/runs".to_owned()),
        ("GET", format!("/api/runs/{RUN}")),
        ("POST", format!("/api/runs/{RUN}/cancel")),
    ] {
        let event = Event::new(method, &path).header("x-origin-verify", "example-origin-secret");
        assert_eq!(deployment.send(&event).await.code(), "unauthenticated", "{method} {path}");
        assert_eq!(
            deployment.send(&Event::new(method, &path)).await.code(),
            "wrong_origin",
            "{method} {path}"
        );
    }
}

#[tokio::test]
async fn a_text_that_json_makes_too_long_is_refused_with_its_limit() {
    let deployment = Deployment::new().await;
    let ada = deployment.sign_up("ada@example.com").await;
    let run = RunId::new();
    let _owner = deployment.begin(&ada, run).await;
    let messages = format!("/api/runs/{run}/messages");
    for (path, field) in [("/api/runs", "input"), (messages.as_str(), "content")] {
        for text in ["\"".repeat(65_536), "\u{1}".repeat(65_536)] {
            let answer = deployment.send(&request("POST", path, &ada).json(&json!({field: text}))).await;
            assert_eq!(
                (answer.status.as_u16(), answer.code().as_str()),
                (422, "validation_failed"),
                "{path}"
            );
            assert!(answer.text().contains("at most 96000 bytes in JSON"), "{}", answer.text());
        }
        let large = "x\n".repeat(30_000);
        let answer = deployment.send(&request("POST", path, &ada).json(&json!({field: large}))).await;
        assert_eq!(answer.status, 202, "{path}: {}", answer.text());
    }
}

#[tokio::test]
async fn a_run_that_has_taken_many_messages_takes_no_more() {
    let deployment = Deployment::new().await;
    let ada = deployment.sign_up("ada@example.com").await;
    let run = RunId::new();
    let _owner = deployment.begin(&ada, run).await;
    let steer = request("POST", &format!("/api/runs/{run}/messages"), &ada).json(&json!({"content": "And?"}));
    for _ in 0..sequent_conversation::MAX_STEERING_MESSAGES {
        assert_eq!(deployment.send(&steer).await.status, 202);
    }
    let answer = deployment.send(&steer).await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (409, "too_many_messages"));
    assert_eq!(answer.json()["max_messages"], 32);
}

#[tokio::test]
async fn a_run_is_run_again_beside_itself() {
    let deployment = Deployment::new().await;
    let ada = deployment.sign_up("ada@example.com").await;
    let run = RunId::new();
    let owner = deployment.begin(&ada, run).await;
    Box::pin(execute(deployment.engine(), log_key(&ada, run), owner, None)).await.unwrap();
    let said = |bodies: &[Body]| {
        bodies.iter().find_map(|body| match body {
            Body::UserMessage { content, .. } => Some(content.text().into_owned()),
            _ => None,
        })
    };
    let first = said(&log(&deployment, &ada, run).await);
    let path = format!("/api/runs/{run}/replay");
    for (body, input) in [(json!({}), first), (json!({"input": "Why?"}), Some("Why?".to_owned()))] {
        let body = json!({"on_conflict": "enqueue", "model": "demo", "input": body["input"]});
        let again = deployment.send(&request("POST", &path, &ada).json(&body)).await;
        assert_eq!(again.status, 202, "{}", again.text());
        let row = again.json();
        assert_eq!(
            (&row["after"], &row["model"], &row["status"]),
            (&Value::Null, &json!("demo"), &json!("pending"))
        );
        assert_eq!(row["project_id"], json!(project_of(&deployment, &ada, run).await));
        let again = row["id"].as_str().unwrap().parse().unwrap();
        assert_eq!(said(&log(&deployment, &ada, again).await), input);
    }
    let unknown = format!("/api/runs/{}/replay", RunId::new());
    assert_eq!(deployment.send(&request("POST", &unknown, &ada).json(&json!({}))).await.status, 404);
}

#[tokio::test]
async fn a_run_is_run_again_from_an_event() {
    let deployment = Deployment::new().await;
    let ada = deployment.sign_up("ada@example.com").await;
    let run = RunId::new();
    deployment.complete(&ada, run).await;
    let path = format!("/api/runs/{run}/replay");
    let replay = async |body: Value| deployment.send(&request("POST", &path, &ada).json(&body)).await;
    let body = json!({
        "from": 3, "input": "Why?", "model": "demo", "parameters": {"seed": 7}, "on_conflict": "enqueue",
    });
    let row = replay(body.clone()).await.json();
    assert_eq!(row["replay"], json!({"run_id": run, "seq": 3}));
    assert_eq!((&row["status"], &row["parameters"]), (&json!("pending"), &json!({"seed": 7})));
    let again = row["id"].as_str().unwrap().parse().unwrap();
    let bodies = log(&deployment, &ada, again).await;
    assert_eq!(bodies.len(), 2, "before the first event there is only the task: {bodies:?}");

    for (from, nearest) in [(2, json!([3])), (5, json!([3])), (1_000, json!([3]))] {
        let refused = replay(json!({"from": from, "on_conflict": "enqueue"})).await;
        let problem = refused.json();
        assert_eq!((refused.status.as_u16(), refused.code().as_str()), (422, "validation_failed"), "{from}");
        assert_eq!((&problem["nearest"], &problem["errors"][0]["pointer"]), (&nearest, &json!("#/from")));
    }
    for from in [json!(-1), json!("3"), json!(1.5)] {
        assert_eq!(replay(json!({"from": from})).await.status, 422, "{from}");
    }
    let keyed = |body: &Value| request("POST", &path, &ada).header("idempotency-key", "again").json(body);
    let first = deployment.send(&keyed(&body)).await;
    let second = deployment.send(&keyed(&body)).await;
    assert_eq!((second.json(), second.header("idempotency-replayed")), (first.json(), "true"));
    let other = deployment.send(&keyed(&json!({"on_conflict": "enqueue"}))).await;
    assert_eq!(other.status, 422, "the key belongs to another request");
}

#[tokio::test]
async fn a_turn_of_another_project_is_no_place_for_a_run() {
    let deployment = Deployment::new().await;
    let ada = deployment.sign_up("ada@example.com").await;
    let run = RunId::new();
    deployment.complete(&ada, run).await;
    let projects = Projects::new(deployment.engine().store(), ada.tenant());
    let message = projects.latest_messages(project_of(&deployment, &ada, run).await, 10).await.unwrap()[0].id;
    let other = deployment.project(&ada).await;
    let create = |after: Value| {
        let body = json!({"project_id": other, "input": "Hi.", "after": after});
        request("POST", "/api/runs", &ada).json(&body)
    };
    let replay =
        request("POST", &format!("/api/runs/{run}/replay"), &ada).json(&json!({"project_id": other}));
    let nowhere = request("POST", "/api/runs", &ada).json(&json!({"input": "Hi.", "after": run}));
    for event in [create(json!(run)), create(json!(message)), nowhere, replay] {
        let refused = deployment.send(&event).await;
        assert_eq!((refused.status.as_u16(), refused.code().as_str()), (422, "validation_failed"));
        assert!(refused.text().contains("no such run or message"), "{}", refused.text());
    }
    assert_eq!(projects.get(other).await.unwrap().head, None);
}
