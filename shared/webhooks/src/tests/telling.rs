//! Events become deliveries once, with numbers without gaps, and reach the receiver.

use std::{collections::BTreeSet, time::Duration};

use futures::future::join_all;
use sequent_core::{TenantId, Timestamp};
use sequent_jobs::Job;
use sequent_tables::{Update, attribute_of, key};

use super::bench::{Bench, START, finished};
use crate::{
    DeliveryStatus, DisableReason, Error, EventType, MAX_ATTEMPTS, ROTATION, WebhookChange, WebhookEvent,
    tell,
};

const DAY: Duration = Duration::from_secs(24 * 3600);

#[tokio::test]
async fn an_event_is_told_once_to_each_webhook_that_wants_it() {
    let bench = Bench::new().await;
    assert_eq!(bench.finish(0..1, START).await, 0, "a tenant without webhooks");
    let (webhook, secret) = bench.webhook(&bench.receiver.url("/ok")).await;
    let other = WebhookEvent::new(EventType::RunStarted, START, "run 0", serde_json::json!({}));
    let events = [finished(0, START), other, finished(1, START)];
    for told in [2, 0] {
        let count = tell(&bench.store, bench.tenant, &events, START).await.unwrap();
        assert_eq!(count, told, "a record of the stream may be delivered again");
    }
    assert_eq!(bench.finish(0..4, START).await, 2, "only the new ones of a batch");
    assert_eq!(tell(&bench.store, TenantId::new(), &events, START).await.unwrap(), 0);
    bench.work_until_quiet(webhook.id, START).await;

    let received = bench.receiver.events();
    assert_eq!(received.len(), 4);
    let mut seqs = BTreeSet::new();
    for event in &received {
        assert!(event.is_signed_with(&secret));
        let payload: serde_json::Value = serde_json::from_str(&event.body).unwrap();
        assert_eq!(
            (payload["type"].as_str(), payload["id"].as_str()),
            (Some("run.finished"), Some(event.id.as_str()))
        );
        seqs.insert(payload["seq"].as_u64().unwrap());
    }
    assert_eq!(seqs, BTreeSet::from([1, 2, 3, 4]));
    let delivered = bench.deliveries(webhook.id, Some(DeliveryStatus::Delivered)).await;
    assert_eq!(delivered.len(), 4);
    assert_eq!(delivered[0].attempts[0].status, Some(204));
}

#[tokio::test]
async fn a_webhook_that_cannot_be_read_keeps_no_other_from_being_told() {
    let bench = Bench::new().await;
    let (newer, _) = bench.webhook(&bench.receiver.url("/newer")).await;
    bench.webhook(&bench.receiver.url("/ok")).await;
    let row = key::webhook(bench.tenant, newer.id);
    bench.store.write(Update::of(&row).set("events", ["run.of_a_newer_version"])).await.unwrap();
    assert_eq!(tell(&bench.store, bench.tenant, &[finished(0, START)], START).await.unwrap(), 1);
}

#[tokio::test]
async fn batches_that_are_told_at_the_same_time_leave_no_gap_and_no_delivery_without_a_job() {
    let bench = Bench::new().await;
    let (webhook, _) = bench.webhook(&bench.receiver.url("/ok")).await;
    let telling = (0..6).map(|batch| bench.finish(batch * 5..batch * 5 + 10, START));
    let working = async {
        while bench.receiver.received_at("/ok").len() < 35 {
            bench.work(webhook.id, Timestamp::now()).await;
            tokio::task::yield_now().await;
        }
    };
    let (told, ()) = tokio::join!(join_all(telling), working);
    assert_eq!(told.iter().sum::<usize>(), 35);
    let mut seqs: Vec<u64> = bench.deliveries(webhook.id, None).await.iter().map(|one| one.seq).collect();
    seqs.sort_unstable();
    assert_eq!(seqs, (1..=35).collect::<Vec<u64>>());
    bench.work_until_quiet(webhook.id, Timestamp::now()).await;
    assert_eq!(bench.queued().await, 0);
}

