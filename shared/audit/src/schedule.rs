//! Comparing a schedule with its position in the due index.

use sequent_core::{ScheduleId, TenantId, Timestamp};
use sequent_schedules::Schedule;
use sequent_tables::{due_at, key};

use crate::{
    Finding, FindingKind,
    auditor::{Error, Evidence},
};

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
    let found = match due {
        due if due != acts_at => {
            let reason = format!("the schedule is to act {}, and is due {}", shown(acts_at), shown(due));
            Some((FindingKind::ScheduleNotDue, reason))
        }
        Some(due) if evidence.is_past_work(due) => {
            Some((FindingKind::ScheduleOverdue, format!("the schedule has been due since {due}")))
        }
        _ => None,
    };
    Ok(found.into_iter().map(|(kind, reason)| Finding::new(kind, tenant, id, reason)).collect())
}

fn shown(at: Option<Timestamp>) -> String {
    at.map_or_else(|| "never".to_owned(), |at| format!("at {at}"))
}
