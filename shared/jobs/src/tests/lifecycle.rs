//! Random orders of everything that workers, sweeps, people and clocks may do to one job. A worker may also continue
//! after another one has taken its job over.

use std::{sync::Arc, time::Duration};

use proptest::prelude::*;
use sequent_core::{TenantId, Timestamp};
use sequent_runlog::DynamoStorage;
use sequent_tables::{Store, Transaction, Update, key, testing};
use serde::Deserialize;

use crate::{
    Cancel, Done, End, EndedJob, Enqueued, Job, JobClaim, JobFailure, JobStatus, Jobs, NewJob, Redrive,
    Renewal, cancel, claim, end, enqueue,
    kinds::{HelloInput, HelloWorld},
    redrive, renew,
};

const LEASE: Duration = Duration::from_millis(1000);
const PAUSE: Duration = Duration::from_millis(700);
const WORKERS: usize = 3;

#[derive(Debug, Clone, Copy)]
enum Step {
    /// A worker receives the message.
    Claim(usize),
    Renew(usize),
    Complete(usize),
    /// Its attempt fails, and the next may begin after a pause.
    FailOnce(usize),
    Fail(usize),
    HandBack(usize),
    Cancel,
    Redrive,
    /// A second enqueuing with the same key.
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

/// The expected state of the row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Model {
    status: JobStatus,
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
    new: NewJob,
    now: i64,
    model: Model,
    /// The job as each worker claimed it. The worker may have lost it since.
    held: [Option<Job>; WORKERS],
}

impl World {
    async fn new() -> Self {
        let store = testing::store().await;
        let input = HelloInput { key: Some("one".into()), ..HelloInput::default() };
        let new = NewJob::of::<HelloWorld>(TenantId::new(), &input);
        let now = 1_800_000_000_000;
        let made = enqueue(&store, &new, Timestamp::from_millis(now)).await.unwrap();
        assert!(matches!(made, Enqueued::New(_)));
        let model = Model {
            status: JobStatus::Pending,
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

    /// Returns the job that a worker claimed, and `true` if it still has it.
    fn belief(&self, at: usize) -> Option<(Job, bool)> {
        let job = self.held[at].clone()?;
        let right = self.model.status == JobStatus::Running && self.model.attempt == job.attempt;
        Some((job, right))
    }

    async fn take(&mut self, step: Step) {
        let now = self.at();
        let id = self.new.id;
        let tenant = self.tenant;
        let store = self.store.clone();
        match step {
            Step::Wait(ms) => self.now += i64::from(ms),
            Step::Enqueue => {
                let input = HelloInput { key: Some("one".into()), ..HelloInput::default() };
                let again = NewJob::of::<HelloWorld>(tenant, &input);
                let existing = enqueue(&store, &again, now).await.unwrap();
                assert!(matches!(&existing, Enqueued::Existing(job) if job.id == id), "{existing:?}");
            }
            Step::Claim(worker) => {
                let claimed = claim(&store, tenant, id, now, LEASE).await.unwrap();
                let Model { status, lease_until, not_before, .. } = self.model;
                let free = match status {
                    JobStatus::Pending => not_before <= self.now,
                    JobStatus::Running => lease_until <= self.now,
                    JobStatus::Success | JobStatus::Error => false,
                };
                match claimed {
                    JobClaim::Won(job) if free => {
                        self.model.lost += u32::from(status == JobStatus::Running);
                        self.model.status = JobStatus::Running;
                        self.model.attempt += 1;
                        self.model.lease_until = self.now + 1000;
                        self.model.not_before = 0;
                        self.held[worker] = Some(*job);
                    }
                    JobClaim::Held => assert!(!free && status == JobStatus::Running),
                    JobClaim::NotYet(at) => assert!(!free && at.millis() == not_before),
                    JobClaim::Ended => assert!(matches!(status, JobStatus::Success | JobStatus::Error)),
                    other => panic!("{other:?} although {:?}", self.model),
                }
            }
            Step::Renew(worker) => {
                let Some((job, right)) = self.belief(worker) else { return };
                let renewal = Renewal { until: now + LEASE, progress: None, usage: job.usage };
                let renewed = renew(&store, tenant, &job, renewal).await.unwrap();
                assert_eq!(renewed, right);
                if right {
                    self.model.lease_until = self.now + 1000;
                }
            }
            Step::Complete(worker) => {
                let Some((job, right)) = self.belief(worker) else { return };
                let after = job.succeeded(&Done::text("done"), now);
                self.ends(&job, &after, right, self.effect()).await;
            }
            Step::Fail(worker) => {
                let Some((job, right)) = self.belief(worker) else { return };
                let after = job.failed(JobFailure::new("poison", "no"), now);
                self.ends(&job, &after, right, self.effect()).await;
            }
            Step::FailOnce(worker) => {
                let Some((job, right)) = self.belief(worker) else { return };
                let after = job.failed_once(JobFailure::new("failed", "not yet"), now + PAUSE);
                assert_eq!(store.write_if(job.update_to(tenant, &after, now)).await.unwrap(), right);
                if right {
                    self.model.failures += 1;
                    self.model.status = JobStatus::Pending;
                    self.model.not_before = self.now + 700;
                }
            }
            Step::HandBack(worker) => {
                let Some((job, right)) = self.belief(worker) else { return };
                let back = job.update_to(tenant, &job.waiting(None), now);
                assert_eq!(store.write_if(back).await.unwrap(), right);
                if right {
                    self.model.status = JobStatus::Pending;
                    self.model.not_before = 0;
                }
            }
            Step::Cancel => {
                let open = matches!(self.model.status, JobStatus::Pending | JobStatus::Running);
                let cancelled = cancel(&self.storage, tenant, id, "enough", now).await.unwrap();
                assert_eq!(matches!(cancelled, Cancel::Done(_)), open);
                if open {
                    self.model.status = JobStatus::Error;
                }
            }
            Step::Redrive => {
                let failed = self.model.status == JobStatus::Error;
                let driven = redrive(&store, tenant, id, now).await.unwrap();
                assert_eq!(matches!(driven, Redrive::Done(_)), failed);
                if failed {
                    self.model = Model {
                        status: JobStatus::Pending,
                        attempt: self.model.attempt,
                        failures: 0,
                        lost: 0,
                        redrives: self.model.redrives + 1,
                        lease_until: 0,
                        not_before: 0,
                    };
                }
            }
        }
    }

    /// A result with a write that must happen once.
    fn effect(&self) -> Done {
        let count = Update::of(&key::greeting(self.tenant, "effects")).add("greeted", 1);
        Done {
            writes: Some(Arc::new(move |transaction: Transaction| transaction.write(count.clone()))),
            ..Done::text("done")
        }
    }

    async fn ends(&mut self, before: &Job, after: &Job, right: bool, done: Done) {
        let done = if after.status == JobStatus::Success { done } else { Done::default() };
        let ending = EndedJob { tenant: self.tenant, before, after, done: &done };
        let ended = end(&self.storage, ending, self.at()).await.unwrap();
        // A worker that ends its job a second time in the same way succeeds, too.
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
        assert_eq!(job.lease_until.is_some(), status == JobStatus::Running);
        #[derive(Deserialize)]
        struct Effects {
            greeted: u32,
        }
        let effects: Option<Effects> = self.store.get(&key::greeting(self.tenant, "effects")).await.unwrap();
        let effects = effects.map_or(0, |effects| effects.greeted);
        assert_eq!(effects, u32::from(status == JobStatus::Success), "one success, one effect");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn the_row_follows_the_rules_in_any_order_of_events(steps in prop::collection::vec(step(), 1..60)) {
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
