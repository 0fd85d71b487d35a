//! Thousands of deliveries to receivers that fail, hang, redirect to private addresses and answer late.
//!
//! Each event is received at least once or is in the list of failed deliveries, and nothing reaches a private address. Jobs are
//! killed in the middle of their work. Time is simulated: it jumps to the next attempt.

use std::{collections::BTreeSet, time::Duration};

use futures::future::join_all;
use sequent_core::{TenantId, Timestamp};
use tokio::time::timeout;

use super::bench::{Bench, START, finished};
use crate::{DeliveryStatus, Webhook, signature::SigningSecret, turn::TurnStep};

/// Deliveries of the test, and of `scripts/soak`.
const SHORT: usize = 70;
const SOAK: usize = 10_000;
/// Longer than the jitter of the longest pause, so that deliveries that failed together are due together.
const LEAP: Duration = Duration::from_secs(6 * 3600);
/// The longest time of an attempt. On a busy machine an answer may take longer: then the attempt is repeated like others.
const TIMEOUT: Duration = Duration::from_millis(400);
/// Events of one batch of the stream.
const BATCH: usize = 100;

/// The receivers, and the ends that are possible for their deliveries.
const RECEIVERS: [(&str, bool, bool); 7] = [
    ("/ok", true, false),
    ("/late", true, true),
    ("/flaky/3", true, false),
    ("/fails", false, true),
    ("/hangs", false, true),
    ("/redirects", false, true),
    ("rebinding", false, true),
];

fn size() -> usize {
    let is_soak = std::env::var("E2E_SCALE").is_ok_and(|scale| scale == "soak");
    if is_soak { SOAK } else { SHORT }
}

/// A tenant with one webhook.
struct Subscriber {
    bench: Bench,
    path: &'static str,
    webhook: Webhook,
    secret: SigningSecret,
    events: usize,
}

impl Subscriber {
    async fn new(deployment: &Bench, path: &'static str, events: usize) -> Self {
        let bench = deployment.for_tenant(TenantId::new());
        let url = match path {
            // A public name whose address is a private one by the time of the connection.
            "rebinding" => format!("https://rebinding.example:{}/ok", bench.private.address().port()),
            path => bench.receiver.url(path),
        };
        let (webhook, secret) = bench.webhook(&url).await;
        Self { bench, path, webhook, secret, events }
    }

    /// Tells all events, each batch twice, while jobs deliver and are killed. Then works until nothing is left to do.
    async fn live(&self) {
        let mut now = START;
        for first in (0..self.events).step_by(BATCH) {
            let batch = first..(first + BATCH).min(self.events);
            let (count, again) =
                (self.bench.finish(batch.clone(), now).await, self.bench.finish(batch.clone(), now).await);
            assert!(count <= batch.len() && again == 0, "{count} and {again} of {batch:?}");
            self.begin_and_be_killed(now).await;
            now = now + Duration::from_secs(1);
        }
        self.bench.work_in_leaps(self.webhook.id, now, LEAP).await;
    }

    /// Works for a moment. The next worker finds what the killed one has not recorded.
    async fn begin_and_be_killed(&self, now: Timestamp) {
        let stored = self.bench.stored(self.webhook.id).await;
        let Some((turn, at)) = self.bench.turn(&stored) else { return };
        let killed = Duration::from_millis(fastrand::u64(1..60));
        let until = now + Duration::from_secs(9);
        let working = async {
            while at <= now && turn.step(now, until).await.is_ok_and(|step| step == TurnStep::Next) {}
        };
        let _ = timeout(killed, working).await;
    }

    /// Checks the end of every delivery. Returns the numbers of delivered and failed ones.
    async fn check(&self) -> (usize, usize) {
        let id = self.webhook.id;
        let all = self.bench.deliveries(id, None).await;
        let failed = self.bench.deliveries(id, Some(DeliveryStatus::Failed)).await;
        let failed: BTreeSet<_> = failed.iter().map(|delivery| delivery.event_id).collect();
        let received = self.bench.receiver.received_at(self.path);
        let (_, may_succeed, may_fail) = RECEIVERS.into_iter().find(|(path, ..)| *path == self.path).unwrap();
        for event in (0..self.events).map(|run| finished(run, START)) {
            let delivery = all.iter().find(|delivery| delivery.event_id == event.id).unwrap();
            match delivery.status {
                DeliveryStatus::Delivered => {
                    assert!(may_succeed && received.contains_key(&event.id.to_string()), "{delivery:?}");
                }
                DeliveryStatus::Failed => {
                    assert!(may_fail && failed.contains(&event.id), "{}: {delivery:?}", self.path);
                }
                DeliveryStatus::Pending => panic!("{delivery:?} has not ended"),
            }
        }
        let mut seqs: Vec<u64> = all.iter().map(|delivery| delivery.seq).collect();
        seqs.sort_unstable();
        assert_eq!(seqs, (1..=self.events as u64).collect::<Vec<_>>());
        assert_eq!(self.bench.queued().await, 0);
        (self.events - failed.len(), failed.len())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_deliveries_each_is_received_or_in_the_list_of_failed_ones() {
    let deployment = Bench::with_timeout(TIMEOUT).await;
    let each = size() / RECEIVERS.len();
    let subscribers = RECEIVERS.map(|(path, ..)| Subscriber::new(&deployment, path, each));
    let subscribers = join_all(subscribers).await;
    let start = std::time::Instant::now();
    join_all(subscribers.iter().map(|subscriber| Box::pin(subscriber.live()))).await;
    let mut report = Vec::new();
    for subscriber in &subscribers {
        let (delivered, failed) = subscriber.check().await;
        report.push(format!("{}: {delivered} delivered, {failed} failed", subscriber.path));
    }
    let events = deployment.receiver.events();
    for event in &events {
        let mut all = subscribers.iter().filter(|subscriber| subscriber.path == event.path);
        assert!(all.any(|subscriber| event.is_signed_with(&subscriber.secret)), "{event:?}");
    }
    assert_eq!(deployment.private.connections(), 0, "nothing reaches a private address");
    eprintln!("{each} deliveries each, {} requests, {:?}: {report:#?}", events.len(), start.elapsed());
}
