//! Batches of the stream: the golden events, and a queue that can refuse messages.
#![expect(clippy::unwrap_used, reason = "a failed step should panic at its line")]

use sequent_aws::queue::{Batch, Sender, testing};
use sequent_core::{Timestamp, UserId, WebhookId};
use sequent_fanout_function::{Queues, TraceJobs, handle};
use sequent_identity::Vault;
use sequent_tables::{CursorKey, Store, testing as tables};
use sequent_tool::Guard;
use sequent_webhooks::{DeliveryQuery, EventType, NewWebhook, UntoldEvents, Webhooks, tell};
use serde_json::{Value, json};

const RUN: &str = "run_01K9Z3TB6W1X2Y3Z4A5B6C7D8E";
const CHILD: &str = "run_01K9Z3TB6W1X2Y3Z4A5B6C7D8F";
const TENANT: &str = "ten_01K9Z3TB6W0000000000000001";

fn golden(case: &str) -> Batch {
    serde_json::from_str(&sequent_core::golden::text("fanout", case)).unwrap()
}

/// Sends to all queues at the same one.
fn all_to(queue: &Sender) -> Queues {
    Queues {
        runs: queue.clone(),
        jobs: queue.clone(),
        exports: queue.clone(),
        dead_jobs: queue.clone(),
        dead_records: queue.clone(),
    }
}

fn runs(messages: &[String]) -> Vec<String> {
    let message = |text: &String| {
        let message: Value = serde_json::from_str(text).unwrap();
        assert_eq!(message["tenant_id"], TENANT);
        message["run_id"].as_str().unwrap().to_owned()
    };
    messages.iter().map(message).collect()
}

fn sequence(record: &Value) -> Value {
    record["dynamodb"]["SequenceNumber"].clone()
}

#[tokio::test]
async fn a_change_sends_the_messages_that_it_calls_for() {
    let cases: [(&str, &[&str]); 5] = [
        ("run-queued", &[RUN]),
        ("run-queued-again", &[RUN]),
        // The parent run continues.
        ("child-ended", &[RUN]),
        // A renewed lease, a message, a child that ended before, a run that ended, a row that was deleted.
        ("nothing-to-do", &[]),
        ("batch", &[RUN, CHILD, RUN]),
    ];
    for (name, expected) in cases {
        let (sender, received) = testing::queue().await;
        assert!(
            handle(&all_to(&sender), &tables::store().await, None, &golden(name)).await.is_empty(),
            "{name}"
        );
        assert_eq!(runs(&received.messages()), expected, "{name}");
        assert_eq!(received.groups(), vec![Some(TENANT.to_owned()); expected.len()], "{name}");
    }
}

