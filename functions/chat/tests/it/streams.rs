//! Streams, resumption, isolation of tenants.

use std::time::Duration;

use http::StatusCode;
use http_body_util::BodyExt as _;
use sequent_conversation::{NewRun, Projects, RunStore, Runs, create_claimed, finish};
use sequent_core::{MessageId, ProjectId, TenantId, Timestamp, UserId};
use sequent_event::{Body, Role, RunOutcome};
use sequent_http::testing::Event;
use sequent_runlog::{DynamoStorage, Finish, Settings};
use sequent_tables::testing::process;
use serde_json::{Value, json};

use crate::app::{ORIGIN, app, app_over, event, events, frames, say, send};

#[tokio::test]
async fn a_send_streams_the_log_and_every_later_read_returns_the_same_bytes() {
    let app = app().await;
    let live = send(&say("/demo tokens=20 rate=0")).send(&app).await;
    assert_eq!(live.status, StatusCode::OK);
    let log = events(&live);
    let seqs: Vec<u64> = log.iter().map(|event| event["seq"].as_u64().unwrap()).collect();
    assert_eq!(seqs, (1..=log.len() as u64).collect::<Vec<_>>());
    assert_eq!(log.last().unwrap()["outcome"]["type"], "success");

    let path = format!("/api/runs/{}/events", live.header("x-run-id"));
    for after in 0..=log.len() {
        let resumed = event("GET", &path).header("last-event-id", &after.to_string()).send(&app).await;
        if after == log.len() {
            assert_eq!(resumed.status, StatusCode::NO_CONTENT, "no event follows the end");
        } else {
            assert_eq!(frames(&resumed), frames(&live)[after..], "resumed after {after}");
        }
    }
    let beyond = log.len() + 1;
    for request in [
        event("GET", &path).header("last-event-id", &beyond.to_string()),
        event("GET", &format!("{path}?after={beyond}")),
        event("GET", &format!("{path}?after={beyond}")).header("accept", "application/json"),
    ] {
        let refused = request.send(&app).await;
        assert_eq!((refused.status.as_u16(), refused.code().as_str()), (400, "invalid_cursor"));
        assert_eq!(refused.json()["last"], log.len());
    }
    let end = event("GET", &format!("{path}?after={}", log.len())).header("accept", "application/json");
    assert_eq!(end.send(&app).await.json()["events"], json!([]));
    let page = event("GET", &format!("{path}?after=2&limit=3")).header("accept", "application/json");
    let page = page.send(&app).await.json();
    assert_eq!(page["events"].as_array().unwrap()[..], log[2..5]);
    assert_eq!(page["next_after"], 5);
}

#[tokio::test]
async fn the_ai_sdk_stream_is_replayed_and_skipped_by_chunks() {
    let app = app().await;
    let body = json!({"id": "a client's own id", "messages": [{"role": "user", "parts": [{"type": "text", "text": "/demo tokens=9 rate=0"}]}]});
    let live = event("POST", "/api/chat").json(&body).send(&app).await;
    assert_eq!(live.header("x-vercel-ai-ui-message-stream"), "v1");
    let chunks = frames(&live);
    assert_eq!(chunks.last().unwrap(), "[DONE]");
    let run = live.header("x-workflow-run-id");
    for skip in 0..chunks.len() {
        let path = format!("/api/chat/{run}/stream?startIndex={skip}");
        assert_eq!(frames(&event("GET", &path).send(&app).await), chunks[skip..]);
    }
    let tail = event("GET", &format!("/api/chat/{run}/stream?startIndex=-2")).send(&app).await;
    assert_eq!(frames(&tail), chunks[chunks.len() - 3..]);
    assert_eq!(tail.header("x-workflow-stream-tail-index"), (chunks.len() - 2).to_string());
    let idle = event("GET", "/api/chat/a%20client's%20own%20id/stream").send(&app).await;
    assert_eq!(idle.status, StatusCode::NO_CONTENT);

    let again = event("POST", "/api/chat").json(&body).send(&app).await;
    assert_eq!(again.header("x-project-id"), live.header("x-project-id"), "one chat, one project");
}

/// A page reads the messages while the answer is written, and asks for its stream when it has ended.
#[tokio::test]
async fn an_answer_that_has_ended_since_the_messages_were_read_is_replayed() {
    let storage = DynamoStorage::new(sequent_tables::testing::store().await);
    let tenant = TenantId::new();
    let app = app_over(storage.clone(), tenant);
    let live = send(&say("/demo tokens=9 rate=0")).send(&app).await;
    let run = live.header("x-run-id");
    let project: ProjectId = live.header("x-project-id").parse().unwrap();
    let messages = Projects::new(storage.store(), tenant).messages(project).await.unwrap();
    let stream =
        async |query: &str| event("GET", &format!("/api/chat/{project}/stream{query}")).send(&app).await;

    let missed = stream(&format!("?answerTo={}", messages[0].id)).await;
    assert_eq!((missed.status, missed.header("x-workflow-run-id")), (StatusCode::OK, run));
    let whole = event("GET", &format!("/api/chat/{run}/stream")).send(&app).await;
    assert_eq!(frames(&missed), frames(&whole));
    for query in ["", "?answerTo=the-client's-own", &format!("?answerTo={}", MessageId::new())] {
        assert_eq!(stream(query).await.status, StatusCode::NO_CONTENT, "{query}");
    }
}

