//! The events that webhooks tell, as changed rows show them.
//!
//! A row can be delivered again, and an event has the same id each time: its cause is the run, the question, the artifact or
//! the failure itself.

use sequent_artifacts::Artifact;
use sequent_conversation::{Run, RunStatus};
use sequent_core::{TenantId, Timestamp};
use sequent_jobs::{Job, JobFailure, JobStatus};
use sequent_schedules::Schedule;
use sequent_tables::{Item, Key, attribute_of, decode, key};
use sequent_webhooks::{EventType, WebhookEvent, announced};
use serde_json::{Value, json};

/// Returns the event of a change of a row, and the tenant that it belongs to. Most changes have none.
pub(crate) fn of_change(old: Option<&Item>, new: &Item) -> Option<(TenantId, WebhookEvent)> {
    let key = Key::of_item(new)?;
    if let Some((tenant, _)) = key::parse_run(&key) {
        return Some((tenant, of_run(old, new)?));
    }
    if let Some((tenant, _)) = key::parse_job(&key) {
        return Some((tenant, of_job(old, new)?)).filter(|(tenant, _)| *tenant != TenantId::SYSTEM);
    }
    if let Some(tenant) = key::parse_artifact(&key) {
        return Some((tenant, of_artifact(old, new)?));
    }
    if let Some((tenant, _)) = key::parse_schedule(&key) {
        return Some((tenant, of_schedule(old, new)?));
    }
    announced(new).filter(|_| old.is_none())
}

/// The event of a run that was begun, ended, or interrupted by a question. Child runs have none: their parent tells.
fn of_run(old: Option<&Item>, new: &Item) -> Option<WebhookEvent> {
    let run: Run = decode(new.clone()).ok().filter(|run: &Run| run.parent_run_id.is_none())?;
    let before: Option<RunStatus> = old.and_then(|old| attribute_of(old, "status"));
    let event =
        |event_type, at, cause: String| Some(WebhookEvent::new(event_type, at, cause, run_data(&run)));
    let ended_at = run.completed_at.unwrap_or(run.created_at);
    match run.status {
        RunStatus::Success | RunStatus::Cancelled if !before.is_some_and(RunStatus::has_ended) => {
            event(EventType::RunFinished, ended_at, run.id.to_string())
        }
        RunStatus::Error if !before.is_some_and(RunStatus::has_ended) => {
            event(EventType::RunFailed, ended_at, run.id.to_string())
        }
        RunStatus::Interrupted if before != Some(RunStatus::Interrupted) => {
            // Each interruption asks at least one new question.
            let question = run.interrupts.last()?.id;
            event(EventType::RunInterrupted, question.created_at(), format!("{} {question}", run.id))
        }
        RunStatus::Running => {
            let was_started = old.and_then(|old| attribute_of::<Timestamp>(old, "started_at")).is_some();
            let at = run.started_at.filter(|_| !was_started)?;
            event(EventType::RunStarted, at, run.id.to_string())
        }
        _ => None,
    }
}

fn run_data(run: &Run) -> Value {
    let agent = run.options.agent.as_ref();
    json!({
        "run_id": run.id,
        "project_id": run.project_id,
        "user_id": run.user_id,
        "agent_id": agent.map(|agent| agent.id),
        "agent_version": agent.map(|agent| agent.version),
        "status": run.status,
        "error_code": run.error.as_ref().map(|error| &error.code),
        "questions": run.interrupts.iter().map(|question| question.id).collect::<Vec<_>>(),
    })
}

/// The event of a job that has failed for good. A job that was cancelled has none, and neither has one that serves the
/// deployment: its failure concerns the operator alone.
fn of_job(old: Option<&Item>, new: &Item) -> Option<WebhookEvent> {
    let before: Option<JobStatus> = old.and_then(|old| attribute_of(old, "status"));
    let job: Job = decode(new.clone()).ok()?;
    let error = job.error.as_ref().filter(|error| error.code != JobFailure::CANCELLED)?;
    let fails = job.status == JobStatus::Error && before != Some(JobStatus::Error);
    if !fails || job.internal {
        return None;
    }
    let data = json!({
        "job_id": job.id, "job_type": job.job_type, "run_id": job.run_id, "error_code": error.code,
    });
    let at = job.completed_at.unwrap_or(job.created_at);
    Some(WebhookEvent::new(EventType::JobFailed, at, format!("{} {}", job.id, job.redrives), data))
}

/// The event of a schedule that has missed due times since it was written before.
fn of_schedule(old: Option<&Item>, new: &Item) -> Option<WebhookEvent> {
    let before: Schedule = decode(old?.clone()).ok()?;
    let after: Schedule = decode(new.clone()).ok()?;
    let missed = after.counts.missed.checked_sub(before.counts.missed).filter(|missed| *missed > 0)?;
    let kept = after.last_missed.len();
    let due = &after.last_missed[kept.saturating_sub(usize::try_from(missed).unwrap_or(kept))..];
    let data = json!({ "schedule_id": after.id, "missed": missed, "due_at": due });
    let at = *due.last()?;
    Some(WebhookEvent::new(
        EventType::ScheduleMissed,
        at,
        format!("{} {}", after.id, after.counts.missed),
        data,
    ))
}

/// The event of an artifact that was stored.
fn of_artifact(old: Option<&Item>, new: &Item) -> Option<WebhookEvent> {
    let artifact: Artifact = decode(new.clone()).ok().filter(|_| old.is_none())?;
    let data = json!({
        "artifact_id": artifact.id,
        "entity_type": artifact.entity_type,
        "media_type": artifact.media_type,
        "size": artifact.size,
        "run_id": artifact.run_id,
        "job_id": artifact.job_id,
        "user_id": artifact.user_id,
    });
    Some(WebhookEvent::new(EventType::ArtifactCreated, artifact.created_at, artifact.id, data))
}
