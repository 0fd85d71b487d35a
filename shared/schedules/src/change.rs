//! Changes of a schedule.

use sequent_core::{Principal, Timestamp};
use sequent_definitions::AgentReference;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use crate::{
    CronExpression, Error, OverlapPolicy, Pause, PauseReason, ProjectPolicy, Schedule, ScheduleInput,
    ScheduleName, ZoneName,
};

/// A change of a schedule. What is absent stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ScheduleChange {
    /// `true` pauses the schedule, `false` lets it go on with the next due time.
    pub paused: Option<bool>,
    /// The name, for people.
    pub name: Option<ScheduleName>,
    /// A cron expression. It replaces an interval.
    pub cron: Option<CronExpression>,
    /// The seconds between two runs. They replace a cron expression.
    #[cfg_attr(feature = "openapi", schema(minimum = 60, maximum = 31_622_400))]
    pub every_seconds: Option<u32>,
    /// The time zone of `cron`.
    pub time_zone: Option<ZoneName>,
    /// The agent. The default agent of the tenant if null.
    #[serde(deserialize_with = "nullable")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<AgentReference>))]
    pub agent: Option<Option<AgentReference>>,
    /// The task, the message of each run.
    pub input: Option<ScheduleInput>,
    /// The values of variables in the instructions of the agent. They replace all that were set.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Object>))]
    pub variables: Option<Map<String, Value>>,
    /// The conversation of the runs.
    pub project: Option<ProjectPolicy>,
    /// The policy for a due time at which the run before has not ended.
    pub overlap: Option<OverlapPolicy>,
    /// One run makes up for the due times that were missed.
    pub catch_up: Option<bool>,
    /// The first time at which a run may be due. Any if null.
    #[serde(deserialize_with = "nullable")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Timestamp>))]
    pub starts_at: Option<Option<Timestamp>>,
    /// The last time at which a run may be due. Any if null.
    #[serde(deserialize_with = "nullable")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Timestamp>))]
    pub ends_at: Option<Option<Timestamp>>,
    /// Each run starts up to so many seconds after its due time.
    #[cfg_attr(feature = "openapi", schema(maximum = 3600))]
    pub jitter_seconds: Option<u32>,
}

/// Reads a member that may be null. It is `None` only if it is absent.
fn nullable<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    member: D,
) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(member).map(Some)
}

impl ScheduleChange {
    /// Returns `true` if the change pauses the schedule or lets it go on, and nothing else.
    #[must_use]
    pub fn only_pauses(&self) -> bool {
        *self == Self { paused: self.paused, ..Self::default() }
    }
}

impl Schedule {
    /// Returns `true` if the change makes the runs those of its caller: more than the pause is changed, or the schedule goes on
    /// whose API key has ended, and would only be paused again.
    #[must_use]
    pub fn is_taken_over_by(&self, change: &ScheduleChange) -> bool {
        let has_no_key = self.paused.as_ref().is_some_and(|pause| pause.reason == PauseReason::KeyRevoked);
        !change.only_pauses() || (has_no_key && change.paused == Some(false))
    }

    /// The schedule with a change by `caller`. Its due times begin at `now` if the change concerns them. If the caller takes
    /// it over, the runs are the caller's from now on, with the scopes of the caller's credential.
    ///
    /// # Errors
    /// As when a schedule is created, if it could not be created as it is after the change.
    pub fn changed(&self, change: ScheduleChange, caller: &Principal, now: Timestamp) -> Result<Self, Error> {
        let pauses = change.paused;
        let mut next = self.clone();
        if self.is_taken_over_by(&change) {
            next.apply(change);
            next.user_id = caller.user;
            next.scopes = caller.scopes.restriction();
            next.api_key = caller.api_key;
            next.spec.check()?;
        }
        next.revision += 1;
        next.updated_at = now;
        let is_paused = pauses.unwrap_or(self.paused.is_some());
        if is_paused {
            let pause = self.paused.clone();
            let requested = Pause { reason: PauseReason::Requested, detail: None, at: now };
            return Ok(next.pause(pause.unwrap_or(requested)));
        }
        let has_other_times = !next.spec.has_times_of(&self.spec);
        if self.paused.is_some() || has_other_times {
            next.failures = 0;
            next.next_due = next.due_after(now);
        }
        next.paused = None;
        if has_other_times && next.next_due.is_none() { Err(Error::NeverDue) } else { Ok(next) }
    }

    fn apply(&mut self, change: ScheduleChange) {
        let spec = &mut self.spec;
        if let Some(cron) = change.cron {
            spec.cron = Some(cron);
            spec.every_seconds = change.every_seconds;
        } else if let Some(seconds) = change.every_seconds {
            spec.cron = None;
            spec.every_seconds = Some(seconds);
        }
        set(&mut spec.name, change.name);
        set(&mut spec.time_zone, change.time_zone);
        set(&mut spec.agent, change.agent);
        set(&mut spec.input, change.input);
        set(&mut spec.variables, change.variables);
        set(&mut spec.project, change.project);
        set(&mut spec.overlap, change.overlap);
        set(&mut spec.catch_up, change.catch_up);
        set(&mut spec.starts_at, change.starts_at);
        set(&mut spec.ends_at, change.ends_at);
        set(&mut spec.jitter_seconds, change.jitter_seconds);
    }
}

fn set<T>(field: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *field = value;
    }
}