#[tokio::test]
async fn a_failing_receiver_gets_ten_attempts_in_three_days_and_the_delivery_can_be_asked_for_again() {
    let bench = Bench::new().await;
    let (webhook, secret) = bench.webhook(&bench.receiver.url("/switch")).await;
    bench.finish(0..1, START).await;
    let end = bench.work_until_quiet(webhook.id, START).await;
    assert!(end.since(START) > 3 * DAY && end.since(START) < 4 * DAY, "{end}");
    let [failed] = &bench.deliveries(webhook.id, Some(DeliveryStatus::Failed)).await[..] else {
        panic!("one delivery has failed")
    };
    assert_eq!(failed.attempts.len(), MAX_ATTEMPTS as usize);
    assert_eq!(failed.attempts[0].status, Some(502));
    assert!(bench.webhooks.get(bench.tenant, webhook.id).await.unwrap().failing_since.is_some());

    bench.receiver.recover();
    let again = bench.webhooks.redeliver(bench.tenant, webhook.id, failed.id, end).await.unwrap();
    assert_eq!(again.status, DeliveryStatus::Pending);
    let pending = bench.webhooks.redeliver(bench.tenant, webhook.id, failed.id, end).await;
    assert!(matches!(pending, Err(Error::Pending)), "{pending:?}");
    bench.work_until_quiet(webhook.id, end).await;
    assert!(bench.deliveries(webhook.id, Some(DeliveryStatus::Failed)).await.is_empty());
    let received = bench.receiver.received_at("/switch");
    assert_eq!(received.into_values().collect::<Vec<_>>(), [MAX_ATTEMPTS as usize + 1], "always the same id");
    assert!(bench.receiver.events().iter().all(|event| event.is_signed_with(&secret)));
    assert_eq!(bench.webhooks.get(bench.tenant, webhook.id).await.unwrap().failing_since, None);
}

#[tokio::test]
async fn a_failed_delivery_can_be_listed_for_thirty_days_after_its_failure() {
    let bench = Bench::new().await;
    let (webhook, _) = bench.webhook(&bench.receiver.url("/switch")).await;
    bench.finish(0..1, START).await;
    let first = bench.work_until_quiet(webhook.id, START).await;
    let [failed] = &bench.deliveries(webhook.id, Some(DeliveryStatus::Failed)).await[..] else {
        panic!("one delivery has failed")
    };
    let kept_until = async || {
        let delivery = key::webhook_delivery(bench.tenant, webhook.id, failed.id);
        let failure = key::webhook_failure(bench.tenant, webhook.id, failed.id);
        let mut ends = Vec::new();
        for key in [delivery, failure] {
            let row = bench.store.get_item(&key).await.unwrap().unwrap();
            ends.push(attribute_of::<i64>(&row, "expires_at").unwrap());
        }
        assert_eq!(ends[0], ends[1]);
        ends[0]
    };
    assert!(kept_until().await >= (first + 30 * DAY).seconds());
    // It is asked for again, and fails again after its event would have been forgotten.
    let asked = START + 29 * DAY;
    bench.webhooks.redeliver(bench.tenant, webhook.id, failed.id, asked).await.unwrap();
    let second = bench.work_until_quiet(webhook.id, asked).await;
    assert!(second > START + 30 * DAY, "{second}");
    assert!(kept_until().await >= (second + 30 * DAY).seconds());
}

#[tokio::test]
async fn a_receiver_that_asks_for_time_gets_it() {
    let bench = Bench::new().await;
    let (webhook, _) = bench.webhook(&bench.receiver.url("/asks")).await;
    bench.finish(0..1, START).await;
    let next = bench.work(webhook.id, START).await.unwrap();
    assert!(next.since(START) >= Duration::from_secs(3600), "{next}");
}

#[tokio::test]
async fn a_new_event_is_not_kept_waiting_by_an_attempt_that_is_due_later() {
    let bench = Bench::new().await;
    let (webhook, _) = bench.webhook(&bench.receiver.url("/flaky/1")).await;
    bench.finish(0..1, START).await;
    let next = bench.work(webhook.id, START).await.unwrap();
    assert!(next > START);
    bench.finish(1..2, START).await;
    let stored = bench.stored(webhook.id).await;
    let (turn, at) = bench.turn(&stored).unwrap();
    assert_eq!(at, START, "another job has the turn now");
    assert_eq!(turn.step(START, START + DAY).await.unwrap(), crate::turn::TurnStep::Next);
    assert_eq!(bench.receiver.received_at("/flaky/1").len(), 2);
}

