//! The changes that a feed tells, as changed rows show them.

mod conversation;

use sequent_artifacts::Artifact;
use sequent_aws::RowChange;
use sequent_core::{AgentId, TenantId};
use sequent_feed::{Cause, Caused, FeedChange};
use sequent_jobs::{Job, JobStatus};
use sequent_schedules::Schedule;
use sequent_tables::{Key, attribute_of, decode, key};
use sequent_webhooks::{EventType, WebhookEvent, announced};
use std::collections::BTreeMap;

/// Returns the changes that a changed row shows, with their tenant. Most changes of rows show none.
pub(crate) fn of(change: &RowChange) -> Vec<(TenantId, Caused)> {
    let found = found(change).filter(|(tenant, _)| *tenant != TenantId::SYSTEM);
    let (tenant, all) = found.unwrap_or((TenantId::SYSTEM, Vec::new()));
    all.into_iter().map(|caused| (tenant, caused)).collect()
}

fn found(change: &RowChange) -> Option<(TenantId, Vec<Caused>)> {
    let key = Key::of_item(&change.new)?;
    if let Some((tenant, _)) = key::parse_run(&key) {
        return Some((tenant, conversation::of_run(change)));
    }
    if let Some((tenant, _)) = key::parse_project(&key) {
        return Some((tenant, conversation::of_project(change)));
    }
    if let Some(tenant) = key::parse_message_of(&key) {
        return Some((tenant, conversation::of_message(change, &key).into_iter().collect()));
    }
    if let Some((tenant, _)) = key::parse_job(&key) {
        return Some((tenant, of_job(change).into_iter().collect()));
    }
    if let Some(tenant) = key::parse_artifact(&key) {
        return Some((tenant, of_artifact(change).into_iter().collect()));
    }
    if let Some((tenant, _)) = key::parse_schedule(&key) {
        return Some((tenant, of_schedule(change).into_iter().collect()));
    }
    if let Some((tenant, agent)) = key::parse_agent(&key) {
        return Some((tenant, of_agent(change, agent)));
    }
    let (tenant, event) = announced(&change.new).filter(|_| change.old.is_none())?;
    let caused = of_event(&event);
    Some((tenant, caused.into_iter().collect()))
}

/// An event that no other row shows.
fn of_event(event: &WebhookEvent) -> Option<Caused> {
    let number = |name: &str| event.data[name].as_i64();
    let balance = number("balance").filter(|_| event.event_type == EventType::CreditsLow)?;
    let change = FeedChange::CreditsLow { balance, threshold: number("threshold") };
    Some(Caused { cause: Cause::of(event.id.to_string()), change })
}

/// A change that has no other name than the position of its record.
fn unnamed(change: &RowChange, id: &str, told: FeedChange) -> Caused {
    Caused { cause: Cause::of(format!("{id}:{}", change.sequence_number)), change: told }
}

/// The end of a job. Jobs that concern the operator alone have none.
fn of_job(change: &RowChange) -> Option<Caused> {
    let before: Option<JobStatus> = change.old.as_ref().and_then(|old| attribute_of(old, "status"));
    let job: Job = decode(change.new.clone()).ok()?;
    let ended = |status| matches!(status, JobStatus::Success | JobStatus::Error);
    let ends = ended(job.status) && !before.is_some_and(ended);
    if !ends || job.internal {
        return None;
    }
    let cause = Cause::of(format!("{}:{}", job.id, job.redrives));
    let change = FeedChange::JobEnded {
        job_id: job.id,
        job_type: job.job_type,
        status: job.status,
        error_code: job.error.filter(|_| job.status == JobStatus::Error).map(|error| error.code),
        run_id: job.run_id,
    };
    Some(Caused { cause, change })
}

fn of_artifact(change: &RowChange) -> Option<Caused> {
    let artifact: Artifact = decode(change.new.clone()).ok().filter(|_| change.old.is_none())?;
    let cause = Cause::of(artifact.id.to_string());
    let change = FeedChange::ArtifactCreated {
        artifact_id: artifact.id,
        entity_type: artifact.entity_type,
        media_type: artifact.media_type,
        size: artifact.size,
        run_id: artifact.run_id,
        user_id: artifact.user_id,
    };
    Some(Caused { cause, change })
}

fn of_schedule(change: &RowChange) -> Option<Caused> {
    let before: Schedule = decode(change.old.clone()?).ok()?;
    let after: Schedule = decode(change.new.clone()).ok()?;
    let missed = after.counts.missed.checked_sub(before.counts.missed).filter(|missed| *missed > 0)?;
    let cause = Cause::of(format!("{}:{}", after.id, after.counts.missed));
    let due_at = *after.last_missed.last()?;
    Some(Caused { cause, change: FeedChange::ScheduleMissed { schedule_id: after.id, missed, due_at } })
}

/// The labels of an agent that name another version than before.
fn of_agent(change: &RowChange, agent_id: AgentId) -> Vec<Caused> {
    type Labels = BTreeMap<String, u32>;
    let labels = |row| attribute_of::<Labels>(row, "labels").unwrap_or_default();
    let before = change.old.as_ref().map(labels).unwrap_or_default();
    let moved = labels(&change.new).into_iter().filter(|(label, version)| before.get(label) != Some(version));
    let published = moved.map(|(label, version)| {
        let id = format!("{agent_id}:{label}");
        unnamed(change, &id, FeedChange::AgentPublished { agent_id, label, version })
    });
    published.collect()
}
