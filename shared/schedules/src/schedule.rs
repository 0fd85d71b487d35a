//! A schedule as the table stores it.

use std::time::Duration;

use sequent_core::{
    ApiKeyId, Principal, ProjectId, RunId, ScheduleId, Scopes, TenantId, Timestamp, UserId, pace::scaled,
};
use sequent_tables::{Error as DataError, Row, derived_id, key};
use serde::{Deserialize, Serialize};

use crate::{Occurrence, ScheduleEntry, ScheduleSpec};

/// Pause before the second look at the run that an occurrence waits for. Each pause after it is twice as long.
const FIRST_PAUSE: Duration = Duration::from_secs(60);
/// The longest pause between two looks. The end of the run has the schedule delivered at once, so a look only makes up for a
/// message that was lost, and the run may wait for a person for days.
const LONGEST_PAUSE: Duration = Duration::from_secs(1800);

/// A schedule: what people chose, and what has become of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    /// The id, by creation time.
    pub id: ScheduleId,
    /// The part that people choose.
    pub spec: ScheduleSpec,
    /// The user in whose name the runs are started: the one who created the schedule or changed its task last.
    pub user_id: UserId,
    /// The scopes of that user's credential. All scopes if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scopes: Option<Scopes>,
    /// The API key of that request. Without it no run is started. Absent if the user was signed in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_key: Option<ApiKeyId>,
    /// The reason why the schedule is paused. Absent if it is active.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused: Option<Pause>,
    /// The next due time. Absent if there is none, or the schedule is paused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_due: Option<Timestamp>,
    /// The occurrence that waits for the end of the run before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting: Option<WaitingOccurrence>,
    /// The run that was started last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_run: Option<LastRun>,
    /// The numbers of due times by what became of them.
    pub counts: ScheduleCounts,
    /// Starts that were refused since the last run.
    #[serde(default)]
    pub failures: u32,
    /// The due times that were missed last, at most ten, the latest last.
    #[serde(default)]
    pub last_missed: Vec<Timestamp>,
    /// The last due times with what became of them, at most ten, the latest first.
    #[serde(default)]
    pub recent: Vec<ScheduleEntry>,
    /// The number of writes of the row. Each write requires the number that was read.
    pub revision: u64,
    /// The time of the creation.
    pub created_at: Timestamp,
    /// The time of the last change by a person.
    pub updated_at: Timestamp,
}

/// The reason why a schedule is paused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Pause {
    /// The kind of reason.
    pub reason: PauseReason,
    /// An explanation, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The time since which the schedule is paused.
    pub at: Timestamp,
}

/// The kind of reason for a pause.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum PauseReason {
    /// A person paused it.
    Requested,
    /// Several starts in a row were refused.
    Failing,
    /// The account of its user was closed or suspended.
    UserDisabled,
    /// The API key with which it was created, or its task was changed last, has expired or was revoked.
    KeyRevoked,
}

/// An occurrence that waits for the end of the run before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "plain data")]
pub struct WaitingOccurrence {
    pub occurrence: Occurrence,
    /// The time of the next look at the run.
    pub look_at: Timestamp,
    /// The looks at the run since the occurrence began to wait.
    #[serde(default)]
    pub looks: u32,
}

impl WaitingOccurrence {
    /// The occurrence after so many looks at the run before, of which the last was at `now`.
    pub(crate) fn after_looks(occurrence: Occurrence, looks: u32, now: Timestamp) -> Self {
        let pause = FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(looks)).min(LONGEST_PAUSE);
        Self { occurrence, look_at: now + scaled(pause), looks }
    }
}

/// The run that a schedule started last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "plain data")]
pub struct LastRun {
    pub run_id: RunId,
    pub project_id: ProjectId,
}

/// The numbers of due times by what became of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct ScheduleCounts {
    /// Runs that were started, those by hand included.
    pub started: u64,
    /// Due times without a run, because the run before had not ended or the project was busy.
    pub skipped: u64,
    /// Due times whose run could not be started in time. One run at most makes up for those that were missed together.
    pub missed: u64,
    /// Due times whose run was refused, for example because the account has no credits.
    pub failed: u64,
}

impl Schedule {
    /// A new schedule of the caller that is active from `now` on.
    pub(crate) fn new(spec: ScheduleSpec, caller: &Principal, now: Timestamp) -> Self {
        let new = Self {
            id: ScheduleId::new(),
            spec,
            user_id: caller.user,
            scopes: caller.scopes.restriction(),
            api_key: caller.api_key,
            paused: None,
            next_due: None,
            waiting: None,
            last_run: None,
            counts: ScheduleCounts::default(),
            failures: 0,
            last_missed: Vec::new(),
            recent: Vec::new(),
            revision: 1,
            created_at: now,
            updated_at: now,
        };
        Self { next_due: new.due_after(now), ..new }
    }

    /// Returns the first due time after `after`. Returns `None` if there is none.
    #[must_use]
    pub fn due_after(&self, after: Timestamp) -> Option<Timestamp> {
        self.spec.next_after(self.created_at, after)
    }

    /// Returns the next due times, at most `count`.
    #[must_use]
    pub fn next_times(&self, count: usize) -> Vec<Timestamp> {
        std::iter::successors(self.next_due, |due| self.due_after(*due)).take(count).collect()
    }

    /// Returns the time at which the run of a due time starts. The jitter depends on the schedule and the due time, and
    /// ends before the next due time, so that runs start in the order in which they are due.
    #[must_use]
    pub fn start_of(&self, due: Timestamp) -> Timestamp {
        let jitter = u128::from(self.spec.jitter_seconds);
        if jitter == 0 {
            return due;
        }
        let next = self
            .due_after(due)
            .map_or(jitter, |next| u128::from(next.since(due).as_secs()).saturating_sub(1));
        let drawn = derived_id(0, format!("{} {}", self.id, due.millis())) % (jitter.min(next) + 1);
        due + Duration::from_secs(u64::try_from(drawn).unwrap_or(0))
    }

    /// Returns the time at which something is to be done. Returns `None` if the schedule rests for good.
    #[must_use]
    pub fn acts_at(&self) -> Option<Timestamp> {
        let start = self.next_due.map(|due| self.start_of(due));
        let look = self.waiting.as_ref().map(|waiting| waiting.look_at);
        [start, look].into_iter().flatten().min()
    }

    /// The scopes with which its runs are started.
    #[must_use]
    pub fn scopes(&self) -> Scopes {
        self.scopes.unwrap_or(Scopes::ALL)
    }

    /// The row, at its place in the due index.
    pub(crate) fn row(&self, tenant: TenantId) -> Result<Row, DataError> {
        let row = Row::new(&key::schedule(tenant, self.id), self)?;
        Ok(match self.acts_at() {
            Some(at) => row.gsi2(key::due_schedule(self.id, at)),
            None => row,
        })
    }
}