#[tokio::test]
async fn a_receiver_that_is_gone_disables_its_webhook_and_nothing_is_lost() {
    let bench = Bench::new().await;
    let (webhook, _) = bench.webhook(&bench.receiver.url("/gone")).await;
    bench.finish(0..70, START).await;
    bench.work_until_quiet(webhook.id, START).await;
    let after = bench.webhooks.get(bench.tenant, webhook.id).await.unwrap();
    assert_eq!((after.enabled, after.disabled.map(|why| why.reason)), (false, Some(DisableReason::Gone)));
    assert_eq!(bench.deliveries(webhook.id, Some(DeliveryStatus::Failed)).await.len(), 70);
    assert_eq!(bench.queued().await, 0);
    assert_eq!(bench.finish(70..71, START).await, 0, "a disabled webhook is told nothing");
    let notices = notices(&bench).await;
    assert_eq!(notices.len(), 1, "one mail: {notices:?}");
    assert_eq!(notices[0]["recipient"]["user_id"], webhook.user_id.to_string());
    assert_eq!(notices[0]["subject"]["webhook_disabled"]["is_gone"], true);
    let refused = bench.webhooks.test(bench.tenant, webhook.id, START).await;
    assert!(matches!(refused, Err(Error::Disabled)), "{refused:?}");
}

#[tokio::test]
async fn a_webhook_is_disabled_after_five_days_in_which_every_delivery_failed() {
    let bench = Bench::new().await;
    let (webhook, _) = bench.webhook(&bench.receiver.url("/fails")).await;
    bench.finish(0..1, START).await;
    let end = bench.work_until_quiet(webhook.id, START).await;
    assert!(bench.webhooks.get(bench.tenant, webhook.id).await.unwrap().enabled, "three days are not enough");
    bench.finish(1..3, end).await;
    let end = bench.work_until_quiet(webhook.id, end).await;
    let after = bench.webhooks.get(bench.tenant, webhook.id).await.unwrap();
    assert_eq!((after.enabled, after.disabled.map(|why| why.reason)), (false, Some(DisableReason::Failing)));
    let told = notices(&bench).await;
    assert_eq!(told.len(), 1, "one mail: {told:?}");
    assert_eq!(told[0]["subject"]["webhook_disabled"]["is_gone"], false);
    let enable = WebhookChange { enabled: Some(true), ..WebhookChange::default() };
    let enabled = bench.webhooks.change(bench.tenant, webhook.id, enable, end).await.unwrap();
    assert_eq!((enabled.enabled, enabled.disabled, enabled.failing_since), (true, None, None));
}

/// The inputs of the jobs that send notices.
async fn notices(bench: &Bench) -> Vec<serde_json::Value> {
    let jobs: Vec<Job> = bench.store.every(key::jobs(TenantId::SYSTEM)).await.unwrap();
    jobs.into_iter().filter(|job| job.job_type == "send_notice").map(|job| job.input).collect()
}

#[tokio::test]
async fn the_replaced_secret_signs_for_a_day_beside_the_new_one() {
    let bench = Bench::new().await;
    let (webhook, old) = bench.webhook(&bench.receiver.url("/ok")).await;
    let (rotated, new) = bench.webhooks.rotate(bench.tenant, webhook.id, START).await.unwrap();
    assert_eq!(rotated.previous_secret_until, Some(START + ROTATION));
    bench.finish(0..1, START).await;
    bench.work_until_quiet(webhook.id, START).await;
    let later = START + ROTATION;
    bench.finish(1..2, later).await;
    bench.work_until_quiet(webhook.id, later).await;
    let received = bench.receiver.events();
    assert!(received[0].is_signed_with(&old) && received[0].is_signed_with(&new));
    assert!(!received[1].is_signed_with(&old) && received[1].is_signed_with(&new));
}
