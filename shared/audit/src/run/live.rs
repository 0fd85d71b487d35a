//! The ways in which a run that has not ended can be stuck.

use futures::future::try_join_all;
use sequent_conversation::{Project, Run, RunStatus};
use sequent_core::Timestamp;
use sequent_event::{Event, State};
use sequent_runlog::{Segment, read_all};
use sequent_tables::key;

use super::{LogEnd, Observation, RunRow};
use crate::{
    FindingKind,
    auditor::{Error, Evidence},
    job,
    waiting::is_waiting,
};

/// Returns what is wrong with a live run. `quiet_since` is the time of the last write to its log.
pub(super) async fn observations(
    evidence: Evidence<'_>,
    row: &RunRow,
    end: LogEnd,
    quiet_since: Timestamp,
) -> Result<Vec<Observation>, Error> {
    let mut found: Vec<Observation> =
        due(evidence, row).into_iter().chain(questions(evidence, row, quiet_since)).collect();
    found.extend(parent(evidence, row).await?);
    found.extend(turn(evidence, row).await?);
    if matches!(end, LogEnd::Open) {
        found.extend(quiet(evidence, row, quiet_since).await?);
    }
    Ok(found)
}

/// Checks the entry in the due index. A run whose questions never expire needs none.
fn due(evidence: Evidence<'_>, row: &RunRow) -> Option<Observation> {
    let status = row.run.status.as_str();
    let waits_for_ever =
        row.waits_for_answers() && row.run.interrupts.iter().all(|question| question.expires_at.is_none());
    match row.due {
        None if waits_for_ever => None,
        None => Some((FindingKind::RunNotDue, format!("the run is {status} and in no due index"))),
        // A released lease is due at time 0: the next sweep takes it first.
        Some(due) if due.millis() == 0 => None,
        Some(due) => {
            let reason = || format!("the run is {status} and has been due since {due}");
            evidence.is_past_sweep(due).then(|| (FindingKind::RunOverdue, reason()))
        }
    }
}

fn questions(evidence: Evidence<'_>, row: &RunRow, quiet_since: Timestamp) -> Option<Observation> {
    if row.run.status != RunStatus::Interrupted {
        return None;
    }
    let kind = FindingKind::RunWaitsForNothing;
    if !row.waits_for_answers() {
        let reason =
            || format!("all questions have been answered since {quiet_since}, and no worker continues");
        return evidence.is_past_work(quiet_since).then(|| (kind, reason()));
    }
    let expiries: Option<Vec<Timestamp>> =
        row.run.interrupts.iter().map(|question| question.expires_at).collect();
    let last = expiries?.into_iter().max()?;
    evidence.is_past_sweep(last).then(|| (kind, format!("the last question expired at {last}")))
}

async fn parent(evidence: Evidence<'_>, row: &RunRow) -> Result<Option<Observation>, Error> {
    let Some(parent) = row.run.parent_run_id else { return Ok(None) };
    let stored: Option<Run> = evidence.store().get(&key::run(row.key.tenant, parent)).await?;
    let kind = FindingKind::ChildOutlivesParent;
    Ok(match stored {
        None => Some((kind, format!("its parent {parent} does not exist"))),
        Some(parent) => {
            let ended_at = parent.completed_at.filter(|at| parent.has_ended() && evidence.is_past_sweep(*at));
            ended_at.map(|at| (kind, format!("its parent {} ended at {at}", parent.id)))
        }
    })
}

/// Checks the turn of the project. A child answers in no project and needs none.
async fn turn(evidence: Evidence<'_>, row: &RunRow) -> Result<Option<Observation>, Error> {
    let run = &row.run;
    let project: Option<Project> =
        evidence.store().get(&key::project(row.key.tenant, run.project_id)).await?;
    let holder = project.as_ref().and_then(|project| project.live_run_id);
    let may_begin = run.parent_run_id.is_some() || holder.is_none_or(|holder| holder == run.id);
    if run.status == RunStatus::Pending {
        // The release of the turn by another run changes the project, too.
        let since = project.map_or(run.created_at, |project| project.updated_at.max(run.created_at));
        let is_child = run.parent_run_id.is_some();
        let is_next = is_child || holder == Some(run.id);
        if !is_next && !is_waiting(evidence, row.key.tenant, run).await? {
            let reason = format!("it is not among the waiting runs of {}", run.project_id);
            return Ok(Some((FindingKind::WaitingInVain, reason)));
        }
        let is_stuck = may_begin && evidence.is_past_work(since);
        let reason = || format!("it could have been claimed since {since}, and no worker has");
        return Ok(is_stuck.then(|| (FindingKind::RunNotWoken, reason())));
    }
    let has_turn = run.parent_run_id.is_some() || holder == Some(run.id);
    let reason = || match (&project, holder) {
        (None, _) => format!("its project {} does not exist", run.project_id),
        (_, Some(other)) => format!("{other} has the turn of {}", run.project_id),
        (_, None) => format!("no run has the turn of {}", run.project_id),
    };
    Ok((!has_turn).then(|| (FindingKind::RunWithoutTurn, reason())))
}

/// Checks that a run without a live owner, which has written nothing for long, waits for a child or a job.
async fn quiet(
    evidence: Evidence<'_>,
    row: &RunRow,
    quiet_since: Timestamp,
) -> Result<Option<Observation>, Error> {
    let has_owner = row.lease_until.is_some_and(|until| !evidence.is_past_work(until));
    // Pending and answered runs have findings of their own.
    if row.run.status != RunStatus::Running || has_owner || !evidence.is_past_work(quiet_since) {
        return Ok(None);
    }
    if waits_for_others(evidence, row).await? {
        return Ok(None);
    }
    let reason =
        format!("it has no live owner, waits for nothing, and has written nothing since {quiet_since}");
    Ok(Some((FindingKind::RunQuiet, reason)))
}

/// Returns `true` if a child or a job that the log waits for is live.
async fn waits_for_others(evidence: Evidence<'_>, row: &RunRow) -> Result<bool, Error> {
    let segments = read_all(evidence.storage, row.key).await?;
    let events: Vec<Event> = segments.iter().flat_map(Segment::events).collect();
    // A log that cannot be folded keeps its run from ever ending.
    let Ok(state) = State::of(&events) else { return Ok(false) };
    let tenant = row.key.tenant;
    let children = state.live_children().map(|child| async move {
        let run: Option<Run> = evidence.store().get(&key::run(tenant, child.run)).await?;
        Ok::<bool, Error>(run.is_some_and(|run| !run.has_ended()))
    });
    let jobs = state.open_jobs().map(|job| job::is_live(evidence, tenant, job.job_id));
    let children = try_join_all(children).await?;
    let jobs = try_join_all(jobs).await?;
    Ok(children.into_iter().chain(jobs).any(|is_live| is_live))
}
