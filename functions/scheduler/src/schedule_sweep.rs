//! The sweep over schedules that are due.

use std::time::Duration;

use futures::{StreamExt, stream};
use sequent_aws::queue::{Message, Sender};
use sequent_core::{Timestamp, pace::scaled};
use sequent_schedules::{Error, ScheduleDelivery, postpone};
use sequent_tables::{Due, DueIndex, Store};
use serde::Serialize;

use crate::{CONCURRENCY, RESEND_AFTER};

/// The sweep also finds the schedules that are due before the next sweep. Their messages are delayed until then, so that runs
/// start at their second and not a minute later.
const AHEAD: Duration = Duration::from_secs(60);

/// Sweeps the due index of schedules.
#[derive(Debug, Clone)]
pub struct ScheduleSweeper {
    store: Store,
    queue: Sender,
}

/// The result of one sweep.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct SweptSchedules {
    /// Schedules that were sent to the queue.
    pub sent: usize,
    /// Schedules that could not be postponed or sent. A later sweep finds them again.
    pub failed: usize,
}

impl ScheduleSweeper {
    /// Sweeps the schedules in `store`, and sends them to `queue`.
    #[must_use]
    pub fn new(store: Store, queue: Sender) -> Self {
        Self { store, queue }
    }

    /// Sends every schedule that is due at `now` or before the next sweep. The worker that receives the message finds out what
    /// is to be done.
    ///
    /// # Errors
    /// Returns an error if the index cannot be read. The schedules read before that are done.
    pub async fn sweep(&self, now: Timestamp) -> Result<SweptSchedules, Error> {
        let mut swept = SweptSchedules::default();
        let mut sweep = DueIndex::Schedules.sweep(&self.store, now + scaled(AHEAD));
        while let Some(page) = sweep.page().await? {
            self.sweep_page(page, now, &mut swept).await;
        }
        if swept != SweptSchedules::default() {
            tracing::info!(swept.sent, swept.failed, "swept schedules");
        }
        Ok(swept)
    }

    async fn sweep_page(&self, page: Vec<Due>, now: Timestamp, swept: &mut SweptSchedules) {
        // A schedule is postponed first, so that only one of two concurrent sweeps sends it. If this process is killed
        // before it sends the message, the schedule waits for one more interval.
        let postponed: Vec<_> = stream::iter(page)
            .map(|due| async move {
                let again = due.at().max(now) + scaled(RESEND_AFTER);
                (postpone(&self.store, &due, again).await, due)
            })
            .buffer_unordered(CONCURRENCY)
            .collect()
            .await;
        let mut messages = Vec::new();
        for (delivery, due) in postponed {
            match delivery {
                Ok(Some(delivery)) => messages.push(message(delivery, due.at().since(now))),
                Ok(None) => {}
                Err(error) => {
                    tracing::error!(schedule = due.key().sk(), %error, "could not postpone a due schedule; the next sweep retries");
                    swept.failed += 1;
                }
            }
        }
        let sent = match self.queue.send(&messages).await {
            Ok(()) => messages.len(),
            Err((sent, error)) => {
                tracing::error!(%error, "could not queue due schedules; a later sweep retries");
                sent
            }
        };
        swept.sent += sent;
        swept.failed += messages.len() - sent;
    }
}

fn message(delivery: ScheduleDelivery, delay: Duration) -> Message {
    Message { delay, ..Message::new(delivery.tenant_id, delivery.to_json()) }
}