/// Three megabytes, which are three pages of the table.
#[tokio::test]
async fn the_end_of_a_long_stream_is_found_with_one_reading_of_the_log() {
    let store = sequent_tables::testing::store().await;
    let tenant = TenantId::new();
    let settings = Settings {
        merge: false,
        linger_max: Duration::ZERO,
        linger_min: Duration::ZERO,
        ..Settings::default()
    };
    let runs = RunStore::new(DynamoStorage::new(store.clone()), settings);
    let new = NewRun { new_project: true, ..NewRun::new(tenant, UserId::new(), ProjectId::new(), "Why?") };
    let writer = create_claimed(&runs, &new, None).await.unwrap();
    let message_id = MessageId::new();
    writer.append(Body::TextMessageStart { message_id, role: Role::Assistant }).await.unwrap();
    for _ in 0..300 {
        writer.append(Body::TextMessageContent { message_id, delta: "x".repeat(10_000) }).await.unwrap();
    }
    writer.append(Body::TextMessageEnd { message_id }).await.unwrap();
    writer.flush().await.unwrap();
    let run = Runs::new(&store, tenant).get(new.run).await.unwrap();
    let end = Body::RunFinished { thread_id: new.project, run_id: new.run, outcome: RunOutcome::Success };
    let known = *writer.signals().borrow();
    let finished = finish(&writer, tenant, &run, known, vec![end]).await.unwrap();
    assert!(matches!(finished, Finish::Done(_)), "{finished:?}");

    let (counted, requests) = process(&store);
    let app = app_over(DynamoStorage::new(counted), tenant);
    let path = format!("/api/chat/{}/stream", new.run);
    let whole = event("GET", &path).send(&app).await;
    let _ = requests.take();
    let tail = event("GET", &format!("{path}?startIndex=-5")).send(&app).await;
    let chunks = frames(&whole);
    assert_eq!(frames(&tail), chunks[chunks.len() - 6..]);
    assert_eq!(tail.header("x-workflow-stream-tail-index"), (chunks.len() - 2).to_string());
    let requests = requests.take();
    assert!(requests["Query"] <= 6, "the tail, the log, and its last page again: {requests:?}");
}

