//! The audit: finds runs, jobs, schedules, deliveries, turns and credits that can no longer make progress.
//!
//! Every crate keeps its own invariants, and a sweep makes up for lost messages and killed processes. The audit checks
//! that nothing is left after that. It walks over the rows of `main`, compares each row that is not at rest with the rows
//! and logs that it depends on, and reports a [`Finding`] with the reason and the repair. It only reads.
//!
//! * **No false alarm.** A walk is no snapshot: rows change while it reads. A row is therefore judged by strongly
//!   consistent reads of its own, twice, and only what both times show is reported. Time is part of most rules: work may
//!   wait for a sweep or a worker for the time of a [`Grace`].
//! * **No row hides another.** A row that cannot be read is a finding, or is counted as unchecked, and the walk goes on.
//! * **Bounded and resumable.** A [`Walk`] keeps its position. [`Auditor::audit`] stops between two pages when its
//!   caller says so, and the next call goes on there.
//! * **Cheap where it matters.** A row at rest costs its share of the scan, and nothing is read for it. The caller decides
//!   whether ledgers are added up, which reads all of their postings. No request waits for an audit.

mod account;
mod auditor;
mod delivery;
mod finding;
mod grace;
mod job;
mod object;
mod project;
mod report;
mod run;
mod schedule;
mod suspect;
mod waiting;

pub use auditor::Auditor;
pub use finding::{Finding, FindingKind};
pub use grace::Grace;
pub use report::AuditReport;
pub use sequent_tables::Walk;
