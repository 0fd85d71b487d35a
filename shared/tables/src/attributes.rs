//! The names of attributes that more than one crate reads or writes. A typing error in one of them would be a condition that never
//! holds.

/// The owner's epoch in the row of a run, while the run has an owner.
pub const LEASE_EPOCH: &str = "lease_epoch";
/// The end of a lease, in the row of a run or a job.
pub const LEASE_UNTIL: &str = "lease_until";
/// The mark of the outbox: the time in milliseconds at which a run or a job became ready for a worker, or at which something
/// happened that webhooks tell.
pub const QUEUED_AT: &str = "queued_at";
/// The run that has the turn, in the row of a project.
pub const LIVE_RUN_ID: &str = "live_run_id";
/// The mark of a project that is being deleted.
pub const DELETING: &str = "deleting";
/// The keys of the rows with the names that clients gave to a project, in its row.
pub const CLAIMED: &str = "claimed";
