//! Keys of schedules, and their positions in the due index.

use sequent_core::{ScheduleId, TenantId, Timestamp};

use super::{ACTIVE_SHARDS, IndexKey, Key, Partition};

/// A schedule of a tenant.
#[must_use]
pub fn schedule(tenant: TenantId, id: ScheduleId) -> Key {
    Key::new(format!("{tenant}#schedules"), id)
}

/// All schedules of a tenant.
#[must_use]
pub fn schedules(tenant: TenantId) -> Partition {
    Partition::table(format!("{tenant}#schedules"))
}

/// The number of a tenant's schedules.
#[must_use]
pub fn schedule_settings(tenant: TenantId) -> Key {
    Key::new(format!("{tenant}#settings"), "schedules")
}

/// Returns the tenant and the schedule of a key, or `None` if it is not the key of a schedule.
#[must_use]
pub fn parse_schedule(key: &Key) -> Option<(TenantId, ScheduleId)> {
    Some((key.pk.strip_suffix("#schedules")?.parse().ok()?, key.sk.parse().ok()?))
}

/// The position of a schedule in its due index (`gsi2`), by the time at which something is to be done for it. The index
/// spans tenants, as that of [`active_run`](super::active_run) does, and the sweep alone reads it.
#[must_use]
pub fn due_schedule(id: ScheduleId, due: Timestamp) -> IndexKey {
    let shard = u8::try_from(id.bits() % u128::from(ACTIVE_SHARDS)).unwrap_or(0);
    IndexKey { pk: due_schedule_shard(shard), sk: format!("{:015}#{id}", due.millis()) }
}

/// The partition key of a shard of the schedules.
#[must_use]
pub fn due_schedule_shard(shard: u8) -> String {
    format!("due-schedules#{}", shard % ACTIVE_SHARDS)
}
