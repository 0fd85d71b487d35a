//! Any order of what workers, sweepers, people and clocks may do to one job, those that were taken for dead included.

use std::{sync::Arc, time::Duration};

use aws_sdk_dynamodb::types::AttributeValue as Value;
use proptest::prelude::*;
use sequent_core::{TenantId, Timestamp};
use sequent_runlog::DynamoStorage;
use sequent_tables::{Change, Store, Transaction, key, testing};
use serde::Deserialize;

use crate::{
    Cancel, Claim, Done, End, Enqueued, Failure, Job, Jobs, New, Redrive, Status,
    attempt::write,
    cancel, claim, end, enqueue,
    kinds::{HelloInput, HelloWorld},
    redrive, renew,
};

const LEASE: Duration = Duration::from_millis(1000);
const PAUSE: Duration = Duration::from_millis(700);
const WORKERS: usize = 3;

#[derive(Debug, Clone, Copy)]
enum Step {
    /// A worker gets the message.
    Claim(usize),
    Renew(usize),
    Complete(usize),
    /// Its attempt fails, and the next may begin after a pause.
    FailOnce(usize),
    Fail(usize),
    HandBack(usize),
    Cancel,
    Redrive,
    /// The same key once more.
    Enqueue,
    Wait(u16),
}

fn step() -> impl Strategy<Value = Step> {
    let worker = || 0..WORKERS;
    prop_oneof![
        6 => worker().prop_map(Step::Claim),
        2 => worker().prop_map(Step::Renew),
        2 => worker().prop_map(Step::Complete),
        2 => worker().prop_map(Step::FailOnce),
        1 => worker().prop_map(Step::Fail),
        1 => worker().prop_map(Step::HandBack),
        1 => Just(Step::Cancel),
        2 => Just(Step::Redrive),
        1 => Just(Step::Enqueue),
        6 => (0..1500_u16).prop_map(Step::Wait),
    ]
}

/// What the row has to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Model {
    status: Status,
    attempt: u32,
    failures: u32,
    lost: u32,
    redrives: u32,
    lease_until: i64,
    not_before: i64,
}

struct World {
    store: Store,
    storage: DynamoStorage,
    tenant: TenantId,
    new: New,
    now: i64,
    model: Model,
    /// What each worker believes to work on, rightly or not.
    held: [Option<Job>; WORKERS],
}

impl World {
    async fn new() -> Self {
        let store = testing::store().await;
        let input = HelloInput { key: Some("one".into()), ..HelloInput::default() };
        let new = New::of::<HelloWorld>(TenantId::new(), &input);
        let now = 1_800_000_000_000;
        let made = enqueue(&store, &new, Timestamp::from_millis(now)).await.unwrap();
        assert!(matches!(made, Enqueued::New(_)));
        let model = Model {
            status: Status::Pending,
            attempt: 0,
            failures: 0,
            lost: 0,
            redrives: 0,
            lease_until: 0,
            not_before: 0,
        };
        let storage = DynamoStorage::new(store.clone());
        Self { store, storage, tenant: new.tenant, new, now, model, held: [const { None }; WORKERS] }
    }

    fn at(&self) -> Timestamp {
        Timestamp::from_millis(self.now)
    }

    /// What worker `at` believes in, and whether it is so.
    fn belief(&self, at: usize) -> Option<(Job, bool)> {
        let job = self.held[at].clone()?;
        let right = self.model.status == Status::Running && self.model.attempt == job.attempt;
        Some((job, right))
    }

