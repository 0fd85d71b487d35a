//! Checking that the collector deletes objects without a reference.

use sequent_core::TenantId;
use sequent_tables::{Key, attribute_of, due_at};

use crate::{
    Finding, FindingKind,
    auditor::{Error, Evidence},
};

pub(crate) async fn findings(
    evidence: Evidence<'_>,
    tenant: TenantId,
    key: &Key,
) -> Result<Vec<Finding>, Error> {
    let Some(item) = evidence.store().get_item(key).await? else { return Ok(Vec::new()) };
    let is_unreferenced = attribute_of::<u64>(&item, "refs") == Some(0);
    let reason = match due_at(&item) {
        None if is_unreferenced => Some("no artifact refers to it, and it is in no due index".to_owned()),
        // The collector runs every hour and deletes an object a day after it was last wanted.
        Some(wanted) if wanted + evidence.grace.ended < evidence.now => {
            Some(format!("it was last wanted at {wanted}, and the collector has not deleted it"))
        }
        _ => None,
    };
    let finding = reason.map(|reason| Finding::new(FindingKind::ObjectLeft, tenant, key.sk(), reason));
    Ok(finding.into_iter().collect())
}