#[tokio::test]
async fn a_refused_message_is_retried_from_its_record_on() {
    let (sender, received) = testing::queue().await;
    let batch = golden("batch");
    received.refuse(format!(r#"{{"tenant_id":"{TENANT}","run_id":"{CHILD}"}}"#));
    let failures =
        serde_json::to_value(handle(&all_to(&sender), &tables::store().await, None, &batch).await).unwrap();
    let child = sequence(&batch.records[2]);
    assert_eq!(failures, json!({ "batchItemFailures": [{ "itemIdentifier": child }] }));

    received.take_all();
    let rest = Batch { records: batch.records[2..].to_vec() };
    assert!(handle(&all_to(&sender), &tables::store().await, None, &rest).await.is_empty());
    let all = runs(&received.messages());
    assert!([RUN, CHILD].iter().all(|run| all.iter().any(|sent| sent == run)), "{all:?}");
}

#[tokio::test]
async fn a_queue_that_cannot_be_reached_fails_the_first_record_that_needed_it() {
    let sender = testing::unreachable_queue().await;
    let quiet = golden("nothing-to-do");
    let busy = golden("run-queued");
    assert!(
        handle(&all_to(&sender), &tables::store().await, None, &quiet).await.is_empty(),
        "nothing to send, nothing to fail"
    );
    let both = Batch { records: [quiet.records, busy.records].concat() };
    let failures =
        serde_json::to_value(handle(&all_to(&sender), &tables::store().await, None, &both).await).unwrap();
    let last = sequence(both.records.last().unwrap());
    assert_eq!(failures, json!({ "batchItemFailures": [{ "itemIdentifier": last }] }));
}

#[tokio::test]
async fn a_record_that_can_never_be_sent_becomes_a_dead_letter_and_delays_no_other() {
    let (sender, received) = testing::queue().await;
    let (dead_records, dead) = testing::queue().await;
    let queues = Queues { dead_records, ..all_to(&sender) };
    let mut batch = golden("batch");
    batch.records[1]["dynamodb"]["NewImage"] = json!({ "pk": { "?": 1 } });
    assert!(handle(&queues, &tables::store().await, None, &batch).await.is_empty(), "the stream goes on");
    assert_eq!(runs(&received.messages()), [RUN, CHILD, RUN]);
    let [letter] = &dead.messages()[..] else { panic!("{:?}", dead.messages()) };
    let letter: Value = serde_json::from_str(letter).unwrap();
    assert_eq!(letter["SequenceNumber"], sequence(&batch.records[1]));
}

#[tokio::test]
async fn the_end_of_a_scheduled_run_has_its_schedule_delivered_once() {
    let schedule = "sch_01K9Z3TB6W1X2Y3Z4A5B6C7D8E";
    let origin =
        json!({"M": {"id": {"S": schedule}, "due_at": {"S": "2025-11-14T09:00:00Z"}, "missed": {"N": "0"}}});
    let mut batch = golden("run-finished");
    batch.records[0]["dynamodb"]["NewImage"]["schedule"] = origin.clone();
    batch.records[0]["dynamodb"]["OldImage"]["schedule"] = origin;
    let mut later = batch.records[0].clone();
    later["dynamodb"]["OldImage"] = later["dynamodb"]["NewImage"].clone();
    batch.records.push(later);
    let (runs, _) = testing::queue().await;
    let (jobs, received) = testing::queue().await;
    let queues = Queues { jobs, ..all_to(&runs) };
    assert!(handle(&queues, &tables::store().await, None, &batch).await.is_empty());
    let [delivery] = &received.messages()[..] else { panic!("{:?}", received.messages()) };
    let delivery: Value = serde_json::from_str(delivery).unwrap();
    assert_eq!(delivery, json!({"tenant_id": TENANT, "schedule_id": schedule}));
    assert_eq!(received.groups(), [Some(TENANT.to_owned())]);
}

#[tokio::test]
async fn a_dead_letter_has_only_characters_that_a_queue_accepts() {
    let (sender, received) = testing::queue().await;
    let mut batch = golden("jobs");
    let failed = |record: &&mut Value| record["dynamodb"]["NewImage"]["error"]["M"]["code"]["S"] == "poison";
    let failed = batch.records.iter_mut().find(failed).expect("a failed job");
    failed["dynamodb"]["NewImage"]["error"]["M"]["message"]["S"] = json!("\u{1b}[31mred\u{0}");
    let all = batch.records.len();
    assert!(handle(&all_to(&sender), &tables::store().await, None, &batch).await.is_empty());
    assert!(received.messages().len() >= 4, "{all} records, {:?}", received.messages());
}

#[tokio::test]
async fn a_job_is_delivered_and_its_end_notifies_its_run_and_the_dead_letter_queue() {
    let batch = golden("jobs");
    let mut received = Vec::new();
    let mut senders = Vec::new();
    for _ in 0..5 {
        let (sender, queue) = testing::queue().await;
        senders.push(sender);
        received.push(queue);
    }
    let [runs_queue, jobs, dead_jobs, exports, dead_records] =
        [0, 1, 2, 3, 4].map(|at: usize| senders[at].clone());
    let queues = Queues { runs: runs_queue, jobs, exports, dead_jobs, dead_records };
    assert!(handle(&queues, &tables::store().await, None, &batch).await.is_empty());
    let job =
        json!({"tenant_id": "ten_01K9Z3TB6W0000000000000001", "job_id": "job_01K9Z3TB6W1X2Y3Z4A5B6C7D8E"});
    let sent = |at: usize| -> Vec<Value> {
        received[at].messages().iter().map(|text| serde_json::from_str(text).unwrap()).collect()
    };
    assert_eq!(sent(1), std::slice::from_ref(&job), "the new job");
    assert_eq!(sent(2), [job], "the failed job, not the cancelled one");
    let export =
        json!({"tenant_id": "ten_01K9Z3TB6W0000000000000001", "job_id": "job_01K9Z3TB6W1X2Y3Z4A5B6C7D8X"});
    assert_eq!(sent(3), [export], "exports have a queue of their own");
    for (at, group) in [(0, Some(TENANT)), (1, Some(TENANT)), (2, None), (3, Some(TENANT))] {
        assert_eq!(received[at].groups(), [group.map(str::to_owned)], "the tenant of queue {at}");
    }
    assert_eq!(runs(&received[0].messages()), [RUN], "the failed job belongs to a run");
}

#[tokio::test]
async fn where_traces_are_sent_the_end_of_a_run_enqueues_one_job() {
    let (sender, received) = testing::queue().await;
    let store = tables::store().await;
    let traces = TraceJobs::new(store.clone());
    for name in ["run-queued", "nothing-to-do", "child-ended", "nothing-to-do"] {
        let failures = handle(&all_to(&sender), &store, Some(&traces), &golden(name)).await;
        assert!(failures.is_empty(), "{name}");
    }
    // A run that ended, and a child that did. A child that had ended before is none.
    let rows = tables::all_rows(&store).await;
    let of_jobs = rows.iter().filter(|row| format!("{row:?}").contains("export_trace")).count();
    assert_eq!(of_jobs, 2, "{rows:?}");
    assert_eq!(runs(&received.messages()), [RUN, RUN], "messages are sent as before");
}

#[tokio::test]
async fn a_job_that_cannot_be_stored_fails_its_record_and_no_message_is_held_up() {
    let (sender, received) = testing::queue().await;
    let traces = TraceJobs::new(tables::unreachable_store().await);
    let queued = golden("run-queued");
    let ended = golden("child-ended");
    let batch = Batch { records: [queued.records, ended.records].concat() };
    let failures =
        serde_json::to_value(handle(&all_to(&sender), &tables::store().await, Some(&traces), &batch).await)
            .unwrap();
    let last = sequence(batch.records.last().unwrap());
    assert_eq!(failures, json!({ "batchItemFailures": [{ "itemIdentifier": last }] }));
    assert_eq!(runs(&received.messages()), [RUN, RUN]);
}

/// Creates a webhook of the tenant in the golden events that wants every event.
async fn webhook(store: &Store) -> (Webhooks, WebhookId) {
    let vault = Vault::fixed(&r#"{"seed": "a seed for tests"}"#.into()).unwrap();
    let webhooks = Webhooks::new(store.clone(), vault, Guard::default());
    use EventType::{
        ArtifactCreated, CreditsLow, JobFailed, RunFailed, RunFinished, RunInterrupted, RunStarted,
        ScheduleMissed,
    };
    let events = [
        RunStarted,
        RunFinished,
        RunFailed,
        RunInterrupted,
        ArtifactCreated,
        JobFailed,
        CreditsLow,
        ScheduleMissed,
    ];
    let new = NewWebhook {
        url: "https://example.com/".to_owned(),
        description: None,
        events: events.into(),
        enabled: true,
    };
    let created = webhooks.create(TENANT.parse().unwrap(), UserId::new(), new, Timestamp::now()).await;
    let id = created.unwrap().0.id;
    (webhooks, id)
}

/// Returns the types of the events that were told to the webhook, and their data.
async fn told(webhooks: &Webhooks, webhook: WebhookId) -> Vec<(String, Value)> {
    let tenant = TENANT.parse().unwrap();
    let cursors = CursorKey::new("a key of cursors".into());
    let page = webhooks.deliveries(tenant, webhook, DeliveryQuery::default(), &cursors).await.unwrap();
    let mut all = Vec::new();
    for delivery in page.items {
        let details = webhooks.delivery(tenant, webhook, delivery.id).await.unwrap();
        all.push((delivery.event_type.to_string(), details.payload["data"].clone()));
    }
    all
}

#[tokio::test]
async fn a_change_is_told_once_to_the_webhooks_of_its_tenant() {
    let run = |status: &str, error: Value, questions: Value| {
        json!({"run_id": RUN, "project_id": "prj_01K9Z3TB6W1X2Y3Z4A5B6C7D8E",
            "user_id": "usr_01K9Z3TB6W1X2Y3Z4A5B6C7D8E", "agent_id": null, "agent_version": null,
            "status": status, "error_code": error, "questions": questions})
    };
    let artifact = json!({"artifact_id": "art_01K9Z3TB6W1X2Y3Z4A5B6C7D8E", "entity_type": "report",
        "media_type": "text/markdown", "size": 1200, "run_id": RUN, "job_id": null, "user_id": null});
    let schedule = json!({"schedule_id": "sch_01K9Z3TB6W1X2Y3Z4A5B6C7D8E", "missed": 2,
        "due_at": ["2025-11-14T08:00:00Z", "2025-11-14T09:00:00Z"]});
    let question = json!(["int_01K9Z3TB6W1X2Y3Z4A5B6C7D8E"]);
    for (case, expected) in [
        ("run-started", Some(("run.started", run("running", Value::Null, json!([]))))),
        ("run-started-at-once", Some(("run.started", run("running", Value::Null, json!([]))))),
        ("run-interrupted", Some(("run.interrupted", run("interrupted", Value::Null, question)))),
        ("run-finished", Some(("run.finished", run("success", Value::Null, json!([]))))),
        ("run-failed", Some(("run.failed", run("error", json!("budget_exhausted"), json!([]))))),
        ("artifact-created", Some(("artifact.created", artifact))),
        ("schedule-missed", Some(("schedule.missed", schedule))),
        ("credits-low", Some(("credits.low", json!({"balance": 100})))),
        // A child: its parent tells.
        ("child-ended", None),
        ("run-queued", None),
    ] {
        let (sender, received) = testing::queue().await;
        let store = tables::store().await;
        let (webhooks, id) = webhook(&store).await;
        for _ in 0..2 {
            assert!(handle(&all_to(&sender), &store, None, &golden(case)).await.is_empty(), "{case}");
        }
        let expected: Vec<(String, Value)> =
            expected.into_iter().map(|(event, data)| (event.to_owned(), data)).collect();
        assert_eq!(told(&webhooks, id).await, expected, "{case}");
        let is_message = |text: &String| text.contains("deliver");
        assert!(
            !received.messages().iter().any(is_message),
            "the job of the delivery comes through the stream"
        );
    }
}

#[tokio::test]
async fn the_failure_of_a_job_is_told_and_a_cancellation_is_not() {
    let (sender, _received) = testing::queue().await;
    let store = tables::store().await;
    let (webhooks, id) = webhook(&store).await;
    assert!(handle(&all_to(&sender), &store, None, &golden("jobs")).await.is_empty());
    let told = told(&webhooks, id).await;
    let failures: Vec<&Value> =
        told.iter().filter(|(event, _)| event == "job.failed").map(|(_, data)| &data["error_code"]).collect();
    assert_eq!(failures, ["poison"], "{told:?}");
}

#[tokio::test]
async fn the_failure_of_a_job_that_serves_the_deployment_is_not_told() {
    let (sender, _received) = testing::queue().await;
    let store = tables::store().await;
    let (webhooks, id) = webhook(&store).await;
    let mut batch = golden("jobs");
    for record in &mut batch.records {
        record["dynamodb"]["NewImage"]["internal"] = json!({"BOOL": true});
    }
    assert!(handle(&all_to(&sender), &store, None, &batch).await.is_empty());
    let told = told(&webhooks, id).await;
    assert!(told.iter().all(|(event, _)| event != "job.failed"), "{told:?}");
}

#[tokio::test]
async fn events_that_cannot_be_told_become_messages_and_no_record_waits_for_them() {
    let (sender, received) = testing::queue().await;
    let (jobs, late) = testing::queue().await;
    let queues = Queues { jobs, ..all_to(&sender) };
    let unreachable = tables::unreachable_store().await;
    let queued = golden("run-queued");
    let ended = golden("run-finished");
    let batch = Batch { records: [queued.records, ended.records].concat() };
    assert!(handle(&queues, &unreachable, None, &batch).await.is_empty(), "the stream goes on");
    assert_eq!(runs(&received.messages()), [RUN], "no message waits for a webhook");
    let [message] = &late.messages()[..] else { panic!("{:?}", late.messages()) };
    let UntoldEvents { tenant_id, events } = UntoldEvents::from_json(message).unwrap();
    assert_eq!(late.groups(), [Some(TENANT.to_owned())]);

    // A worker tells them as soon as the table answers, and again if the message is received again.
    let store = tables::store().await;
    let (webhooks, id) = webhook(&store).await;
    for expected in [1, 0] {
        assert_eq!(tell(&store, tenant_id, &events, Timestamp::now()).await.unwrap(), expected);
    }
    assert_eq!(told(&webhooks, id).await[0].0, "run.finished");
}

#[tokio::test]
async fn a_record_whose_event_can_be_neither_told_nor_queued_fails() {
    let sender = testing::unreachable_queue().await;
    let unreachable = tables::unreachable_store().await;
    let batch = golden("run-finished");
    let failures = serde_json::to_value(handle(&all_to(&sender), &unreachable, None, &batch).await).unwrap();
    let first = sequence(&batch.records[0]);
    assert_eq!(failures, json!({ "batchItemFailures": [{ "itemIdentifier": first }] }));
}

#[tokio::test]
async fn an_event_that_is_too_large_becomes_a_dead_letter_and_the_others_are_told() {
    let (sender, received) = testing::queue().await;
    let (dead_records, dead) = testing::queue().await;
    let queues = Queues { dead_records, ..all_to(&sender) };
    let store = tables::store().await;
    let (webhooks, id) = webhook(&store).await;
    let mut large = golden("credits-low");
    large.records[0]["dynamodb"]["NewImage"]["data"] = json!({"M": {"text": {"S": "x".repeat(409_500)}}});
    let batch = Batch { records: [golden("run-finished").records, large.records].concat() };
    assert!(handle(&queues, &store, None, &batch).await.is_empty(), "the stream goes on");
    assert!(received.messages().is_empty(), "{:?}", received.messages());
    let [letter] = &dead.messages()[..] else { panic!("{:?}", dead.messages()) };
    let letter: Value = serde_json::from_str(letter).unwrap();
    assert_eq!(letter["SequenceNumber"], sequence(batch.records.last().unwrap()));
    let told: Vec<String> = told(&webhooks, id).await.into_iter().map(|(event, _)| event).collect();
    assert_eq!(told, ["run.finished"]);
}
