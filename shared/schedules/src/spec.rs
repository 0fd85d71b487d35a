//! The part of a schedule that people choose: what it starts, and when.

use std::time::Duration;

use sequent_core::Timestamp;
use sequent_definitions::AgentReference;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{CronExpression, Error, ScheduleInput, ScheduleName, ZoneName, recurrence::Recurrence};

/// Shortest interval. The sweep that finds due schedules runs once a minute.
pub const MIN_INTERVAL: u32 = 60;
/// Longest interval: a leap year.
pub const MAX_INTERVAL: u32 = 366 * 24 * 3600;
/// Longest jitter, in seconds.
pub const MAX_JITTER: u32 = 3600;

/// A schedule as people choose it. Exactly one of `cron` and `every_seconds` is set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ScheduleSpec {
    /// The name, for people.
    #[cfg_attr(feature = "openapi", schema(example = "Morning report"))]
    pub name: ScheduleName,
    /// The times of the runs as a cron expression with five fields: minute, hour, day of the month, month and day of the
    /// week. Minute and hour as numbers are times of the day: each of them is one run, at the change of the clock if the
    /// clock skips it, and the first time if it occurs twice. With `*` in minute or hour, the runs follow the clock as it is
    /// shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cron: Option<CronExpression>,
    /// The seconds between two runs, counted from `starts_at` or from the creation of the schedule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(minimum = 60, maximum = 31_622_400))]
    pub every_seconds: Option<u32>,
    /// The time zone of `cron`. UTC if it is absent.
    #[serde(default)]
    pub time_zone: ZoneName,
    /// The agent that does the task: its id or its name, with `@` and a label or the number of a version. The version is
    /// chosen at each run. The default agent of the tenant, if there is one, if it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(example = "assistant@production"))]
    pub agent: Option<AgentReference>,
    /// The task, the message of each run.
    pub input: ScheduleInput,
    /// The values of variables in the instructions of the agent: at most 8,000 bytes in JSON.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub variables: Map<String, Value>,
    /// The conversation of the runs.
    #[serde(default)]
    pub project: ProjectPolicy,
    /// The policy for a due time at which the run before has not ended.
    #[serde(default)]
    pub overlap: OverlapPolicy,
    /// One run makes up for the due times that were missed, because the deployment could not start their runs within ten
    /// minutes. Without it, they are only counted.
    #[serde(default = "yes")]
    pub catch_up: bool,
    /// The first time at which a run may be due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub starts_at: Option<Timestamp>,
    /// The last time at which a run may be due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends_at: Option<Timestamp>,
    /// Each run starts up to so many seconds after its due time, but before the next. The delay of a due time is always the
    /// same.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(maximum = 3600))]
    pub jitter_seconds: u32,
}

/// The conversation of a schedule's runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ProjectPolicy {
    /// Each run has a new project.
    #[default]
    New,
    /// All runs continue one project, which the first of them creates.
    Same,
}

/// The policy for a due time at which the run before has not ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum OverlapPolicy {
    /// Start no run then.
    #[default]
    Skip,
    /// Start the run within a minute or two after the end of the one before. One due time waits at most; others are skipped.
    Queue,
    /// Cancel the run before, then start. An API key needs `runs:write`.
    Cancel,
}

const fn yes() -> bool {
    true
}

impl ScheduleSpec {
    /// Checks what the types of the fields do not say.
    pub(crate) fn check(&self) -> Result<(), Error> {
        match (&self.cron, self.every_seconds) {
            (Some(_), None) => {}
            (None, Some(seconds)) if (MIN_INTERVAL..=MAX_INTERVAL).contains(&seconds) => {}
            (None, Some(_)) => return Err(Error::Interval),
            (None, None) | (Some(_), Some(_)) => return Err(Error::Recurrence),
        }
        if self.jitter_seconds > MAX_JITTER {
            return Err(Error::Jitter);
        }
        match (self.starts_at, self.ends_at) {
            (Some(start), Some(end)) if end < start => Err(Error::Period),
            _ => Ok(()),
        }
    }

    /// Returns `true` if the due times are those of `other`.
    pub(crate) fn has_times_of(&self, other: &Self) -> bool {
        let Self { cron, every_seconds, time_zone, starts_at, ends_at, .. } = other;
        self.cron == *cron
            && self.every_seconds == *every_seconds
            && self.time_zone == *time_zone
            && self.starts_at == *starts_at
            && self.ends_at == *ends_at
    }

    /// Returns the first due time after `after`, within the period of the schedule. `created` begins the intervals.
    pub(crate) fn next_after(&self, created: Timestamp, after: Timestamp) -> Option<Timestamp> {
        const MILLISECOND: Duration = Duration::from_millis(1);
        let after = self.starts_at.map_or(after, |start| after.max(start - MILLISECOND));
        let next = self.recurrence(created)?.next_after(after)?;
        self.ends_at.is_none_or(|end| next <= end).then_some(next)
    }

    fn recurrence(&self, created: Timestamp) -> Option<Recurrence<'_>> {
        match (&self.cron, self.every_seconds) {
            (Some(cron), _) => Some(Recurrence::Cron(cron, self.time_zone.zone())),
            (None, Some(seconds)) => {
                let interval = Duration::from_secs(seconds.max(MIN_INTERVAL).into());
                Some(Recurrence::Every { interval, from: self.starts_at.unwrap_or(created) })
            }
            (None, None) => None,
        }
    }
}
