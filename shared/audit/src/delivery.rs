//! Comparing a queued delivery with the job that is to send it.

use sequent_core::{TenantId, Timestamp, WebhookId};
use sequent_tables::{Key, key};
use sequent_webhooks::delivering_job;

use crate::{
    Finding, FindingKind,
    auditor::{Error, Evidence},
    job,
};

pub(crate) async fn findings(
    evidence: Evidence<'_>,
    entry: &Key,
    tenant: TenantId,
    webhook: WebhookId,
    due: Timestamp,
) -> Result<Vec<Finding>, Error> {
    if !evidence.is_past_work(due) || evidence.store().get_item(entry).await?.is_none() {
        return Ok(Vec::new());
    }
    let found = |why: &str| {
        let reason = format!("the delivery has been due since {due}, and {why}");
        Ok(vec![Finding::new(FindingKind::DeliveryWithoutJob, tenant, entry.sk(), reason)])
    };
    let Some(row) = evidence.store().get_item(&key::webhook(tenant, webhook)).await? else {
        return found("its webhook does not exist");
    };
    match delivering_job(row)? {
        // A job that is stuck is a finding of its own.
        Some(job) if job::is_live(evidence, tenant, job).await? => Ok(Vec::new()),
        Some(job) => found(&format!("the job with the turn, {job}, has ended or does not exist")),
        None => found("no job has the turn"),
    }
}