    async fn take(&mut self, step: Step) {
        let (now, id, tenant) = (self.at(), self.new.id, self.tenant);
        let store = self.store.clone();
        match step {
            Step::Wait(ms) => self.now += i64::from(ms),
            Step::Enqueue => {
                let input = HelloInput { key: Some("one".into()), ..HelloInput::default() };
                let again = New::of::<HelloWorld>(tenant, &input);
                let existing = enqueue(&store, &again, now).await.unwrap();
                assert!(matches!(&existing, Enqueued::Existing(job) if job.id == id), "{existing:?}");
            }
            Step::Claim(worker) => {
                let claimed = claim(&store, tenant, id, now, LEASE).await.unwrap();
                let Model { status, lease_until, not_before, .. } = self.model;
                let free = match status {
                    Status::Pending => not_before <= self.now,
                    Status::Running => lease_until <= self.now,
                    Status::Success | Status::Error => false,
                };
                match claimed {
                    Claim::Won(job) if free => {
                        self.model.lost += u32::from(status == Status::Running);
                        self.model.status = Status::Running;
                        self.model.attempt += 1;
                        self.model.lease_until = self.now + 1000;
                        self.model.not_before = 0;
                        self.held[worker] = Some(*job);
                    }
                    Claim::Held => assert!(!free && status == Status::Running),
                    Claim::NotYet(at) => assert!(!free && at.millis() == not_before),
                    Claim::Ended => assert!(matches!(status, Status::Success | Status::Error)),
                    other => panic!("{other:?} although {:?}", self.model),
                }
            }
            Step::Renew(worker) => {
                let Some((job, right)) = self.belief(worker) else { return };
                let renewed = renew(&store, tenant, &job, now + LEASE, None).await.unwrap();
                assert_eq!(renewed, right);
                if right {
                    self.model.lease_until = self.now + 1000;
                }
            }
            Step::Complete(worker) => {
                let Some((job, right)) = self.belief(worker) else { return };
                let after = job.succeeded("done", Vec::new(), now);
                self.ends(&job, &after, right, self.effect()).await;
            }
            Step::Fail(worker) => {
                let Some((job, right)) = self.belief(worker) else { return };
                let after = job.failed(Failure::new("poison", "no"), now);
                self.ends(&job, &after, right, self.effect()).await;
            }
            Step::FailOnce(worker) => {
                let Some((job, right)) = self.belief(worker) else { return };
                let after = job.failed_once(Failure::new("failed", "not yet"), now + PAUSE);
                assert_eq!(write(&store, tenant, id, job.change_to(&after, now)).await.unwrap(), right);
                if right {
                    self.model.failures += 1;
                    self.model.status = Status::Pending;
                    self.model.not_before = self.now + 700;
                }
            }
            Step::HandBack(worker) => {
                let Some((job, right)) = self.belief(worker) else { return };
                let back = job.change_to(&job.waiting(None), now);
                assert_eq!(write(&store, tenant, id, back).await.unwrap(), right);
                if right {
                    self.model.status = Status::Pending;
                    self.model.not_before = 0;
                }
            }
            Step::Cancel => {
                let open = matches!(self.model.status, Status::Pending | Status::Running);
                let cancelled = cancel(&self.storage, tenant, id, "enough", now).await.unwrap();
                assert_eq!(matches!(cancelled, Cancel::Done(_)), open);
                if open {
                    self.model.status = Status::Error;
                }
            }
            Step::Redrive => {
                let failed = self.model.status == Status::Error;
                let driven = redrive(&store, tenant, id, now).await.unwrap();
                assert_eq!(matches!(driven, Redrive::Done(_)), failed);
                if failed {
                    let Model { attempt, redrives, .. } = self.model;
                    let redrives = redrives + 1;
                    let (failures, lost, lease_until, not_before) = (0, 0, 0, 0);
                    let status = Status::Pending;
                    self.model = Model { status, attempt, failures, lost, redrives, lease_until, not_before };
                }
            }
        }
    }

    /// A write that has to come with the end of the job, of whichever kind.
    fn effect(&self) -> Done {
        let (store, key) = (self.store.clone(), key::greeting(self.tenant, "effects"));
        let count = Change {
            update: "ADD greeted :one".to_owned(),
            values: vec![(":one", Value::N("1".to_owned()))],
            ..Change::default()
        };
        Done {
            writes: Some(Arc::new(move |writes: Transaction| writes.update(&store, &key, count.clone()))),
            ..Done::text("done")
        }
    }

    async fn ends(&mut self, before: &Job, after: &Job, right: bool, done: Done) {
        let done = if after.status == Status::Success { done } else { Done::default() };
        let ended = end(&self.storage, self.tenant, (before, after), &done, self.at()).await.unwrap();
        // Ending again what one has ended oneself, with the same end, is no news.
        let again = before.attempt == self.model.attempt && self.model.status == after.status;
        assert!((ended == End::Stored) == right || again, "{ended:?}, {right}, {:?}", self.model);
        if right {
            self.model.status = after.status;
        }
    }

    async fn check(&self) {
        let job = Jobs::new(&self.store, self.tenant).get(self.new.id).await.unwrap();
        let found = (job.status, job.attempt, job.failures, job.lost, job.redrives);
        let Model { status, attempt, failures, lost, redrives, .. } = self.model;
        assert_eq!(found, (status, attempt, failures, lost, redrives));
        assert_eq!(job.has_ended(), job.completed_at.is_some());
        assert_eq!(job.lease_until.is_some(), status == Status::Running);
        #[derive(Deserialize)]
        struct Effects {
            greeted: u32,
        }
        let effects: Option<Effects> = self.store.get(&key::greeting(self.tenant, "effects")).await.unwrap();
        let effects = effects.map_or(0, |effects| effects.greeted);
        assert_eq!(effects, u32::from(status == Status::Success), "one success, one effect");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn whatever_happens_the_row_is_what_the_rules_say(steps in prop::collection::vec(step(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut world = World::new().await;
            for step in steps {
                world.take(step).await;
                world.check().await;
            }
        });
    }
}
