//! Comparing a project with the run that has its turn.

use sequent_conversation::{Project, Run};
use sequent_core::{ProjectId, RunId, TenantId};
use sequent_tables::key;

use crate::{
    Finding, FindingKind,
    auditor::{Error, Evidence},
};

pub(crate) async fn findings(
    evidence: Evidence<'_>,
    tenant: TenantId,
    id: ProjectId,
) -> Result<Vec<Finding>, Error> {
    let stored: Option<Project> = match evidence.store().get(&key::project(tenant, id)).await {
        Err(sequent_tables::Error::Malformed(error)) => {
            return Ok(vec![Finding::new(FindingKind::MalformedRow, tenant, id, error.to_string())]);
        }
        other => other?,
    };
    let Some(holder) = stored.and_then(|project| project.live_run_id) else { return Ok(Vec::new()) };
    let reason = held_in_vain(evidence, tenant, holder).await?;
    let finding = reason.map(|reason| Finding::new(FindingKind::TurnOfEndedRun, tenant, id, reason));
    Ok(finding.into_iter().collect())
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
