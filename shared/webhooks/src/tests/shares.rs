//! Receivers that hang take a bounded share of the workers, and nothing from other tenants.

use std::{collections::VecDeque, time::Duration};

use proptest::prelude::*;
use sequent_core::{JobId, TenantId, Timestamp};
use sequent_jobs::{Delivery, Jobs, Registry, Worked, Worker};
use sequent_runlog::{DynamoStorage, Settings};
use sequent_tables::testing;

use super::bench::{Bench, START};
use crate::{
    DeliveryStatus, WorkerShares,
    share::{DeliveryLease, Leases, release},
};

const WORKERS: usize = 20;
/// Seconds of the simulation.
const TIME: i64 = 600;

/// A job that delivers to a receiver that hangs, in the queue.
#[derive(Debug, Clone, Copy)]
struct Waiting {
    job: JobId,
    tenant: TenantId,
    is_failing: bool,
    ready: i64,
}

/// The workers of a deployment, one job each.
struct Simulation {
    shares: WorkerShares,
    leases: Leases,
    /// The jobs that deliver, with their ends.
    delivering: Vec<(Waiting, i64)>,
    queue: VecDeque<Waiting>,
}

impl Simulation {
    /// Two tenants with ten webhooks each. `evades` says that their receivers succeed now and then.
    fn new(tenants: [TenantId; 2], evades: bool) -> Self {
        let waiting = |tenant| Waiting { job: JobId::new(), tenant, is_failing: !evades, ready: 0 };
        let queue = tenants.into_iter().flat_map(|tenant| (0..10).map(move |_| waiting(tenant))).collect();
        let shares = WorkerShares::of(u32::try_from(WORKERS).unwrap());
        Self { shares, leases: Leases::default(), delivering: Vec::new(), queue }
    }

    fn try_lease(&mut self, job: JobId, tenant: TenantId, is_failing: bool, now: i64) -> bool {
        let until = Timestamp::from_millis((now + 180) * 1000);
        let lease = DeliveryLease { tenant, is_failing, until };
        let after = self.leases.with(self.shares, job, lease, Timestamp::from_millis(now * 1000));
        let is_taken = after.is_some();
        self.leases = after.unwrap_or_else(|| self.leases.clone());
        is_taken
    }

    /// Lets every free worker take what is ready. Some of the workers are killed: their leases run out.
    fn second(&mut self, now: i64, random: &mut impl FnMut(i64) -> i64) {
        for (job, end) in std::mem::take(&mut self.delivering) {
            let is_killed = random(50) == 0;
            if end > now && !is_killed {
                self.delivering.push((job, end));
                continue;
            }
            // A killed job comes back under its own id, and one that has ended as another job.
            let id = if is_killed { job.job } else { JobId::new() };
            if !is_killed {
                self.leases.release_for_test(job.job);
            }
            self.queue.push_back(Waiting { job: id, ready: now + random(3), ..job });
        }
        for _ in 0..self.queue.len() {
            let job = self.queue.pop_front().unwrap();
            if job.ready > now || self.delivering.len() == WORKERS {
                self.queue.push_back(job);
            } else if self.try_lease(job.job, job.tenant, job.is_failing, now) {
                self.delivering.push((job, now + 1 + random(60)));
            } else {
                self.queue.push_back(Waiting { ready: now + 1 + random(16), ..job });
            }
        }
    }

    fn delivering_of(&self, tenant: TenantId) -> usize {
        self.delivering.iter().filter(|(job, _)| job.tenant == tenant).count()
    }
}

proptest! {
    #[test]
    fn ten_hanging_receivers_of_each_of_two_tenants_leave_workers_and_leases_to_a_third(seed: u64, evades: bool) {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut random = |below: i64| random.i64(0..below);
        let tenants = [TenantId::new(), TenantId::new()];
        let mut simulation = Simulation::new(tenants, evades);
        for now in 0..TIME {
            simulation.second(now, &mut random);
            let delivering = simulation.delivering.len();
            prop_assert!(delivering <= WORKERS / 3, "{delivering} workers deliver at {now} s");
            prop_assert!(evades || delivering <= WORKERS / 6, "{delivering} deliver to failing receivers");
            prop_assert!(tenants.iter().all(|tenant| simulation.delivering_of(*tenant) <= 2));
            // A third tenant delivers at once, whatever the others do.
            let third = JobId::new();
            prop_assert!(simulation.try_lease(third, TenantId::new(), false, now), "no lease at {now} s");
            simulation.leases.release_for_test(third);
        }
    }
}

