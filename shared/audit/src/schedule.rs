//! Comparing a schedule with its position in the due index.

use std::time::Duration;

use sequent_core::{ScheduleId, TenantId, Timestamp};
use sequent_schedules::Schedule;
use sequent_tables::{due_at, key};

use crate::{
    Finding, FindingKind,
    auditor::{Error, Evidence},
};

/// Time by which a sweep postpones a schedule that it has sent to the queue, and somewhat more.
const POSTPONED: Duration = Duration::from_secs(300);

pub(crate) async fn findings(
    evidence: Evidence<'_>,
    tenant: TenantId,
    id: ScheduleId,
) -> Result<Vec<Finding>, Error> {
    let key = key::schedule(tenant, id);
    let Some(item) = evidence.store().get_item(&key).await? else { return Ok(Vec::new()) };
    let due = due_at(&item);
    let schedule: Schedule = sequent_tables::decode(item)?;
    let acts_at = schedule.acts_at();
    let found = match acts_at {
        Some(at) if due.is_some() && evidence.is_past_work(at) => {
            Some((FindingKind::ScheduleOverdue, format!("the schedule has been due since {at}")))
        }
        // A worker has had no time yet. The sweep has sent the schedule, perhaps again and again, and postponed it.
        Some(at) if due.is_some() && evidence.is_past_sweep(at) => None,
        acts_at if !is_found_in_time(acts_at, due) => {
            let reason = format!("the schedule is to act {}, and is due {}", shown(acts_at), shown(due));
            Some((FindingKind::ScheduleNotDue, reason))
        }
        _ => None,
    };
    Ok(found.into_iter().map(|(kind, reason)| Finding::new(kind, tenant, id, reason)).collect())
}

/// Returns `true` if the schedule is in the index from the time on at which it is to act, or shortly after: the sweep postpones
/// what it sends to the queue.
fn is_found_in_time(acts_at: Option<Timestamp>, due: Option<Timestamp>) -> bool {
    match (acts_at, due) {
        (Some(acts_at), Some(due)) => acts_at <= due && due <= acts_at + POSTPONED,
        (acts_at, due) => acts_at == due,
    }
}

fn shown(at: Option<Timestamp>) -> String {
    at.map_or_else(|| "never".to_owned(), |at| format!("at {at}"))
}
