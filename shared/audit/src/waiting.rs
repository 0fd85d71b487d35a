//! Comparing the waiting runs of a project with the rows of the runs.

use sequent_conversation::{Run, RunStatus};
use sequent_core::{ProjectId, RunId, TenantId};
use sequent_tables::key;

use crate::{
    Finding, FindingKind,
    auditor::{Error, Evidence},
};

/// Checks that the run of a waiting row waits. The row is written and deleted in the transactions of the run.
pub(crate) async fn findings(
    evidence: Evidence<'_>,
    tenant: TenantId,
    project: ProjectId,
    depth: u32,
    run: RunId,
) -> Result<Vec<Finding>, Error> {
    let row = key::waiting_run(tenant, project, depth, run);
    if evidence.store().get_item(&row).await?.is_none() {
        return Ok(Vec::new());
    }
    let stored: Option<Run> = evidence.store().get(&key::run(tenant, run)).await?;
    let reason = match stored {
        None => "the run does not exist".to_owned(),
        Some(run) if run.status == RunStatus::Pending => return Ok(Vec::new()),
        Some(run) => format!("the run is {} and among the waiting runs of {project}", run.status.as_str()),
    };
    Ok(vec![Finding::new(FindingKind::WaitingInVain, tenant, run, reason)])
}

/// Returns `true` if the run is among the waiting runs of its project.
pub(crate) async fn is_waiting(evidence: Evidence<'_>, tenant: TenantId, run: &Run) -> Result<bool, Error> {
    let row = key::waiting_run(tenant, run.project_id, run.lineage.depth, run.id);
    Ok(evidence.store().get_item(&row).await?.is_some())
}
