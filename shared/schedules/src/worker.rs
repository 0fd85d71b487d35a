//! Working on schedules that are due.

use sequent_core::{ScheduleId, TenantId, Timestamp};

use crate::{
    Error, LastRun, Launch, Launched, Launcher, Occurrence, Schedule, ScheduleOutcome, ScheduleStep,
    Schedules,
};

/// Steps of one delivery. A sweep delivers a schedule that needs more once again.
const MAX_STEPS: u32 = 32;

/// Works on schedules. It is called at least once for each schedule that is due: twice, or late, does no harm, because each
/// step is one write that requires the schedule as it was read.
#[derive(Debug, Clone)]
pub struct ScheduleWorker<L> {
    schedules: Schedules,
    launcher: L,
}

/// The outcome of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScheduleWorked {
    /// There is no such schedule, or nothing will be due.
    Nothing,
    /// Something is to be done at this time.
    NotYet(Timestamp),
    /// More steps are due. A later delivery takes them.
    Unfinished,
}

impl<L: Launcher> ScheduleWorker<L> {
    /// Works on `schedules`, whose runs `launcher` starts.
    #[must_use]
    pub fn new(schedules: Schedules, launcher: L) -> Self {
        Self { schedules, launcher }
    }

    /// Takes the steps of the schedule that are due at `now`.
    ///
    /// # Errors
    /// Returns an error if the table, a log or another dependency fails. The delivery is then worth another try.
    pub async fn work(
        &self,
        tenant: TenantId,
        id: ScheduleId,
        now: Timestamp,
    ) -> Result<ScheduleWorked, Error> {
        for _ in 0..MAX_STEPS {
            let schedule = match self.schedules.get(tenant, id).await {
                Err(Error::NotFound) => return Ok(ScheduleWorked::Nothing),
                found => found?,
            };
            let Some(at) = schedule.acts_at() else { return Ok(ScheduleWorked::Nothing) };
            // The end of the run before has the schedule delivered before the next look at that run.
            let is_over = schedule.waiting.is_some() && !self.last_run_is_live(tenant, &schedule).await?;
            if at > now && !is_over {
                return Ok(ScheduleWorked::NotYet(at));
            }
            self.take_step(tenant, &schedule, now).await?;
        }
        Ok(ScheduleWorked::Unfinished)
    }

    async fn last_run_is_live(&self, tenant: TenantId, schedule: &Schedule) -> Result<bool, Error> {
        match schedule.last_run {
            Some(run) => self.launcher.is_live(tenant, run.run_id).await,
            None => Ok(false),
        }
    }

    /// Takes one step. If the schedule was changed meanwhile, nothing has happened, and the next step is decided anew.
    async fn take_step(&self, tenant: TenantId, schedule: &Schedule, now: Timestamp) -> Result<(), Error> {
        let is_live = self.last_run_is_live(tenant, schedule).await?;
        let after = match schedule.step(now, is_live) {
            ScheduleStep::Rest => return Ok(()),
            ScheduleStep::LookAgain => schedule.looking_again(now),
            ScheduleStep::Queue(occurrence) => schedule.queued(&occurrence, now),
            ScheduleStep::Pass(occurrence, outcome) => schedule.passed(&occurrence, outcome, None, now),
            ScheduleStep::Start(occurrence) => {
                return self.start(tenant, schedule, &occurrence, None, now).await;
            }
            ScheduleStep::Replace(occurrence) => {
                return self.start(tenant, schedule, &occurrence, schedule.last_run, now).await;
            }
        };
        self.write(tenant, schedule, &after).await
    }

    /// Starts the run of an occurrence, after it has stopped the one that it replaces.
    async fn start(
        &self,
        tenant: TenantId,
        schedule: &Schedule,
        occurrence: &Occurrence,
        replaced: Option<LastRun>,
        now: Timestamp,
    ) -> Result<(), Error> {
        if let Some(ended) = self.launcher.ended_authority(tenant, schedule).await? {
            let after = schedule.without_authority(occurrence, ended, now);
            return self.write(tenant, schedule, &after).await;
        }
        if let Some(LastRun { run_id, .. }) = replaced {
            self.launcher.stop(tenant, run_id, schedule.user_id).await?;
        }
        let launch = Launch { tenant, schedule, occurrence, is_by_hand: false, now };
        let after = match self.launcher.launch(launch).await? {
            Launched::New(run) => {
                log(tenant, schedule, &launch.after(run));
                return Ok(());
            }
            Launched::Changed => return Ok(()),
            // The schedule was written with the run, so this write is needed only if the same time became due again.
            Launched::Before(run) => launch.after(run),
            Launched::Busy(why) => schedule.passed(occurrence, ScheduleOutcome::Skipped, Some(why), now),
            Launched::Refused(why) => schedule.refused(occurrence, why, now),
        };
        self.write(tenant, schedule, &after).await
    }

    async fn write(&self, tenant: TenantId, before: &Schedule, after: &Schedule) -> Result<(), Error> {
        if self.schedules.replace(tenant, before, after).await? {
            log(tenant, before, after);
        }
        Ok(())
    }
}

/// Logs what has become of a due time.
fn log(tenant: TenantId, before: &Schedule, after: &Schedule) {
    let schedule = after.id;
    let missed = after.counts.missed - before.counts.missed;
    if missed > 0 {
        tracing::warn!(%tenant, %schedule, missed, "schedule-missed");
    }
    if let Some(entry) = after.recent.first().filter(|entry| Some(*entry) != before.recent.first()) {
        let run = entry.run_id.map(|run| run.to_string());
        let code = entry.error.as_ref().map(|error| error.code.as_str());
        tracing::info!(%tenant, %schedule, due = %entry.due_at, outcome = ?entry.outcome, run, code, "schedule-due");
    }
    if let Some(pause) = after.paused.as_ref().filter(|_| before.paused.is_none()) {
        tracing::warn!(%tenant, %schedule, reason = ?pause.reason, detail = pause.detail, "schedule-paused");
    }
}
