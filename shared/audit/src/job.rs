//! Comparing a job with its positions in the due indexes.

use sequent_core::{JobId, TenantId, Timestamp};
use sequent_jobs::{Job, JobStatus};
use sequent_tables::{Item, attribute_of, attributes::QUEUED_AT, decode, due_at, key};

use crate::{
    Finding, FindingKind,
    auditor::{Error, Evidence},
    suspect::{is_among_live_jobs, is_job_live},
};

pub(crate) async fn findings(
    evidence: Evidence<'_>,
    tenant: TenantId,
    id: JobId,
) -> Result<Vec<Finding>, Error> {
    let Some(item) = evidence.store().get_item(&key::job(tenant, id)).await? else { return Ok(Vec::new()) };
    let job: Job = decode(item.clone())?;
    let found = if job.has_ended() { ended(&item) } else { live(evidence, &job, &item) };
    Ok(found.into_iter().map(|(kind, reason)| Finding::new(kind, tenant, id, reason)).collect())
}

/// Returns `true` if the job exists and has not ended.
pub(crate) async fn is_live(evidence: Evidence<'_>, tenant: TenantId, id: JobId) -> Result<bool, Error> {
    let item = evidence.store().get_item(&key::job(tenant, id)).await?;
    Ok(item.is_some_and(|item| is_job_live(&item)))
}

fn ended(item: &Item) -> Option<(FindingKind, String)> {
    let reason = "the job has ended and is among the live jobs";
    is_among_live_jobs(item).then(|| (FindingKind::EndedJobDue, reason.to_owned()))
}

fn live(evidence: Evidence<'_>, job: &Job, item: &Item) -> Option<(FindingKind, String)> {
    let Some(due) = due_at(item).filter(|_| is_among_live_jobs(item)) else {
        return Some((FindingKind::JobNotDue, format!("the job is {:?} and in no due index", job.status)));
    };
    if evidence.is_past_sweep(due) {
        return Some((FindingKind::JobOverdue, format!("the job has been due since {due}")));
    }
    let (since, state) = match job.status {
        JobStatus::Running => (job.lease_until, "its lease ended"),
        _ => (Some(ready_at(job, item)), "it was ready for a worker"),
    };
    let since = since.filter(|at| evidence.is_past_work(*at))?;
    Some((FindingKind::JobStuck, format!("{state} at {since}, and no attempt has begun since")))
}

/// The time from which a pending job could be claimed.
fn ready_at(job: &Job, item: &Item) -> Timestamp {
    let queued = attribute_of::<i64>(item, QUEUED_AT).map_or(job.created_at, Timestamp::from_millis);
    job.not_before.map_or(queued, |at| at.max(queued))
}
