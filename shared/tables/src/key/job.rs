//! Keys of jobs.

use sequent_core::{JobId, TenantId, Timestamp};

use super::{ACTIVE_SHARDS, IndexKey, Key, Partition, hash};

/// A job. One that belongs to no tenant is [`TenantId::SYSTEM`]'s.
#[must_use]
pub fn job(tenant: TenantId, job: JobId) -> Key {
    Key::new(format!("{tenant}#jobs"), job)
}

/// All jobs of a tenant.
#[must_use]
pub fn jobs(tenant: TenantId) -> Partition {
    Partition::table(format!("{tenant}#jobs"))
}

/// Which job has this `job_key` among those of its type. Hashed, for it is of any form and length.
#[must_use]
pub fn job_key(tenant: TenantId, job_type: &str, key: &str) -> Key {
    Key::new(format!("{tenant}#job-keys#{job_type}"), hash(&[key.as_bytes()]))
}

/// Whose job a row is, and which, if the row is a job's: see [`parse_run`](super::parse_run).
#[must_use]
pub fn parse_job(key: &Key) -> Option<(TenantId, JobId)> {
    Some((key.pk.strip_suffix("#jobs")?.parse().ok()?, key.sk.parse().ok()?))
}

/// Where a job that has not ended stands in the sweeper's queue (`gsi2`), by the time somebody has to look at it. Like
/// [`active_run`](super::active_run) the index spans tenants and is read by the sweeper alone.
#[must_use]
pub fn active_job(job: JobId, due: Timestamp) -> IndexKey {
    IndexKey { pk: active_job_shard(shard_of(job)), sk: format!("{:015}#{job}", due.millis()) }
}

/// Partition key of one shard of the active jobs.
#[must_use]
pub fn active_job_shard(shard: u8) -> String {
    format!("active-jobs#{}", shard % ACTIVE_SHARDS)
}

/// Where a job that has ended waits for its removal (`gsi2`), by the time it ended. Read by the clean-up alone.
#[must_use]
pub fn ended_job(job: JobId, ended: Timestamp) -> IndexKey {
    IndexKey { pk: ended_job_shard(shard_of(job)), sk: format!("{:015}#{job}", ended.millis()) }
}

/// Partition key of one shard of the ended jobs.
#[must_use]
pub fn ended_job_shard(shard: u8) -> String {
    format!("ended-jobs#{}", shard % ACTIVE_SHARDS)
}

fn shard_of(job: JobId) -> u8 {
    u8::try_from(job.bits() % u128::from(ACTIVE_SHARDS)).unwrap_or(0)
}

/// How often somebody was greeted.
#[must_use]
pub fn greeting(tenant: TenantId, name: &str) -> Key {
    Key::new(format!("{tenant}#greetings"), hash(&[name.as_bytes()]))
}
