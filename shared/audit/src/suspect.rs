//! Choosing the rows that the audit looks at.

use sequent_conversation::RunStatus;
use sequent_core::{JobId, ProjectId, RunId, ScheduleId, TenantId, Timestamp, WebhookId};
use sequent_jobs::JobStatus;
use sequent_runlog::LogKey;
use sequent_tables::{
    Item, Key, attribute_of,
    attributes::{DELETING, LIVE_RUN_ID},
    due_at, key,
};

use crate::{Finding, FindingKind, Grace, account};

/// Something that the audit compares with what it depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Suspect {
    Run(LogKey),
    Project(TenantId, ProjectId),
    Waiting {
        tenant: TenantId,
        project: ProjectId,
        depth: u32,
        run: RunId,
    },
    Account(TenantId),
    Quota(TenantId),
    Job(TenantId, JobId),
    Schedule(TenantId, ScheduleId),
    /// An entry in the queue of a webhook.
    Delivery {
        tenant: TenantId,
        webhook: WebhookId,
        due: Timestamp,
        entry: Key,
    },
    Object(TenantId, Key),
}

impl Suspect {
    /// Returns the subject of a row. Returns `None` if the row is at rest, or of a kind that is never stuck.
    pub(crate) fn of(item: &Item, grace: Grace, now: Timestamp) -> Option<Self> {
        let key = Key::of_item(item)?;
        if let Some((tenant, run)) = key::parse_run(&key) {
            return is_run_active(item, grace, now).then_some(Self::Run(LogKey { tenant, run }));
        }
        if let Some((tenant, job)) = key::parse_job(&key) {
            return is_job_active(item).then_some(Self::Job(tenant, job));
        }
        if let Some((tenant, schedule)) = key::parse_schedule(&key) {
            let is_active = !item.contains_key("paused");
            return (is_active || due_at(item).is_some()).then_some(Self::Schedule(tenant, schedule));
        }
        if let Some((tenant, project)) = key::parse_project(&key) {
            let has_turn = attribute_of::<Option<String>>(item, LIVE_RUN_ID).flatten().is_some();
            let is_deleted = item.contains_key(DELETING);
            return (has_turn || is_deleted).then_some(Self::Project(tenant, project));
        }
        if let Some((tenant, project, depth, run)) = key::parse_waiting_run(&key) {
            return Some(Self::Waiting { tenant, project, depth, run });
        }
        if let Some(tenant) = key::parse_account(&key) {
            return Some(Self::Account(tenant));
        }
        if let Some(tenant) = key::parse_quota(&key) {
            return Some(Self::Quota(tenant));
        }
        if let Some((tenant, webhook, due)) = key::parse_queued_delivery(&key) {
            let is_late = due + grace.work < now;
            return is_late.then_some(Self::Delivery { tenant, webhook, due, entry: key });
        }
        let (tenant, _) = key::parse_object(&key)?;
        is_object_unreferenced(item).then_some(Self::Object(tenant, key))
    }

    /// The finding that the row, or one that it is compared with, is malformed.
    pub(crate) fn malformed(&self, reason: String) -> Finding {
        let kind = FindingKind::MalformedRow;
        match self {
            Self::Run(LogKey { tenant, run }) | Self::Waiting { tenant, run, .. } => {
                Finding::new(kind, *tenant, run, reason)
            }
            Self::Project(tenant, project) => Finding::new(kind, *tenant, project, reason),
            Self::Account(tenant) => Finding::new(kind, *tenant, account::SUBJECT, reason),
            Self::Quota(tenant) => Finding::new(kind, *tenant, "quota", reason),
            Self::Job(tenant, job) => Finding::new(kind, *tenant, job, reason),
            Self::Schedule(tenant, schedule) => Finding::new(kind, *tenant, schedule, reason),
            Self::Delivery { tenant, webhook, .. } => Finding::new(kind, *tenant, webhook, reason),
            Self::Object(tenant, key) => Finding::new(kind, *tenant, key.sk(), reason),
        }
    }
}

/// An ended run is at rest unless it is in an index, or ended so recently that its row and log are compared.
fn is_run_active(item: &Item, grace: Grace, now: Timestamp) -> bool {
    let has_ended = attribute_of::<RunStatus>(item, "status").is_some_and(RunStatus::has_ended);
    let ended_at = attribute_of::<Option<Timestamp>>(item, "completed_at").flatten();
    let is_recent = ended_at.is_none_or(|at| at + grace.ended > now);
    !has_ended || is_recent || due_at(item).is_some()
}

fn is_job_active(item: &Item) -> bool {
    is_job_live(item) || is_among_live_jobs(item)
}

/// Returns `true` if the job has not ended. Reads only the status, so that a malformed row keeps nothing else from being
/// compared: it has a finding of its own.
pub(crate) fn is_job_live(item: &Item) -> bool {
    !matches!(attribute_of(item, "status"), Some(JobStatus::Success | JobStatus::Error))
}

/// Returns `true` if the row is in the due index of live jobs.
pub(crate) fn is_among_live_jobs(item: &Item) -> bool {
    attribute_of::<String>(item, "gsi2pk").is_some_and(|shard| shard.starts_with("active-jobs#"))
}

fn is_object_unreferenced(item: &Item) -> bool {
    attribute_of::<u64>(item, "refs") == Some(0) || due_at(item).is_some()
}
