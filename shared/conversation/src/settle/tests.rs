use sequent_billing::{Ledger, Markup, Plans, Quote, Terms};
use sequent_core::{MessageId, MicroCredits, MicroUsd};
use sequent_event::{Entry, Seq, Usage};
use sequent_jobs::{Delivery, Registry, Worked, Worker, enqueue};
use sequent_runlog::{Storage as _, WriterId};

use super::*;
use crate::{NewRun, testing::Conversation};

/// The usage of a model call that cost this much.
fn usage(cost: u64) -> Body {
    Body::UsageRecorded(Usage { cost_micro_usd: Some(MicroUsd(cost)), ..sequent_event::testing::usage() })
}

#[tokio::test]
async fn a_run_with_a_damaged_log_is_settled() {
    let conversation = Conversation::new().await;
    let storage = conversation.runs.storage();
    let tenant = conversation.tenant;
    let ledger = Ledger::new(storage.store().clone(), tenant);
    let terms = Terms {
        plans: Plans::from_json(r#"{"free": {"concurrent_runs": 10, "per_run": 9000}}"#).unwrap(),
        markup: Markup(100),
        usual_hold: MicroCredits(6000),
        welcome: MicroCredits(500_000),
        unverified_usd: None,
        metered: false,
    };
    let quote = Quote { model: None, fallbacks: &[], first_call: MicroUsd(1), budget: None };
    let reservation = ledger.reserve(&terms, quote, Timestamp::now()).await.unwrap();
    let new = NewRun { reservation: Some(Box::new(reservation)), ..conversation.asking() };
    let writer = conversation.begin(&new).await;
    writer.append(usage(700)).await.unwrap();
    writer.release().await.unwrap();

    let last = storage.tail(new.key()).await.unwrap().unwrap().last();
    let damage = Body::TextMessageEnd { message_id: MessageId::new() };
    let now = Timestamp::now();
    let segment = Segment {
        first: Seq(last.0 + 1),
        writer: WriterId("a faulty one".into()),
        batch: "b".into(),
        epoch: 1,
        at: now,
        entries: [damage, usage(30)].map(|body| Entry::new(now, body)).into(),
    };
    storage.append(new.key(), &[segment], &None).await.unwrap();

    let input = SettleInput { run_id: new.run, ended_at: now - PATIENCE };
    let job = NewJob::of::<SettleRun>(tenant, &input);
    enqueue(storage.store(), &job, now).await.unwrap();
    let worker = Worker::new(Registry::new().with(SettleRun), storage.clone(), Settings::default());
    let delivery = Delivery { tenant_id: tenant, job_id: job.id };
    assert_eq!(Box::pin(worker.work(delivery, None)).await.unwrap(), Worked::Success);
    let account = ledger.account(&terms).await.unwrap();
    assert_eq!((account.holds.len(), account.spent), (0, MicroCredits(730)));
}
