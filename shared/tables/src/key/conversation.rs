//! Keys of conversations, of their messages, and of runs.

use sequent_core::{ProjectId, RunId, TenantId, Timestamp, UserId};

use super::{IndexKey, Key, Partition};

/// A project.
#[must_use]
pub fn project(tenant: TenantId, project: ProjectId) -> Key {
    Key::new(format!("{tenant}#projects"), project)
}

/// Returns the tenant and the project of a key, or `None` if it is not the key of a project.
#[must_use]
pub fn parse_project(key: &Key) -> Option<(TenantId, ProjectId)> {
    Some((key.pk.strip_suffix("#projects")?.parse().ok()?, key.sk.parse().ok()?))
}

/// All projects of a tenant.
#[must_use]
pub fn projects(tenant: TenantId) -> Partition {
    Partition::table(format!("{tenant}#projects"))
}

/// A message of a project: the `ordinal`-th that a run added to it. `depth` is the number of runs that the run continues,
/// so that a conversation is read in the order of its turns, whatever the clocks of those who created them said.
#[must_use]
pub fn message(tenant: TenantId, project: ProjectId, depth: u32, run: RunId, ordinal: usize) -> Key {
    let sk = format!("{}{ordinal:04}", message_prefix(depth, run));
    Key::new(format!("{tenant}#messages#{project}"), sk)
}

/// The beginning of the sort keys of a run's messages.
#[must_use]
pub fn message_prefix(depth: u32, run: RunId) -> String {
    format!("{}{run}#", depth_prefix(depth))
}

/// The beginning of the sort keys of the messages of all runs that continue so many others.
#[must_use]
pub fn depth_prefix(depth: u32) -> String {
    format!("{depth:06}#")
}

/// Returns the depth, the run and the position in the run of a message's key.
#[must_use]
pub fn parse_message(key: &Key) -> Option<(u32, RunId, usize)> {
    let mut parts = key.sk.splitn(3, '#');
    let depth = parts.next()?.parse().ok()?;
    Some((depth, parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

/// Returns the tenant of a key of a message, or `None` if it is another key.
#[must_use]
pub fn parse_message_of(key: &Key) -> Option<TenantId> {
    key.pk.split_once("#messages#")?.0.parse().ok()
}

/// All messages of a project.
#[must_use]
pub fn messages(tenant: TenantId, project: ProjectId) -> Partition {
    Partition::table(format!("{tenant}#messages#{project}"))
}

/// A run that waits for the turn of its project. A run comes after those that it continues: see [`message`].
#[must_use]
pub fn waiting_run(tenant: TenantId, project: ProjectId, depth: u32, run: RunId) -> Key {
    Key::new(format!("{tenant}#waiting#{project}"), format!("{}{run}", depth_prefix(depth)))
}

/// The runs that wait for the turn of a project, in the order in which they have it.
#[must_use]
pub fn waiting_runs(tenant: TenantId, project: ProjectId) -> Partition {
    Partition::table(format!("{tenant}#waiting#{project}"))
}

/// The instructions and tools of requests to models, under their digest.
#[must_use]
pub fn offer(tenant: TenantId, digest: &str) -> Key {
    Key::new(format!("{tenant}#offers"), digest)
}

/// The row of a run.
#[must_use]
pub fn run(tenant: TenantId, run: RunId) -> Key {
    Key::new(format!("{tenant}#runs"), run)
}

/// All runs of a tenant.
#[must_use]
pub fn runs(tenant: TenantId) -> Partition {
    Partition::table(format!("{tenant}#runs"))
}

/// Returns the tenant, the project, the depth and the run of a key, or `None` if it is not the key of a waiting run.
#[must_use]
pub fn parse_waiting_run(key: &Key) -> Option<(TenantId, ProjectId, u32, RunId)> {
    let (tenant, project) = key.pk.split_once("#waiting#")?;
    let (depth, run) = key.sk.split_once('#')?;
    Some((tenant.parse().ok()?, project.parse().ok()?, depth.parse().ok()?, run.parse().ok()?))
}

/// A run that was rolled back: no message leads to it any more.
#[must_use]
pub fn replaced_run(tenant: TenantId, project: ProjectId, run: RunId) -> Key {
    Key::new(format!("{tenant}#replaced-runs#{project}"), run)
}

/// All such runs of a project.
#[must_use]
pub fn replaced_runs(tenant: TenantId, project: ProjectId) -> Partition {
    Partition::table(format!("{tenant}#replaced-runs#{project}"))
}

/// A conversation that shares a run of another one.
#[must_use]
pub fn shared_run(tenant: TenantId, run: RunId, project: ProjectId) -> Key {
    Key::new(format!("{tenant}#shared-runs#{run}"), project)
}

/// The conversations that share a run of another one.
#[must_use]
pub fn sharers(tenant: TenantId, run: RunId) -> Partition {
    Partition::table(format!("{tenant}#shared-runs#{run}"))
}

/// The record of a run whose conversation was deleted.
#[must_use]
pub fn deleted_run(tenant: TenantId, run: RunId) -> Key {
    Key::new(format!("{tenant}#deleted-runs"), run)
}

/// Returns the tenant and the run of a key, or `None` if it is not the key of a run. Used for changes of the table and for
/// entries of an index that spans tenants.
#[must_use]
pub fn parse_run(key: &Key) -> Option<(TenantId, RunId)> {
    Some((key.pk.strip_suffix("#runs")?.parse().ok()?, key.sk.parse().ok()?))
}

/// The position of a run among the runs of its user (`gsi1`).
#[must_use]
pub fn run_of_user(tenant: TenantId, user: UserId, run: RunId) -> IndexKey {
    IndexKey { pk: format!("{tenant}#runs#{user}"), sk: run.to_string() }
}

/// All runs of a user (`gsi1`).
#[must_use]
pub fn runs_of_user(tenant: TenantId, user: UserId) -> Partition {
    Partition { index: Some("gsi1"), pk: format!("{tenant}#runs#{user}") }
}

/// Number of partitions of `gsi2` for active runs: one partition accepts 1,000 writes a second.
pub const ACTIVE_SHARDS: u8 = 8;

/// The position of an active run in its due index (`gsi2`), by the end of its lease. The index spans tenants on purpose.
/// The sweep alone reads it, and it projects keys only, which contain their tenant.
#[must_use]
pub fn active_run(run: RunId, lease_until: Timestamp) -> IndexKey {
    let shard = run.bits() % u128::from(ACTIVE_SHARDS);
    IndexKey { pk: format!("active#{shard}"), sk: format!("{:015}#{run}", lease_until.millis()) }
}

/// Returns the upper bound of the sort keys of rows that are due at `now`.
#[must_use]
pub fn due_before(now: Timestamp) -> String {
    format!("{:015}$", now.millis()) // `$` follows `#`
}

/// The partition key of a shard of the active runs.
#[must_use]
pub fn active_shard(shard: u8) -> String {
    format!("active#{}", shard % ACTIVE_SHARDS)
}

/// The partition key of a run's log in the `events` table.
#[must_use]
pub fn run_log(tenant: TenantId, run: RunId) -> String {
    format!("{tenant}#{run}")
}
