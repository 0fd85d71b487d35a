//! A run that leaves few credits announces it once after each grant.

use sequent_billing::{Cause, Credits, Ledger, Markup, Payer, Plans, PricedRequest, Terms, hold};
use sequent_core::{MicroCredits, MicroUsd, ProjectId, RunId, TenantId, Timestamp, UserId};
use sequent_jobs::{Delivery, Job, Registry, Worked, Worker};
use sequent_model::price::Table;
use sequent_runlog::{DynamoStorage, Settings};
use sequent_tables::{Item, Key, Retry, Store, Transaction, key, testing};

use crate::{CompareCredits, EventType, WebhookEvent, announced};

/// A tenant that pays for runs. The threshold is a tenth of a grant of 1,000,000.
struct Payments {
    store: Store,
    tenant: TenantId,
    credits: Credits,
}

impl Payments {
    async fn new() -> Self {
        let store = testing::store().await;
        let tenant = TenantId::new();
        let terms = Terms {
            plans: Plans::default(),
            markup: Markup(100),
            usual_hold: MicroCredits(50_000),
            welcome: MicroCredits(1_000_000),
            unverified_usd: None,
            metered: false,
        };
        let credits = Credits::new(store.clone(), Some(terms), Table::default());
        Self { store, tenant, credits }
    }

    fn ledger(&self) -> Ledger {
        self.credits.ledger(self.tenant)
    }

    async fn available(&self) -> MicroCredits {
        self.ledger().account(self.credits.terms().unwrap()).await.unwrap().available
    }

    /// Runs once within a budget, at this cost.
    async fn run(&self, budget: u64, cost: u64) {
        let request =
            PricedRequest { model: None, fallbacks: &[], bytes: 10, budget: Some(MicroUsd(budget)) };
        let reservation = self.credits.reserve(self.tenant, request).await.unwrap().unwrap();
        let run = RunId::new();
        let held = reservation.update(self.tenant, run, Timestamp::now());
        self.store.write(held).await.unwrap();
        let payer = Payer { tenant: self.tenant, run, user: UserId::new(), project: ProjectId::new() };
        let writes = hold::settle(&reservation.hold, payer, MicroUsd(cost), Timestamp::now());
        let settlement = writes.into_iter().fold(Transaction::new(), Transaction::write);
        self.store.commit(settlement, Retry::CONTENDED).await.unwrap();
    }

    /// Works on the jobs that compare. Returns their number.
    async fn work(&self) -> usize {
        let jobs: Vec<Job> = self.store.every(key::jobs(self.tenant)).await.unwrap();
        let storage = DynamoStorage::new(self.store.clone());
        let worker = Worker::new(Registry::new().with(CompareCredits), storage, Settings::default());
        let waiting: Vec<&Job> = jobs.iter().filter(|job| !job.has_ended()).collect();
        for job in &waiting {
            assert!(job.internal, "{job:?}");
            let delivery = Delivery { tenant_id: self.tenant, job_id: job.id };
            for expected in [Worked::Success, Worked::Nothing] {
                assert_eq!(Box::pin(worker.work(delivery, None)).await.unwrap(), expected);
            }
        }
        waiting.len()
    }

    async fn events(&self) -> Vec<WebhookEvent> {
        let rows: Vec<Item> = testing::all_rows(&self.store).await;
        let is_event =
            |row: &Item| Key::of_item(row).is_some_and(|key| key.pk().ends_with("#webhook-events"));
        rows.iter().filter(|row| is_event(row)).map(|row| announced(row).unwrap().1).collect()
    }
}

#[tokio::test]
async fn the_charge_that_crosses_the_threshold_is_announced_once_after_each_grant() {
    let payments = Payments::new().await;
    payments.run(700_000, 700_000).await;
    assert_eq!(payments.work().await, 0, "a tenant with enough credits has no such job");
    // The hold leaves less than the threshold, and the charge does not.
    payments.run(250_000, 1).await;
    assert_eq!(payments.work().await, 1);
    assert!(payments.events().await.is_empty());
    payments.run(205_000, 205_000).await;
    payments.work().await;
    let [low] = &payments.events().await[..] else { panic!("{:?}", payments.events().await) };
    assert_eq!(low.event_type, EventType::CreditsLow);
    assert_eq!(low.data["balance"], payments.available().await.0);
    assert_eq!(low.data["threshold"], 100_000);
    // Further runs below the threshold announce nothing.
    payments.run(10, 10).await;
    payments.work().await;
    assert_eq!(payments.events().await.len(), 1);

    let cause = Cause::Admin { key: "1".to_owned(), reason: "a gift".to_owned() };
    payments.ledger().grant(cause, MicroCredits(500_000), None).await.unwrap();
    payments.run(10, 10).await;
    payments.work().await;
    assert_eq!(payments.events().await.len(), 1, "there are enough credits again");
    payments.run(550_000, 550_000).await;
    payments.work().await;
    assert_eq!(payments.events().await.len(), 2);
}

#[tokio::test]
async fn runs_that_end_together_and_jobs_that_are_retried_announce_once() {
    let payments = Payments::new().await;
    payments.run(920_000, 920_000).await;
    payments.run(1, 1).await;
    payments.run(2, 2).await;
    assert_eq!(payments.work().await, 3);
    assert_eq!(payments.events().await.len(), 1);
}