#[tokio::test]
async fn a_message_without_a_chat_id_goes_to_the_project_of_the_latest_answer() {
    let app = app().await;
    let said =
        json!({"id": "u-1", "role": "user", "parts": [{"type": "text", "text": "/demo tokens=3 rate=0"}]});
    // `WorkflowChatTransport` sends only the conversation, without a JSON content type.
    let ask = |messages: &serde_json::Value| {
        let body = json!({"messages": messages}).to_string();
        event("POST", "/api/chat").header("content-type", "text/plain;charset=UTF-8").body(&body)
    };
    let first = ask(&json!([said])).send(&app).await;
    assert_eq!(first.status, StatusCode::OK, "{}", first.text());
    let run = first.header("x-workflow-run-id");
    let project = first.header("x-project-id");
    let start: serde_json::Value = serde_json::from_str(&frames(&first)[0]).unwrap();
    assert_eq!(start["messageId"], run, "the client learns the run from the message id");

    let answer = json!({"id": run, "role": "assistant", "parts": []});
    let second = ask(&json!([said, answer, said])).send(&app).await;
    assert_eq!(second.header("x-project-id"), project, "{}", second.text());
    let later = json!({"id": second.header("x-workflow-run-id"), "role": "assistant", "parts": []});
    let third = ask(&json!([said, answer, said, later, said])).send(&app).await;
    assert_eq!(third.header("x-project-id"), project);
    let foreign = json!({"id": "made up elsewhere", "role": "assistant", "parts": []});
    let other = ask(&json!([said, foreign, said])).send(&app).await;
    assert_eq!(other.status, StatusCode::OK);
    assert_ne!(other.header("x-project-id"), project, "an unknown conversation becomes a new project");

    let stranger = Event::new("POST", "/api/chat").bearer("other").header("x-origin-verify", ORIGIN);
    let stranger = stranger.json(&json!({"messages": [said, answer, said]})).send(&app).await;
    assert_eq!(stranger.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn the_event_source_stream_has_the_text_and_resumes_its_own_run() {
    let app = app().await;
    let project = send(&say("/demo tokens=3 rate=0")).send(&app).await.header("x-project-id").to_owned();
    let path = format!("/api/projects/{project}/messages/stream?content=%2Fdemo%20tokens%3D5%20rate%3D0");
    let live = event("GET", &path).send(&app).await;
    assert_eq!(live.status, StatusCode::OK, "{}", live.text());
    let deltas: String = events(&live).iter().filter_map(|data| data["delta"].as_str()).collect();
    assert_eq!(events(&live).last().unwrap()["content"], deltas);
    let text = live.text();
    let last = text.lines().filter_map(|line| line.strip_prefix("id: ")).next_back().unwrap();
    let resumed = event("GET", &path).header("last-event-id", last).send(&app).await;
    assert_eq!(resumed.status, StatusCode::NO_CONTENT, "204 makes EventSource stop");
}

#[tokio::test]
async fn a_message_that_no_url_can_contain_is_refused_with_the_route_to_use() {
    let app = app().await;
    let project = send(&say("/demo tokens=3 rate=0")).send(&app).await.header("x-project-id").to_owned();
    let path = |length| format!("/api/projects/{project}/messages/stream?content={}", "x".repeat(length));
    let refused = event("GET", &path(8193)).send(&app).await;
    assert_eq!((refused.status, refused.code().as_str()), (StatusCode::BAD_REQUEST, "invalid_query"));
    assert!(refused.text().contains("POST /api/chat/send"), "{}", refused.text());
    assert_eq!(event("GET", &path(8192)).send(&app).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_reader_that_leaves_does_not_stop_the_run() {
    let app = app().await;
    let open = send(&say("/demo tokens=30 rate=60")).open(&app).await;
    let run = open.headers()["x-run-id"].to_str().unwrap().to_owned();
    drop(open);
    let followed = event("GET", &format!("/api/runs/{run}/events")).send(&app).await;
    let log = events(&followed);
    assert_eq!(log.last().unwrap()["outcome"]["type"], "success");
    assert!(
        log.iter().all(|event| event["epoch"].as_u64().unwrap_or(1) == 1),
        "the first owner finished the run"
    );
}

#[tokio::test]
async fn another_tenant_finds_neither_runs_nor_projects() {
    let app = app().await;
    let mine = send(&say("secret-word\n/demo tokens=3 rate=0")).send(&app).await;
    let run = mine.header("x-run-id");
    let project = mine.header("x-project-id");
    let theirs =
        |method: &str, path: &str| Event::new(method, path).bearer("other").header("x-origin-verify", ORIGIN);
    let into = json!({"project_id": project, "message": {"content": "hi"}});
    for request in [
        theirs("GET", &format!("/api/runs/{run}/events")),
        theirs("GET", &format!("/api/runs/{run}/events")).header("last-event-id", "3"),
        theirs("GET", &format!("/api/runs/{run}/events")).header("accept", "application/json"),
        theirs("GET", &format!("/api/chat/{run}/stream")),
        theirs("GET", &format!("/api/chat/{project}/stream")),
        theirs("GET", &format!("/api/projects/{project}/messages/stream?content=x")),
        theirs("GET", &format!("/api/projects/{project}/messages/stream?content=x"))
            .header("last-event-id", &format!("{run}:2")),
        theirs("POST", "/api/chat/send").json(&into),
        theirs("POST", "/api/chat")
            .json(&json!({"id": project, "message": {"role": "user", "content": "hi"}})),
    ] {
        let answer = request.send(&app).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{request:?}");
        assert!(!answer.text().contains("secret-word"));
    }
}

#[tokio::test]
async fn invalid_input_is_refused_with_a_code() {
    let app = app().await;
    let huge = "x".repeat(70_000);
    let said = json!({"role": "user", "parts": [{"type": "text", "text": "/demo tokens=1 rate=0"}]});
    let cases = [
        (send(&say("  ")), 422, "validation_failed"),
        (send(&say(&huge)), 422, "validation_failed"),
        (send(&json!({"message": {"content": "x"}, "surprise": 1})), 422, "validation_failed"),
        (send(&json!({"message": {"content": "x"}, "project_id": "run_1"})), 422, "validation_failed"),
        (send(&json!({"message": {"content": "x"}, "model": ""})), 422, "validation_failed"),
        (
            event("POST", "/api/chat/send").header("content-type", "application/json").body("{"),
            400,
            "invalid_json",
        ),
        (
            event("POST", "/api/chat").json(&json!({"id": "", "message": {"role": "user", "content": "x"}})),
            422,
            "validation_failed",
        ),
        (event("POST", "/api/chat").json(&json!({"id": "c", "messages": []})), 422, "validation_failed"),
        (
            event("POST", "/api/chat")
                .json(&json!({"id": "c", "message": said, "output_schema": {"type": "strnig"}})),
            422,
            "validation_failed",
        ),
        (event("GET", "/api/runs/run_00000000000000000000000000/events?after=x"), 400, "invalid_cursor"),
        (event("GET", "/api/runs/run_00000000000000000000000000/events?limit=0"), 400, "invalid_query"),
        (event("GET", "/api/runs/run_00000000000000000000000000/events?limit=1001"), 400, "invalid_query"),
        (event("GET", "/api/runs/not-a-run/events"), 404, "not_found"),
        (send(&say("x")).header("idempotency-key", "has space"), 400, "idempotency_key_invalid"),
        (
            Event::new("POST", "/api/chat/send").header("x-origin-verify", ORIGIN).json(&say("x")),
            401,
            "unauthenticated",
        ),
    ];
    for (request, status, code) in cases {
        let answer = request.send(&app).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (status, code), "{}", answer.text());
        assert_eq!(answer.header("content-type"), "application/problem+json");
    }
}

#[tokio::test]
async fn a_conversation_that_ends_with_an_answer_is_not_asked_and_billed_again() {
    let app = app().await;
    let said =
        |role: &str| json!({"role": role, "parts": [{"type": "text", "text": "/demo tokens=1 rate=0"}]});
    let ask = async |body: Value| event("POST", "/api/chat").json(&body).send(&app).await;
    for body in [
        json!({"id": "c", "messages": [said("user"), said("assistant")]}),
        json!({"messages": [said("user"), said("assistant")]}),
        json!({"id": "c", "messages": [said("user"), said("system")]}),
        json!({"id": "c", "message": said("assistant")}),
    ] {
        let refused = ask(body.clone()).await;
        assert_eq!((refused.status.as_u16(), refused.code().as_str()), (422, "validation_failed"), "{body}");
        assert_eq!(refused.json()["errors"][0]["pointer"], "#/messages", "{body}");
        assert!(refused.json()["detail"].as_str().unwrap().contains("/api/runs/{id}/resume"), "{body}");
    }
    assert_eq!(event("GET", "/api/chat/c/stream").send(&app).await.status, 204, "no run was started");
    assert_eq!(ask(json!({"id": "c", "messages": [said("user")]})).await.status, 200);
    let again =
        json!({"id": "c", "trigger": "regenerate-message", "messages": [said("user"), said("assistant")]});
    assert_eq!(ask(again).await.status, 200, "the answer is to be replaced");
}

#[tokio::test]
async fn a_client_that_does_not_count_chunks_learns_that_its_stream_was_cut() {
    let app = app().await;
    let message = json!({"role": "user", "content": "/demo tokens=900 rate=30"});
    let open = event("POST", "/api/chat").json(&json!({"id": "c", "message": message})).open(&app).await;
    let read = async |path: &str| {
        let end = Timestamp::now() + Duration::from_secs(4);
        let body = event("GET", path).open_until(&app, end).await.into_body();
        assert!(Timestamp::now() < end);
        let text = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
        text.lines().filter_map(|line| line.strip_prefix("data: ").map(str::to_owned)).collect::<Vec<_>>()
    };
    let (mut plain, counted) =
        tokio::join!(read("/api/chat/c/stream"), read("/api/chat/c/stream?startIndex=0"));
    assert_eq!(plain.pop().unwrap(), r#"{"type":"error","code":"stream_cut"}"#);
    for chunks in [plain, counted] {
        assert!(chunks.len() > 5 && chunks.iter().all(|chunk| !chunk.contains("stream_cut")), "{chunks:?}");
        assert_ne!(chunks.last().unwrap(), "[DONE]");
    }
    drop(open);
}

/// A function URL leaves the path encoded, API Gateway decodes it. Some clients do not encode the id at all.
#[tokio::test]
async fn a_chat_is_found_by_any_form_of_its_id_in_the_path() {
    let app = app().await;
    for (id, encoded) in [
        ("100% 潮", "100%25%20%E6%BD%AE"),
        ("team/one/stream", "team%2Fone%2Fstream"),
        ("a%20b", "a%2520b"),
        ("50%", "50%25"),
    ] {
        let message = json!({"role": "user", "content": "/demo tokens=30 rate=60"});
        let open = event("POST", "/api/chat").json(&json!({"id": id, "message": message})).open(&app).await;
        let run = open.headers()["x-workflow-run-id"].to_str().unwrap();
        let of_url = event("GET", &format!("/api/chat/{encoded}/stream")).open(&app).await;
        assert_eq!(of_url.headers()["x-workflow-run-id"], run, "{encoded}");
        let of_gateway =
            event("GET", &format!("/api/chat/{id}/stream")).domain("x.execute-api.eu-west-1.amazonaws.com");
        assert_eq!(of_gateway.open(&app).await.headers()["x-workflow-run-id"], run, "{id}");
    }
}
