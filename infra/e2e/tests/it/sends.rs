//! Sending messages over HTTP: once per key, in order, whether or not the client keeps reading.

use std::time::Duration;

use crate::held::HeldModel;
use crate::once::all;
use crate::system::{Caller, PATIENCE, System, answer, is_terminal, read_events, scaled};
use futures::future::join_all;
use reqwest::{Response, header::HeaderMap};
use serde_json::{Value, json};

/// Message of a run that stays live during other requests.
const LONG: &str = "/demo tokens=100000 rate=40";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_attaches_to_its_run_and_to_no_other_request() {
    let system = System::start(&[]).await;
    let caller = system.sign_up("keys@example.com").await;
    let other = system.sign_up("stranger@example.com").await;
    let body = json!({"message": {"content": "/demo tokens=60 rate=60"}});
    let keyed = |caller: &Caller, body: &Value| {
        caller.request("POST", "/api/chat/send").header("idempotency-key", "k-1").json(body).send()
    };

    // Live: another process serves the retry while the first one still writes.
    let first = keyed(&caller, &body).await.unwrap();
    let retry = keyed(&caller, &body).await.unwrap();
    assert_eq!((first.status(), retry.status()), (200.try_into().unwrap(), 200.try_into().unwrap()));
    for name in ["x-run-id", "x-project-id"] {
        assert_eq!(first.headers()[name], retry.headers()[name], "{name}");
    }
    assert_eq!((replayed(&first), replayed(&retry)), (false, true));
    let run = header(first.headers(), "x-run-id");
    let (first, retry) = tokio::join!(read_events(first), read_events(retry));
    assert_eq!(first.events, retry.events);
    assert_eq!(first.events, caller.log(&run).await);
    assert_eq!(first.events.last().unwrap()["outcome"]["type"], "success");

    // Ended: with other white space it is still the same request.
    let spaced = caller.request("POST", "/api/chat/send").header("idempotency-key", "k-1");
    let spaced = spaced.header("content-type", "application/json").body(format!("{body:#}"));
    let spaced = spaced.send().await.unwrap();
    assert_eq!(header(spaced.headers(), "x-run-id"), run);
    assert_eq!(read_events(spaced).await.events, first.events);

    let mut changed = body.clone();
    changed["message"]["content"] = json!("/demo tokens=1 rate=0");
    let refused = refusal(keyed(&caller, &changed).await.unwrap(), 422, "idempotency_key_reused").await;
    assert!(refused["detail"].as_str().unwrap().len() > 20, "{refused}");
    let theirs = keyed(&other, &changed).await.unwrap();
    assert_eq!(theirs.status(), 200, "another tenant's keys are its own");
    assert!(!replayed(&theirs));
    assert_eq!(all(&caller, "/api/runs").await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_busy_conversation_refuses_or_queues() {
    let model = HeldModel::start().await;
    let system = model.system(&[]).await;
    let caller = system.sign_up("queue@example.com").await;
    let live = say(&caller, None, "hold=opening", "reject").await;
    let opening = header(live.headers(), "x-run-id");
    let project = header(live.headers(), "x-project-id");
    let refused = say(&caller, Some(&project), "refused", "reject").await;
    let refused = refusal(refused, 409, "run_in_progress").await;
    assert_eq!(refused["run_id"], opening, "the refusal names the live run");

    let second = say(&caller, Some(&project), "second", "enqueue").await;
    let third = say(&caller, Some(&project), "third", "enqueue").await;
    model.release("opening");
    let queue = [opening, header(second.headers(), "x-run-id"), header(third.headers(), "x-run-id")];
    let (live, second, third) = tokio::join!(read_events(live), read_events(second), read_events(third));
    let logs = [live.events, second.events, third.events];
    let mut conversation = Conversation::default();
    for ((log, run), said) in logs.iter().zip(&queue).zip(["opening", "second", "third"]) {
        assert_eq!(log, &caller.log(run).await, "{said}");
        assert_eq!(log.last().unwrap()["outcome"]["type"], "success", "{said}");
        conversation.exchange(log, "complete");
    }
    let at = |event: &Value| event["timestamp"].as_u64().unwrap();
    for pair in logs.windows(2) {
        let begun = pair[1].iter().find(|event| event["type"] == "RUN_STARTED").unwrap();
        assert!(at(begun) >= at(pair[0].last().unwrap()), "one after the other, in the order they came");
    }
    conversation.check(&caller, &project).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_busy_conversation_is_interrupted_or_rolled_back() {
    let system = System::start(&[]).await;
    let caller = system.sign_up("busy@example.com").await;
    let first = say(&caller, None, "first\n/demo tokens=3 rate=0", "reject").await;
    let project = header(first.headers(), "x-project-id");
    let mut conversation = Conversation::default();
    conversation.exchange(&read_events(first).await.events, "complete");
    for (strategy, said) in [("interrupt", "second"), ("rollback", "third")] {
        let live = say(&caller, Some(&project), &format!("{strategy}\n{LONG}"), "reject").await;
        let live = speaking(live).await;
        let next = say(&caller, Some(&project), &format!("{said}\n/demo tokens=3 rate=0"), strategy).await;
        let next = read_events(next).await.events;
        assert_eq!(next.last().unwrap()["outcome"]["type"], "success", "{strategy}");

        // The log keeps its events, whatever happens to the conversation.
        let log = caller.follow(&live, Vec::new(), PATIENCE).await;
        assert_eq!(log.last().unwrap()["outcome"]["type"], "cancelled", "{strategy}");
        assert_eq!(caller.get(&format!("/api/runs/{live}")).await["status"], "cancelled");
        assert!(log.iter().any(|event| event["type"] == "USER_MESSAGE"), "{strategy}");
        assert!(!answer(&log).is_empty(), "{strategy}: it had begun to speak");
        if strategy == "interrupt" {
            conversation.exchange(&log, "partial");
        }
        conversation.exchange(&next, "complete");
    }
    conversation.check(&caller, &project).await;
}

/// The expected messages of a conversation: role, text and status.
#[derive(Default)]
struct Conversation(Vec<[String; 3]>);

impl Conversation {
    /// Adds the question and the answer of a run.
    fn exchange(&mut self, log: &[Value], status: &str) {
        let asked = log.iter().find(|event| event["type"] == "USER_MESSAGE").unwrap();
        self.0.push(["user", asked["content"].as_str().unwrap(), "complete"].map(str::to_owned));
        self.0.push(["assistant", &answer(log), status].map(str::to_owned));
    }

    async fn check(&self, caller: &Caller, project: &str) {
        let messages = all(caller, &messages(project)).await;
        let read = messages.iter().map(|message| {
            ["role", "content", "status"].map(|name| message[name].as_str().unwrap().to_owned())
        });
        assert_eq!(read.collect::<Vec<_>>(), self.0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_concurrent_sends_one_runs_and_the_others_name_it() {
    let system = System::start(&[]).await;
    let caller = system.sign_up("crowd@example.com").await;
    let first = caller.send(&json!({"message": {"content": "/demo tokens=1 rate=0"}})).await;
    let project = header(first.headers(), "x-project-id");
    read_events(first).await;
    let body = json!({"project_id": project, "message": {"content": LONG}});
    let crowd = scaled(20, 100);
    let answers = join_all((0..crowd).map(|_| caller.send(&body))).await;
    let (won, lost): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status() == 200);
    assert_eq!(won.len(), 1);
    let winner = header(won[0].headers(), "x-run-id");
    for refused in lost {
        assert_eq!(refusal(refused, 409, "run_in_progress").await["run_id"], winner);
    }
    assert_eq!(all(&caller, "/api/runs").await.len(), 2, "the losers left no run behind");
    assert_eq!(all(&caller, &messages(&project)).await.len(), 3, "nor a message");
    let cancelled = caller.request("POST", &format!("/api/runs/{winner}/cancel")).send().await.unwrap();
    assert!(cancelled.status().is_success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_outlives_its_client_and_past_its_end_there_is_no_content() {
    let system = System::start(&[]).await;
    let caller = system.sign_up("gone@example.com").await;
    let message = "/demo tokens=40 rate=40";
    let parts = json!([{"type": "text", "text": message}]);
    let body = json!({"id": "a chat", "messages": [{"role": "user", "parts": parts}]});
    let sent = caller.request("POST", "/api/chat").json(&body).send().await.unwrap();
    let run = header(sent.headers(), "x-run-id");
    let project = header(sent.headers(), "x-project-id");
    drop(sent); // with its connection, before a byte of the answer was read

    // Only the row is read, because a reader of the log would take a lost run over.
    let ended = async {
        loop {
            let row = caller.get(&format!("/api/runs/{run}")).await;
            if row["status"] != "running" {
                return row;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let row = tokio::time::timeout(PATIENCE, ended).await.expect("the run ends");
    assert_eq!(row["status"], "success");
    let log = caller.log(&run).await;
    let epochs = log.iter().filter_map(|event| event["epoch"].as_u64());
    assert_eq!(epochs.max(), Some(1), "its first owner finished it");
    let expected = read_events(caller.send(&json!({"message": {"content": message}})).await).await;
    assert_eq!(answer(&log), answer(&expected.events), "the whole answer");
    assert_eq!(all(&caller, &messages(&project)).await[1]["content"], answer(&log));

    let end = log.last().filter(|event| is_terminal(event)).unwrap()["seq"].to_string();
    let native = caller.request("GET", &format!("/api/runs/{run}/events")).header("last-event-id", &end);
    let by_query = caller.request("GET", &format!("/api/runs/{run}/events?after={end}"));
    let simple = format!("/api/projects/{project}/messages/stream?content=x");
    let simple = caller.request("GET", &simple).header("last-event-id", format!("{run}:{end}"));
    let chat = caller.request("GET", "/api/chat/a%20chat/stream");
    let by_project = caller.request("GET", &format!("/api/chat/{project}/stream"));
    for request in [native, by_query, simple, chat, by_project] {
        let answered = request.send().await.unwrap();
        assert_eq!(answered.status(), 204, "{}", answered.url());
        assert_eq!(answered.text().await.unwrap(), "");
    }
    assert_eq!(all(&caller, "/api/runs").await.len(), 2, "resuming asks nothing again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mistake_is_a_problem_that_explains_the_fix() {
    let system = System::start(&[]).await;
    let caller = system.sign_up("mistakes@example.com").await;
    let sent = |body: String| {
        let request = caller.request("POST", "/api/chat/send").header("content-type", "application/json");
        async move { request.body(body).send().await.unwrap() }
    };
    let with = |more: Value| {
        let mut body = json!({"message": {"content": "hi"}});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body.to_string()
    };
    let long = |bytes: usize| json!({"message": {"content": "x".repeat(bytes)}}).to_string();
    let missing = "prj_00000000000000000000000000";
    let cases = [
        ("{\"message\": ".to_owned(), 400, "invalid_json", None),
        (String::new(), 400, "invalid_json", None),
        (long(65 * 1024), 422, "validation_failed", Some("/message/content")),
        (long(5 * 1024 * 1024), 413, "body_too_large", None),
        ("{}".to_owned(), 422, "validation_failed", Some("message")),
        (with(json!({"surprise": 1})), 422, "validation_failed", Some("surprise")),
        (with(json!({"on_conflict": "panic"})), 422, "validation_failed", Some("on_conflict")),
        (with(json!({"project_id": 7})), 422, "validation_failed", Some("project_id")),
        (with(json!({"model": "no such model!"})), 422, "validation_failed", Some("/model")),
        (with(json!({"project_id": missing})), 404, "not_found", None),
    ];
    for (body, status, code, names) in cases {
        let shown: String = body.chars().take(60).collect();
        let problem = refusal(sent(body).await, status, code).await;
        assert!(problem["detail"].as_str().unwrap().len() > 10, "{shown}: {problem}");
        let errors = problem["errors"].to_string();
        assert!(names.is_none_or(|name| errors.contains(name)), "{shown}: {problem}");
    }
    assert_eq!(all(&caller, "/api/runs").await.len(), 0, "no mistake starts a run");

    // A well-formed name without a provider: the run's error names the missing setting.
    let sent = read_events(sent(with(json!({"model": "gpt-nobody-serves"}))).await).await.events;
    let end = sent.last().unwrap();
    assert_eq!(
        (end["type"].as_str(), end["code"].as_str()),
        (Some("RUN_ERROR"), Some("model_not_configured"))
    );
    assert!(end["message"].as_str().unwrap().contains("openai"), "{end}");
}

async fn say(caller: &Caller, project: Option<&str>, content: &str, on_conflict: &str) -> Response {
    let message = json!({"content": content});
    caller.send(&json!({"project_id": project, "message": message, "on_conflict": on_conflict})).await
}

/// Waits for the first text of the run, then continues to read in the background.
async fn speaking(mut sent: Response) -> String {
    assert_eq!(sent.status(), 200);
    let run = header(sent.headers(), "x-run-id");
    let mut text = String::new();
    while !text.contains("TEXT_MESSAGE_CONTENT") {
        let piece = sent.chunk().await.unwrap().expect("the stream continues");
        text.push_str(&String::from_utf8_lossy(&piece));
    }
    tokio::spawn(read_events(sent));
    run
}

/// Checks that the response is this problem, and returns it.
async fn refusal(answer: Response, status: u16, code: &str) -> Value {
    let kind = answer.headers().get("content-type").map(|kind| kind.to_str().unwrap().to_owned());
    let got = answer.status().as_u16();
    let problem: Value = answer.json().await.unwrap_or_default();
    assert_eq!((got, problem["code"].as_str()), (status, Some(code)), "{problem}");
    assert_eq!(kind.as_deref(), Some("application/problem+json"));
    problem
}

fn messages(project: &str) -> String {
    format!("/api/projects/{project}/messages")
}

fn replayed(answer: &Response) -> bool {
    answer.headers().get("idempotency-replayed").is_some_and(|value| value == "true")
}

fn header(headers: &HeaderMap, name: &str) -> String {
    headers.get(name).unwrap_or_else(|| panic!("no {name}")).to_str().unwrap().to_owned()
}
