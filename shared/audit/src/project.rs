//! Comparing a project with the run that has its turn.

use sequent_conversation::{Deletion, Project, Run};
use sequent_core::{JobId, ProjectId, RunId, TenantId};
use sequent_tables::key;
use serde::Deserialize;

use crate::{
    Finding, FindingKind,
    auditor::{Error, Evidence},
    job,
};

pub(crate) async fn findings(
    evidence: Evidence<'_>,
    tenant: TenantId,
    id: ProjectId,
) -> Result<Vec<Finding>, Error> {
    let stored: Option<Project> = evidence.store().get(&key::project(tenant, id)).await?;
    let Some(project) = stored else { return Ok(Vec::new()) };
    let held = match project.live_run_id {
        Some(holder) => held_in_vain(evidence, tenant, holder).await?,
        None => None,
    };
    let held = held.map(|reason| Finding::new(FindingKind::TurnOfEndedRun, tenant, id, reason));
    let is_stuck = project.deleting && !is_being_deleted(evidence, tenant, id).await?;
    let reason = "the project is marked as being deleted, and no live job deletes it";
    let deletion = is_stuck.then(|| Finding::new(FindingKind::DeletionStuck, tenant, id, reason));
    Ok(held.into_iter().chain(deletion).collect())
}

/// Returns `true` if the job that deletes the project has not ended.
async fn is_being_deleted(evidence: Evidence<'_>, tenant: TenantId, id: ProjectId) -> Result<bool, Error> {
    /// The row that claims the key of the job.
    #[derive(Deserialize)]
    struct JobClaimed {
        job_id: JobId,
    }
    let deletion = Deletion { project_id: id };
    let claim = key::job_key(tenant, Deletion::TYPE, &deletion.key());
    let Some(claim) = evidence.store().get::<JobClaimed>(&claim).await? else { return Ok(false) };
    job::is_live(evidence, tenant, claim.job_id).await
}

/// Returns the reason why the run will never release a turn or a hold: it has ended, or it does not exist.
pub(crate) async fn held_in_vain(
    evidence: Evidence<'_>,
    tenant: TenantId,
    holder: RunId,
) -> Result<Option<String>, Error> {
    let run: Option<Run> = match evidence.store().get(&key::run(tenant, holder)).await {
        // The finding about the run's own row explains it.
        Err(sequent_tables::Error::Malformed(_)) => return Ok(None),
        other => other?,
    };
    Ok(match run {
        None => Some(format!("{holder} does not exist")),
        Some(run) if run.has_ended() => {
            let ended_at = run.completed_at.unwrap_or(run.created_at);
            evidence.is_past_sweep(ended_at).then(|| format!("{holder} ended at {ended_at}"))
        }
        Some(_) => None,
    })
}
