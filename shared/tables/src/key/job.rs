//! Keys of jobs, of their claims, and of their positions in the due indexes.

use sequent_core::{JobId, TenantId, Timestamp};

use super::{ACTIVE_SHARDS, IndexKey, Key, Partition, hash};

/// A job. A job without a tenant belongs to [`TenantId::SYSTEM`].
#[must_use]
pub fn job(tenant: TenantId, job: JobId) -> Key {
    Key::new(format!("{tenant}#jobs"), job)
}

/// All jobs of a tenant.
#[must_use]
pub fn jobs(tenant: TenantId) -> Partition {
    Partition::table(format!("{tenant}#jobs"))
}

/// The claim of a `job_key` among the jobs of a type. The key is hashed, because it can have any form and length.
#[must_use]
pub fn job_key(tenant: TenantId, job_type: &str, key: &str) -> Key {
    Key::new(format!("{tenant}#job-keys#{job_type}"), hash(&[key.as_bytes()]))
}

/// A job about something, such as the export of a run: its entry in the list under the id of its subject.
#[must_use]
pub fn job_about(tenant: TenantId, subject: &str, job: JobId) -> Key {
    Key::new(format!("{tenant}#jobs-about#{subject}"), job)
}

/// All jobs about a subject.
#[must_use]
pub fn jobs_about(tenant: TenantId, subject: &str) -> Partition {
    Partition::table(format!("{tenant}#jobs-about#{subject}"))
}

/// Returns the tenant and the job of a key, or `None` if it is not the key of a job.
#[must_use]
pub fn parse_job(key: &Key) -> Option<(TenantId, JobId)> {
    Some((key.pk.strip_suffix("#jobs")?.parse().ok()?, key.sk.parse().ok()?))
}

/// The position of a job that has not ended in its due index (`gsi2`), by the time at which a sweep must read it. The index
/// spans tenants, as that of [`active_run`](super::active_run) does, and the sweep alone reads it.
#[must_use]
pub fn active_job(job: JobId, due: Timestamp) -> IndexKey {
    IndexKey { pk: active_job_shard(shard_of(job)), sk: format!("{:015}#{job}", due.millis()) }
}

/// The partition key of a shard of the active jobs.
#[must_use]
pub fn active_job_shard(shard: u8) -> String {
    format!("active-jobs#{}", shard % ACTIVE_SHARDS)
}

/// The position of a job that has ended in its due index (`gsi2`), by the time of its end. The clean-up alone reads it.
#[must_use]
pub fn ended_job(job: JobId, ended: Timestamp) -> IndexKey {
    IndexKey { pk: ended_job_shard(shard_of(job)), sk: format!("{:015}#{job}", ended.millis()) }
}

/// The partition key of a shard of the ended jobs.
#[must_use]
pub fn ended_job_shard(shard: u8) -> String {
    format!("ended-jobs#{}", shard % ACTIVE_SHARDS)
}

fn shard_of(job: JobId) -> u8 {
    u8::try_from(job.bits() % u128::from(ACTIVE_SHARDS)).unwrap_or(0)
}

/// The number of greetings of a name.
#[must_use]
pub fn greeting(tenant: TenantId, name: &str) -> Key {
    Key::new(format!("{tenant}#greetings"), hash(&[name.as_bytes()]))
}

/// The jobs of a type that a tenant has in progress, where their number is limited.
#[must_use]
pub fn live_jobs(tenant: TenantId, job_type: &str) -> Key {
    Key::new(format!("{tenant}#live-jobs"), job_type)
}
