//! Writes the feed of each tenant from the stream of the main table. A record that is delivered again adds nothing.

mod changes;

use std::collections::BTreeMap;

use futures::{StreamExt as _, stream};
use sequent_aws::{
    RowChange,
    queue::{Batch, Failures},
};
use sequent_core::{TenantId, Timestamp};
use sequent_feed::{Caused, Feed};

/// Tenants whose feeds are written at the same time.
const CONCURRENCY: usize = 8;

/// The changes of a tenant in a batch.
#[derive(Default)]
struct TenantChanges {
    /// The index of the first record with a change of the tenant.
    origin: usize,
    changes: Vec<Caused>,
}

/// Adds the changes of the batch to the feeds of their tenants, in the order of the stream. After a failure the stream delivers
/// the batch again from the first record that failed.
pub async fn handle(feed: &Feed, batch: &Batch) -> Failures {
    let mut failed = None;
    let mut tenants: BTreeMap<TenantId, TenantChanges> = BTreeMap::new();
    for (index, record) in batch.records.iter().enumerate() {
        match RowChange::of_record(record) {
            Ok(Some(change)) => {
                for (tenant, caused) in changes::of(&change) {
                    let of_tenant = tenants
                        .entry(tenant)
                        .or_insert_with(|| TenantChanges { origin: index, ..TenantChanges::default() });
                    of_tenant.changes.push(caused);
                }
            }
            Ok(None) => {}
            Err(error) => {
                tracing::error!(%error, "could not read a record of the stream");
                failed = failed.or(Some(index));
            }
        }
    }
    let now = Timestamp::now();
    let writing = tenants.into_iter().map(|(tenant, of_tenant)| async move {
        let written = Box::pin(feed.append(tenant, of_tenant.changes, now)).await;
        (tenant, of_tenant.origin, written)
    });
    let mut writing = Box::pin(stream::iter(writing).buffer_unordered(CONCURRENCY));
    let mut entries = 0;
    while let Some((tenant, origin, written)) = writing.next().await {
        match written {
            Ok(added) => entries += added,
            Err(error) => {
                tracing::error!(%tenant, %error, "could not write a feed; the stream delivers the records again");
                failed = [failed, Some(origin)].into_iter().flatten().min();
            }
        }
    }
    let mut failures = Failures::default();
    if let Some(index) = failed {
        failures.add(&batch.records[index]);
    }
    if entries > 0 {
        tracing::info!(records = batch.records.len(), entries, "added to feeds");
    }
    failures
}
