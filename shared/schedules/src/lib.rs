//! Schedules: runs that are started at times which people choose.
//!
//! A schedule is a row. Its place in the due index is the time at which something is to be done for it; a sweep turns it into
//! a message of the queue of jobs, whose worker calls [`ScheduleWorker::work`]. A message says only that a schedule may be
//! due. Messages may therefore be lost, duplicated, late and out of order. Invariants:
//!
//! * **Each due time is decided once.** A step replaces the row under the condition of the revision that was read: one of
//!   several processes takes it. If the step starts a run, the row is written in the transaction that creates the run, and
//!   the run has an idempotency key of the schedule and the due time.
//! * **A due time is a function** of the schedule and the due time before ([`Schedule::due_after`]), and so is its jitter. No
//!   clock takes part.
//! * **What becomes of it is told.** Each due time is counted as started, skipped, missed or failed. A due time whose run
//!   could not be started within [`GRACE`] is missed; one run at most makes up for all that were missed together.
//! * **A schedule does not fail for ever.** It is paused after [`MAX_FAILURES`] refused starts in a row, when the account of
//!   its user is closed or suspended, and when the API key with which it was created or changed ends.
//! * **A due time that waits starts at the end of the run before.** The stream of the table carries that end to the queue
//!   ([`ScheduleDelivery::of_end`]). Looks at the run, less and less often, make up for a lost message.

mod change;
mod cron;
mod delivery;
mod error;
mod launch;
mod occurrence;
mod recurrence;
mod schedule;
mod spec;
mod step;
mod store;
mod text;
mod worker;
mod zone;

pub use change::ScheduleChange;
pub use cron::{CronExpression, InvalidCron};
pub use delivery::{ScheduleDelivery, postpone};
pub use error::Error;
pub use launch::{Launch, Launched, Launcher, RunLauncher};
pub use occurrence::{GRACE, MAX_MISSED, Occurrence, ScheduleEntry, ScheduleOutcome, StartRefusal};
pub use schedule::{LastRun, Pause, PauseReason, Schedule, ScheduleCounts, WaitingOccurrence};
pub use spec::{MAX_INTERVAL, MAX_JITTER, MIN_INTERVAL, OverlapPolicy, ProjectPolicy, ScheduleSpec};
pub use step::{MAX_FAILURES, ScheduleStep};
pub use store::{MAX_SCHEDULES, Schedules};
pub use text::{InvalidText, ScheduleInput, ScheduleName};
pub use worker::{ScheduleWorked, ScheduleWorker};
pub use zone::{UnknownZone, ZoneName};
