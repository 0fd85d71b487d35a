//! Batches of the stream: the golden events, delivered twice.
#![expect(clippy::unwrap_used, reason = "a failed step should panic at its line")]

use sequent_aws::queue::Batch;
use sequent_core::{TenantId, Timestamp};
use sequent_feed::{ChangeKind, Feed, FeedEntry};
use sequent_feed_function::handle;
use sequent_tables::{Row, Store, key, testing};
use serde_json::json;

const TENANT: &str = "ten_01K9Z3TB6W0000000000000001";

fn golden(case: &str) -> Batch {
    serde_json::from_str(&sequent_core::golden::text("feed", case)).unwrap()
}

fn tenant() -> TenantId {
    TENANT.parse().unwrap()
}

async fn store() -> Store {
    let store = testing::store().await;
    store.insert(Row::new(&key::tenant(tenant()), &json!({})).unwrap()).await.unwrap();
    store
}

async fn entries(feed: &Feed) -> Vec<FeedEntry> {
    feed.page(tenant(), 0, 100, Timestamp::now()).await.unwrap().entries
}

/// Handles a batch twice, and returns the kinds of the entries.
async fn kinds(case: &str) -> Vec<ChangeKind> {
    let feed = Feed::new(store().await);
    for _ in 0..2 {
        assert!(handle(&feed, &golden(case)).await.is_empty(), "{case}");
    }
    let entries = entries(&feed).await;
    assert!(entries.iter().map(|entry| entry.seq).eq(1..=entries.len() as u64), "{entries:?}");
    entries.iter().map(|entry| entry.change.kind()).collect()
}

#[tokio::test]
async fn the_course_of_a_conversation_is_told_in_its_order() {
    let expected = [
        ChangeKind::ProjectCreated,
        ChangeKind::ProjectHeadMoved,
        ChangeKind::RunCreated,
        ChangeKind::RunStarted,
        ChangeKind::MessageAdded,
        ChangeKind::RunEnded,
        ChangeKind::MessageAdded,
        ChangeKind::ProjectRenamed,
        ChangeKind::ProjectDeleted,
    ];
    assert_eq!(kinds("conversation").await, expected);
}

#[tokio::test]
async fn a_question_and_its_answer_are_told() {
    assert_eq!(kinds("run-asks-and-goes-on").await, [ChangeKind::RunInterrupted, ChangeKind::RunAnswered]);
}

#[tokio::test]
async fn other_rows_are_told_by_what_has_changed_of_them() {
    let expected = [
        ChangeKind::ArtifactCreated,
        ChangeKind::JobEnded,
        ChangeKind::CreditsLow,
        ChangeKind::AgentPublished,
        ChangeKind::ScheduleMissed,
    ];
    assert_eq!(kinds("other-rows").await, expected);
}

#[tokio::test]
async fn a_change_that_concerns_no_reader_is_not_told() {
    assert_eq!(kinds("nothing-to-tell").await, []);
}

#[tokio::test]
async fn an_entry_has_no_text_of_its_conversation() {
    let feed = Feed::new(store().await);
    assert!(handle(&feed, &golden("conversation")).await.is_empty());
    let text = serde_json::to_string(&entries(&feed).await).unwrap();
    assert!(!text.contains("tide") && !text.contains("Tides") && !text.contains("12:40"), "{text}");
    assert_eq!(feed.live_runs(tenant()).await.unwrap(), []);
}

#[tokio::test]
async fn a_record_that_cannot_be_read_is_reported_and_keeps_no_other_from_the_feed() {
    let feed = Feed::new(store().await);
    let mut batch = golden("conversation");
    batch.records[1]["dynamodb"]["NewImage"] = json!({ "pk": { "?": 1 } });
    let failures = serde_json::to_value(handle(&feed, &batch).await).unwrap();
    let unread = &batch.records[1]["dynamodb"]["SequenceNumber"];
    assert_eq!(failures, json!({ "batchItemFailures": [{ "itemIdentifier": unread }] }));
    assert_eq!(entries(&feed).await.len(), 7);
}
