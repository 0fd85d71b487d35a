//! Questions of a run, and the answers that resume it.

use futures::future::join_all;
use http::StatusCode;
use sequent_core::TenantId;
use sequent_http::{App, testing::Event};
use sequent_runlog::DynamoStorage;
use sequent_tables::{Row, key};
use serde_json::{Value, json};

use crate::app::{ORIGIN, app, app_over, event, events, say, send};

/// A script that asks one question with two options and then answers.
const ASKS: &str = r#"/demo tokens=1 rate=0 tool=ask_user args={"question":"Which?","options":["a","b"]}
/demo tokens=3 rate=0"#;

/// Starts a run that waits for an answer. Returns its id, the id of its question, and the events so far.
async fn asked(app: &App) -> (String, String, Vec<Value>) {
    let answer = send(&say(ASKS)).send(app).await;
    let log = events(&answer);
    assert_eq!(log.last().unwrap()["outcome"]["type"], "interrupt", "{log:?}");
    let question = log.iter().find(|event| event["type"] == "CLARIFICATION_NEEDED").unwrap();
    assert_eq!(question["message"], "Which?");
    assert_eq!(log.last().unwrap()["outcome"]["interrupts"][0]["id"], question["interruptId"]);
    (answer.header("x-run-id").to_owned(), question["interruptId"].as_str().unwrap().to_owned(), log)
}

fn resume(run: &str, interrupt: &str, payload: &Value) -> Event {
    let body = json!({"answers": [{"interrupt_id": interrupt, "payload": payload}]});
    event("POST", &format!("/api/runs/{run}/resume")).json(&body)
}

#[tokio::test]
async fn an_answer_streams_the_rest_of_the_run() {
    let app = app().await;
    let (run, interrupt, before) = asked(&app).await;
    let rest = resume(&run, &interrupt, &json!("b")).send(&app).await;
    assert_eq!(rest.status, StatusCode::OK, "{}", rest.text());
    let log: Vec<Value> = before.into_iter().chain(events(&rest)).collect();
    let seqs: Vec<u64> = log.iter().map(|event| event["seq"].as_u64().unwrap()).collect();
    assert_eq!(seqs, (1..=log.len() as u64).collect::<Vec<_>>(), "no gap between question and answer");
    assert_eq!(log.last().unwrap()["outcome"]["type"], "success");
    assert!(log.iter().any(|event| event["type"] == "TOOL_CALL_RESULT" && event["content"] == "b"));

    let late = resume(&run, &interrupt, &json!("a")).send(&app).await;
    assert_eq!((late.status, late.json()["code"].as_str()), (StatusCode::CONFLICT, Some("already_answered")));
    assert_eq!(late.json()["answer"]["payload"], "b", "the first answer is returned");
    let again = resume(&run, &interrupt, &json!("b")).send(&app).await;
    assert_eq!((again.status, again.json()["status"].as_str()), (StatusCode::ACCEPTED, Some("success")));
}

#[tokio::test]
async fn the_first_of_concurrent_answers_counts() {
    let app = app().await;
    for _ in 0..5 {
        let (run, interrupt, _) = asked(&app).await;
        let answers = ["a", "b", "a", "b"].map(|choice| resume(&run, &interrupt, &json!(choice)));
        let answers = join_all(answers.iter().map(|answer| answer.send(&app))).await;
        let winners: Vec<_> = answers.iter().filter(|answer| answer.status == StatusCode::OK).collect();
        assert_eq!(winners.len(), 1, "{:?}", answers.iter().map(|answer| answer.status).collect::<Vec<_>>());
        let log =
            event("GET", &format!("/api/runs/{run}/events?limit=1000")).header("accept", "application/json");
        let log = log.send(&app).await.json()["events"].as_array().unwrap().clone();
        let count = |name: &str| log.iter().filter(|event| event["type"] == name).count();
        assert_eq!((count("CLARIFICATION_ANSWERED"), count("TOOL_CALL_RESULT")), (1, 1));
    }
}

#[tokio::test]
async fn an_answer_must_have_the_form_that_its_question_requires() {
    let app = app().await;
    let (run, interrupt, _) = asked(&app).await;
    for (body, at) in [
        (json!({"answers": []}), "#/answers"),
        (json!({"answers": [{"interrupt_id": interrupt, "payload": "c"}]}), "#/answers/0/payload"),
        (json!({"answers": [{"interrupt_id": interrupt}]}), "#/answers/0/payload"),
        (
            json!({"answers": [{"interrupt_id": interrupt, "payload": "a"}, {"interrupt_id": interrupt, "payload": "a"}]}),
            "#/answers/1",
        ),
    ] {
        let refused = event("POST", &format!("/api/runs/{run}/resume")).json(&body).send(&app).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{body}: {}", refused.text());
        assert_eq!(refused.json()["errors"][0]["pointer"], at, "{}", refused.text());
    }
    let unknown = resume(&run, "int_01K9Z3T8Q4V7M2N5B6C8D9E0F1", &json!("a")).send(&app).await;
    assert_eq!(unknown.json()["errors"][0]["pointer"], "#/answers/0/interrupt_id");
    let stranger = Event::new("POST", &format!("/api/runs/{run}/resume"))
        .bearer("other")
        .header("x-origin-verify", ORIGIN)
        .json(&json!({"answers": [{"interrupt_id": interrupt, "payload": "a"}]}));
    assert_eq!(stranger.send(&app).await.status, StatusCode::NOT_FOUND);
    let declined = json!({"answers": [{"interrupt_id": interrupt, "status": "cancelled"}]});
    let declined = event("POST", &format!("/api/runs/{run}/resume")).json(&declined).send(&app).await;
    assert!(events(&declined).iter().any(|event| event["content"] == "The person declined to answer."));
}

