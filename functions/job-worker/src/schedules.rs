//! The messages about schedules that are due.

use std::time::Duration;

use futures::future::BoxFuture;
use sequent_core::Timestamp;
use sequent_jobs::MessageHandler;
use sequent_schedules::{Launcher, ScheduleDelivery, ScheduleWorked, ScheduleWorker};
use tokio::time::sleep;

/// A message that is received this little too early is waited for: SQS delays in whole seconds, and of another clock.
const EARLY: Duration = Duration::from_secs(2);

/// Starts the runs of schedules that are due.
#[derive(Debug, Clone)]
pub struct DueSchedules<L>(pub ScheduleWorker<L>);

impl<L: Launcher + Clone + std::fmt::Debug + 'static> MessageHandler for DueSchedules<L> {
    fn handle(
        &self,
        text: &str,
    ) -> Option<BoxFuture<'static, Result<(), Box<dyn std::error::Error + Send + Sync>>>> {
        let ScheduleDelivery { tenant_id, schedule_id } = ScheduleDelivery::from_json(text)?;
        let worker = self.0.clone();
        Some(Box::pin(async move {
            loop {
                let now = Timestamp::now();
                match Box::pin(worker.work(tenant_id, schedule_id, now)).await? {
                    ScheduleWorked::NotYet(at) if at.since(now) <= EARLY => sleep(at.since(now)).await,
                    // A sweep delivers what is left.
                    ScheduleWorked::NotYet(_) | ScheduleWorked::Nothing | ScheduleWorked::Unfinished => {
                        return Ok(());
                    }
                }
            }
        }))
    }
}
