//! A schedule as the API shows it.

use sequent_core::{ProjectId, ScheduleId, Timestamp, UserId};
use sequent_definitions::AgentReference;
use sequent_schedules::{
    CronExpression, OverlapPolicy, Pause, ProjectPolicy, Schedule, ScheduleCounts, ScheduleEntry,
    ScheduleInput, ScheduleName, ZoneName,
};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// Due times that are shown.
const NEXT_TIMES: usize = 5;

/// A schedule, with what has become of it.
#[derive(Serialize, ToSchema)]
pub(crate) struct ShownSchedule {
    id: ScheduleId,
    name: ScheduleName,
    status: ScheduleStatus,
    /// The reason why the schedule is paused. Null if it is not.
    paused: Option<Pause>,
    /// The cron expression. Null if the schedule has an interval.
    cron: Option<CronExpression>,
    /// The interval. Null if the schedule has a cron expression.
    every_seconds: Option<u32>,
    /// The time zone of `cron`.
    time_zone: ZoneName,
    /// The agent that does the task. The default agent of the tenant, if there is one, if null.
    agent: Option<AgentReference>,
    /// The task, the message of each run.
    input: ScheduleInput,
    /// The values of variables in the instructions of the agent.
    #[schema(value_type = Object)]
    variables: Map<String, Value>,
    project: ProjectPolicy,
    overlap: OverlapPolicy,
    /// One run makes up for the due times that were missed.
    catch_up: bool,
    /// The first time at which a run may be due.
    starts_at: Option<Timestamp>,
    /// The last time at which a run may be due.
    ends_at: Option<Timestamp>,
    /// The seconds by which a start may be delayed.
    jitter_seconds: u32,
    /// The next five due times. A run starts at its due time, or later by the jitter.
    next_times: Vec<Timestamp>,
    /// The due time that waits for the end of the run before.
    waiting: Option<Timestamp>,
    /// The project of the runs, if they continue one and there was a run.
    project_id: Option<ProjectId>,
    /// The user in whose name the runs are started: the one who created the schedule or changed its task last.
    user_id: UserId,
    counts: ScheduleCounts,
    /// The due times that were missed last, at most ten.
    last_missed: Vec<Timestamp>,
    /// The last due times with what became of them, at most ten, the latest first.
    runs: Vec<ScheduleEntry>,
    created_at: Timestamp,
    /// The time of the last change by a person.
    updated_at: Timestamp,
}

/// The status of a schedule.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum ScheduleStatus {
    /// Runs are started at their times.
    Active,
    /// No run is started.
    Paused,
    /// No due time is left.
    Finished,
}

impl From<Schedule> for ShownSchedule {
    fn from(schedule: Schedule) -> Self {
        let status = match (&schedule.paused, schedule.acts_at()) {
            (Some(_), _) => ScheduleStatus::Paused,
            (None, Some(_)) => ScheduleStatus::Active,
            (None, None) => ScheduleStatus::Finished,
        };
        let next_times = schedule.next_times(NEXT_TIMES);
        let spec = schedule.spec;
        let continued = schedule.last_run.filter(|_| spec.project == ProjectPolicy::Same);
        Self {
            id: schedule.id,
            name: spec.name,
            status,
            paused: schedule.paused,
            cron: spec.cron,
            every_seconds: spec.every_seconds,
            time_zone: spec.time_zone,
            agent: spec.agent,
            input: spec.input,
            variables: spec.variables,
            project: spec.project,
            overlap: spec.overlap,
            catch_up: spec.catch_up,
            starts_at: spec.starts_at,
            ends_at: spec.ends_at,
            jitter_seconds: spec.jitter_seconds,
            next_times,
            waiting: schedule.waiting.map(|waiting| waiting.occurrence.due),
            project_id: continued.map(|run| run.project_id),
            user_id: schedule.user_id,
            counts: schedule.counts,
            last_missed: schedule.last_missed,
            runs: schedule.recent,
            created_at: schedule.created_at,
            updated_at: schedule.updated_at,
        }
    }
}