#[tokio::test]
async fn of_jobs_that_begin_together_a_tenant_gets_two_leases_and_they_come_back() {
    let store = testing::store().await;
    let shares = WorkerShares::of(20);
    let hanging = TenantId::new();
    let other = TenantId::new();
    let later = START + Duration::from_secs(180);
    let lease = |tenant| DeliveryLease { tenant, is_failing: false, until: later };
    let jobs: Vec<JobId> = (0..10).map(|_| JobId::new()).collect();
    let mut taken = Vec::new();
    for job in &jobs {
        if shares.take(&store, *job, lease(hanging), START).await.unwrap() {
            taken.push(*job);
        }
    }
    assert_eq!(taken, jobs[..2]);
    assert!(shares.take(&store, JobId::new(), lease(other), START).await.unwrap());
    assert!(shares.take(&store, taken[0], lease(hanging), START).await.unwrap(), "its process was killed");
    release(&store, taken[0]).await;
    assert!(shares.take(&store, jobs[5], lease(hanging), START).await.unwrap());
    assert!(!shares.take(&store, jobs[6], lease(hanging), START).await.unwrap());
    assert!(shares.take(&store, jobs[6], lease(hanging), later).await.unwrap(), "leases run out");
}

#[tokio::test]
async fn failing_webhooks_leave_half_of_the_leases_to_the_others() {
    let store = testing::store().await;
    let shares = WorkerShares::of(20);
    let take = async |is_failing| {
        let until = START + Duration::from_secs(180);
        let lease = DeliveryLease { tenant: TenantId::new(), is_failing, until };
        shares.take(&store, JobId::new(), lease, START).await.unwrap()
    };
    for expected in [true, true, true, false] {
        assert_eq!(take(true).await, expected);
    }
    for expected in [true, true, true, false] {
        assert_eq!(take(false).await, expected);
    }
}

#[tokio::test]
async fn a_job_without_a_lease_keeps_no_worker_and_delivers_later() {
    let bench = Bench::new().await;
    let (webhook, _) = bench.webhook(&bench.receiver.url("/ok")).await;
    bench.finish(0..1, Timestamp::now()).await;
    let job = bench.stored(webhook.id).await.turn.unwrap().job;
    // The tenant delivers for two other webhooks.
    let others = [JobId::new(), JobId::new()];
    for other in others {
        let until = Timestamp::now() + Duration::from_secs(180);
        let lease = DeliveryLease { tenant: bench.tenant, is_failing: false, until };
        assert!(WorkerShares::default().take(&bench.store, other, lease, Timestamp::now()).await.unwrap());
    }
    let storage = DynamoStorage::new(bench.store.clone());
    let registry = Registry::new().with(bench.deliverer.clone());
    let worker = Worker::new(registry, storage, Settings::default());
    let delivery = Delivery { tenant_id: bench.tenant, job_id: job };
    assert_eq!(worker.work(delivery, None).await.unwrap(), Worked::HandedBack);
    let waiting = Jobs::new(&bench.store, bench.tenant).get(job).await.unwrap();
    assert_eq!((waiting.failures, waiting.not_before.is_some()), (0, true), "{waiting:?}");
    assert!(bench.receiver.events().is_empty());
    release(&bench.store, others[0]).await;
    // The worker waits for the rest of a short pause.
    while worker.work(delivery, None).await.unwrap() != Worked::Success {}
    assert_eq!(bench.deliveries(webhook.id, Some(DeliveryStatus::Delivered)).await.len(), 1);
    let third =
        DeliveryLease { tenant: bench.tenant, is_failing: false, until: Timestamp::from_millis(i64::MAX) };
    let is_free = WorkerShares::default().take(&bench.store, JobId::new(), third, Timestamp::now()).await;
    assert!(is_free.unwrap(), "the job has released its lease");
}

#[tokio::test]
async fn a_receiver_that_hangs_ends_its_slice() {
    let bench = Bench::with_timeout(Duration::from_millis(50)).await;
    let (webhook, _) = bench.webhook(&bench.receiver.url("/hangs")).await;
    bench.finish(0..40, START).await;
    let stored = bench.stored(webhook.id).await;
    let (turn, _) = bench.turn(&stored).unwrap();
    let never = Timestamp::from_millis(i64::MAX);
    let attempted = async || {
        let all = bench.deliveries(webhook.id, None).await;
        all.iter().filter(|delivery| !delivery.attempts.is_empty()).count()
    };
    assert_eq!(turn.step(START, never).await.unwrap(), crate::turn::TurnStep::Slow);
    assert_eq!(attempted().await, 30);
    assert_eq!(turn.step(START, never).await.unwrap(), crate::turn::TurnStep::Slow);
    assert_eq!(attempted().await, 40, "a failing webhook gets one round of requests");
}
