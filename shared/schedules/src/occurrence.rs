//! Due times that have come, and the entries about what became of them.

use std::time::Duration;

use sequent_core::{RunId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::Schedule;

/// Time after its start time within which a due time is on time. A sweep finds it within a minute, and a queue with a backlog
/// may take some more.
pub const GRACE: Duration = Duration::from_secs(600);
/// Due times that are counted as missed together at most. The ones after them, up to the present, are left out.
pub const MAX_MISSED: u32 = 10_000;
/// Missed due times that are kept.
pub(crate) const KEPT_MISSED: usize = 10;

/// A due time that has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Occurrence {
    /// The due time. If several have come too late, the last of them.
    pub due: Timestamp,
    /// The number of due times that were missed: those before `due`, and `due` itself if it is late.
    #[serde(default)]
    pub missed: u32,
    /// The last of those that were missed.
    #[serde(default)]
    pub last_missed: Vec<Timestamp>,
}

/// A due time and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ScheduleEntry {
    /// The due time, or the time of the request that ran the schedule by hand.
    pub due_at: Timestamp,
    /// The time at which it was decided.
    pub at: Timestamp,
    /// The outcome of the due time.
    pub outcome: ScheduleOutcome,
    /// The run that was started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_id: Option<RunId>,
    /// The number of due times that were missed, for which the run makes up if there is one.
    #[serde(default)]
    pub missed: u32,
    /// The reason why the start was refused, or why there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<StartRefusal>,
}

/// The outcome of a due time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ScheduleOutcome {
    /// A run was started.
    Started,
    /// The run before had not ended, or the project was busy.
    Skipped,
    /// The time had passed.
    Missed,
    /// The start was refused.
    Failed,
}

/// The refusal of a start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct StartRefusal {
    /// The stable code, as of a problem that the API returns.
    pub code: String,
    /// An explanation, for people.
    pub detail: String,
}

impl Occurrence {
    /// A due time that is on time.
    #[must_use]
    pub const fn on_time(due: Timestamp) -> Self {
        Self { due, missed: 0, last_missed: Vec::new() }
    }

    /// Returns the next due time of `schedule` after this one and those that it includes.
    pub(crate) fn next_due(&self, schedule: &Schedule, now: Timestamp) -> Option<Timestamp> {
        let after = if self.missed >= MAX_MISSED { self.due.max(now) } else { self.due };
        schedule.due_after(after)
    }

    /// Returns `true` if `due` itself has come too late, and not only due times before it.
    #[must_use]
    pub fn is_late(&self) -> bool {
        self.last_missed.last() == Some(&self.due)
    }

    /// The same due times, all of them missed.
    #[must_use]
    pub(crate) fn into_missed(mut self) -> Self {
        if !self.is_late() {
            self.miss(self.due);
        }
        self
    }

    fn miss(&mut self, due: Timestamp) {
        self.missed += 1;
        keep_last(&mut self.last_missed, due);
    }
}

/// Adds a missed due time and drops the oldest if there are too many.
pub(crate) fn keep_last(kept: &mut Vec<Timestamp>, due: Timestamp) {
    kept.push(due);
    let excess = kept.len().saturating_sub(KEPT_MISSED);
    kept.drain(..excess);
}

impl Schedule {
    /// Returns the due time that has come at `now`. If it is too late for it, includes all that have come.
    #[must_use]
    pub fn occurrence(&self, now: Timestamp) -> Option<Occurrence> {
        let first = self.next_due.filter(|due| self.start_of(*due) <= now)?;
        let is_late = |due| now.since(self.start_of(due)) > GRACE;
        let mut occurrence = Occurrence::on_time(first);
        if !is_late(first) {
            return Some(occurrence);
        }
        let has_come = |due: &Timestamp| self.start_of(*due) <= now;
        while occurrence.missed < MAX_MISSED
            && let Some(next) = self.due_after(occurrence.due).filter(has_come)
        {
            occurrence.miss(occurrence.due);
            occurrence.due = next;
        }
        if is_late(occurrence.due) {
            occurrence.miss(occurrence.due);
        }
        Some(occurrence)
    }
}