#[tokio::test]
async fn the_thread_routes_lead_to_the_same_runs() {
    let app = app().await;
    let first = event("POST", "/api/v1/agent/chat").json(&json!({"message": ASKS})).send(&app).await;
    let log = events(&first);
    let question = log.iter().find(|event| event["type"] == "CLARIFICATION_NEEDED").unwrap();
    let thread = first.header("x-project-id");
    let body =
        json!({"thread_id": thread, "answers": [{"interrupt_id": question["interruptId"], "payload": "a"}]});
    let rest = event("POST", "/agent/resume").json(&body).send(&app).await;
    assert_eq!(events(&rest).last().unwrap()["outcome"]["type"], "success");
    let nothing = event("POST", "/agent/resume").json(&body).send(&app).await;
    assert_eq!(
        (nothing.status, nothing.json()["code"].as_str()),
        (StatusCode::CONFLICT, Some("nothing_asked"))
    );
    let next = json!({"thread_id": thread, "message": "/demo tokens=2 rate=0"});
    let next = event("POST", "/api/v1/agent/chat").json(&next).send(&app).await;
    assert_eq!(next.header("x-project-id"), thread);
}

/// A script that calls a tool which a person must approve.
const WIRES: &str = "/demo tokens=1 rate=0 tool=wire\n/demo tokens=1 rate=0";

#[tokio::test]
async fn an_api_key_approves_a_call_only_if_it_was_made_for_that() {
    let app = app().await;
    let started = send(&say(WIRES)).send(&app).await;
    let (run, log) = (started.header("x-run-id"), events(&started));
    let question = log.iter().find(|event| event["type"] == "CLARIFICATION_NEEDED").unwrap();
    let interrupt = question["interruptId"].as_str().unwrap();
    let approval = resume(run, interrupt, &json!({"approved": true}));
    for (key, scope) in [("chat key", "runs:write"), ("full key", "approvals")] {
        let refused = approval.clone().bearer(key).send(&app).await;
        assert_eq!((refused.status, refused.code().as_str()), (StatusCode::FORBIDDEN, "insufficient_scope"));
        assert_eq!(refused.json()["scope"], scope, "{key}");
    }
    let approved = events(&approval.bearer("approving key").send(&app).await);
    assert!(approved.iter().any(|event| event["content"] == "wired"), "{approved:?}");
}

#[tokio::test]
async fn a_key_with_every_ordinary_scope_answers_the_questions_of_a_model() {
    let app = app().await;
    let (run, interrupt, _) = asked(&app).await;
    let answered = resume(&run, &interrupt, &json!("b")).bearer("full key").send(&app).await;
    assert_eq!(answered.status, StatusCode::OK, "{}", answered.text());
}

#[tokio::test]
async fn a_chat_key_neither_ends_a_live_run_nor_reads_one_by_reconnecting() {
    let app = app().await;
    let (run, _, _) = asked(&app).await;
    let project = event("GET", &format!("/api/runs/{run}/events")).send(&app).await;
    let project = project.header("x-project-id");
    for policy in ["interrupt", "rollback"] {
        let body = json!({"project_id": project, "message": {"content": "Stop."}, "on_conflict": policy});
        let refused = send(&body).bearer("chat key").send(&app).await;
        assert_eq!(
            (refused.status, refused.json()["scope"].as_str()),
            (StatusCode::FORBIDDEN, Some("runs:write"))
        );
    }
    let stream = event("GET", &format!("/api/projects/{project}/messages/stream?content=x"));
    let reconnect = stream.bearer("chat key").header("last-event-id", &format!("{run}:1"));
    let refused = reconnect.send(&app).await;
    assert_eq!(
        (refused.status, refused.json()["scope"].as_str()),
        (StatusCode::FORBIDDEN, Some("runs:read"))
    );
}

/// A schema that was accepted once is not accepted by the rules of today.
#[tokio::test]
async fn a_question_whose_schema_cannot_be_used_any_more_can_be_answered() {
    let store = sequent_tables::testing::store().await;
    let tenant = TenantId::new();
    let app = app_over(DynamoStorage::new(store.clone()), tenant);
    let (run, interrupt, _) = asked(&app).await;
    let key = key::run(tenant, run.parse().unwrap());
    let mut row: Value = store.get(&key).await.unwrap().unwrap();
    row["interrupts"][0]["response_schema"] = json!({"$ref": "#/nowhere"});
    store.put(Row::new(&key, &row).unwrap()).await.unwrap();
    let rest = resume(&run, &interrupt, &json!("b")).send(&app).await;
    assert_eq!(rest.status, StatusCode::OK, "{}", rest.text());
    assert_eq!(events(&rest).last().unwrap()["outcome"]["type"], "success");
}
