//! The next step of a schedule: a function of its row, of the time, and of whether its last run has ended.

use sequent_core::{RunId, Timestamp};
use sequent_identity::EndedAuthority;

use crate::{
    LastRun, Occurrence, OverlapPolicy, Pause, PauseReason, Schedule, ScheduleEntry, ScheduleOutcome,
    StartRefusal, WaitingOccurrence, occurrence::keep_last,
};

/// Refused starts in a row after which a schedule is paused.
pub const MAX_FAILURES: u32 = 5;
/// Entries that a schedule keeps.
const KEPT_ENTRIES: usize = 10;

/// The next step of a schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ScheduleStep {
    /// Its time has not come.
    Rest,
    /// Start the run of it.
    Start(Occurrence),
    /// Cancel the run before, then start a run.
    Replace(Occurrence),
    /// Let the occurrence wait for the end of the run before.
    Queue(Occurrence),
    /// Look again later at the run that an occurrence waits for.
    LookAgain,
    /// Start no run, for this reason.
    Pass(Occurrence, ScheduleOutcome),
}

impl Schedule {
    /// Returns `true` if there may be something to do at `now`.
    #[must_use]
    pub fn acts(&self, now: Timestamp) -> bool {
        self.acts_at().is_some_and(|at| at <= now)
    }

    /// Decides about the next step. `is_live` tells of the run that was started last.
    #[must_use]
    pub fn step(&self, now: Timestamp, is_live: bool) -> ScheduleStep {
        let come = self.occurrence(now);
        match (&self.waiting, come) {
            (Some(waiting), _) if !is_live => ScheduleStep::Start(waiting.occurrence.clone()),
            (Some(_), Some(come)) => ScheduleStep::Pass(come, ScheduleOutcome::Skipped),
            (Some(waiting), None) if waiting.look_at <= now => ScheduleStep::LookAgain,
            (_, None) => ScheduleStep::Rest,
            (None, Some(come)) if come.is_late() && !self.spec.catch_up => {
                ScheduleStep::Pass(come, ScheduleOutcome::Missed)
            }
            (None, Some(come)) if is_live => match self.spec.overlap {
                OverlapPolicy::Skip => ScheduleStep::Pass(come, ScheduleOutcome::Skipped),
                OverlapPolicy::Queue => ScheduleStep::Queue(come),
                OverlapPolicy::Cancel => ScheduleStep::Replace(come),
            },
            (None, Some(come)) => ScheduleStep::Start(come),
        }
    }

    /// The schedule after the run of an occurrence was started.
    #[must_use]
    pub fn started(&self, occurrence: &Occurrence, run: LastRun, now: Timestamp) -> Self {
        let entry =
            ScheduleEntry { run_id: Some(run.run_id), ..entry(occurrence, ScheduleOutcome::Started, now) };
        let mut next = self.after(occurrence, entry, now);
        next.last_run = Some(run);
        next.counts.started += 1;
        next.failures = 0;
        next
    }

    /// The schedule after a run was started by hand. Its due times stay.
    #[must_use]
    pub fn started_by_hand(&self, run: LastRun, now: Timestamp) -> Self {
        let entry = ScheduleEntry {
            run_id: Some(run.run_id),
            ..entry(&Occurrence::on_time(now), ScheduleOutcome::Started, now)
        };
        let mut next = Self { last_run: Some(run), revision: self.revision + 1, ..self.clone() };
        next.keep(entry);
        next.counts.started += 1;
        next
    }

    /// The schedule after an occurrence without a run.
    #[must_use]
    pub fn passed(
        &self,
        occurrence: &Occurrence,
        outcome: ScheduleOutcome,
        why: Option<StartRefusal>,
        now: Timestamp,
    ) -> Self {
        let entry = ScheduleEntry { error: why, ..entry(occurrence, outcome, now) };
        let mut next = self.after(occurrence, entry, now);
        match outcome {
            ScheduleOutcome::Skipped if !occurrence.is_late() => next.counts.skipped += 1,
            ScheduleOutcome::Failed => {
                next.counts.failed += 1;
                next.failures += 1;
            }
            ScheduleOutcome::Started | ScheduleOutcome::Skipped | ScheduleOutcome::Missed => {}
        }
        next
    }

    /// The schedule after the start of a run was refused. After several refusals it is paused.
    #[must_use]
    pub fn refused(&self, occurrence: &Occurrence, why: StartRefusal, now: Timestamp) -> Self {
        let detail = format!(
            "{MAX_FAILURES} starts in a row were refused, the last with `{}`: {}",
            why.code, why.detail
        );
        let next = self.passed(occurrence, ScheduleOutcome::Failed, Some(why), now);
        if next.failures < MAX_FAILURES {
            return next;
        }
        next.pause(Pause { reason: PauseReason::Failing, detail: Some(detail), at: now })
    }

    /// The schedule after the authority for its runs was found to have ended: the due time counts as missed, and no other comes.
    #[must_use]
    pub fn without_authority(&self, occurrence: &Occurrence, ended: EndedAuthority, now: Timestamp) -> Self {
        let missed = occurrence.clone().into_missed();
        let mut next = self.passed(&missed, ScheduleOutcome::Missed, None, now);
        // One that has waited is counted as missed, and not also as skipped.
        next.waiting = next.waiting.filter(|waiting| waiting.occurrence != *occurrence);
        let (reason, detail) = match ended {
            EndedAuthority::User => (
                PauseReason::UserDisabled,
                "The account of the user whose schedule this is was closed or suspended.",
            ),
            EndedAuthority::ApiKey => (
                PauseReason::KeyRevoked,
                "The API key with which the schedule was created or changed has expired or was revoked. Whoever lets it go on has the runs in their own name.",
            ),
        };
        next.pause(Pause { reason, detail: Some(detail.to_owned()), at: now })
    }

    /// The schedule while an occurrence waits.
    #[must_use]
    pub fn queued(&self, occurrence: &Occurrence, now: Timestamp) -> Self {
        let mut next = self.moved(occurrence, now);
        next.waiting = Some(WaitingOccurrence::after_looks(occurrence.clone(), 0, now));
        next
    }

    /// The schedule while the run before has not ended.
    #[must_use]
    pub fn looking_again(&self, now: Timestamp) -> Self {
        let waits_on = |waiting: WaitingOccurrence| {
            WaitingOccurrence::after_looks(waiting.occurrence, waiting.looks + 1, now)
        };
        Self { waiting: self.waiting.clone().map(waits_on), revision: self.revision + 1, ..self.clone() }
    }

    /// The schedule without due times. An occurrence that waits is skipped.
    pub(crate) fn pause(mut self, pause: Pause) -> Self {
        self.counts.skipped += u64::from(self.waiting.take().is_some());
        self.paused = Some(pause);
        self.next_due = None;
        self
    }

    /// The schedule from its next due time on, with an entry about the occurrence. One that has waited was counted when it
    /// began to wait.
    fn after(&self, occurrence: &Occurrence, entry: ScheduleEntry, now: Timestamp) -> Self {
        let has_waited = self.waiting.as_ref().is_some_and(|waiting| waiting.occurrence == *occurrence);
        let mut next = if has_waited {
            Self { waiting: None, revision: self.revision + 1, ..self.clone() }
        } else {
            self.moved(occurrence, now)
        };
        next.keep(entry);
        next
    }

    /// The schedule from its next due time on. Those that were missed are counted.
    fn moved(&self, occurrence: &Occurrence, now: Timestamp) -> Self {
        let next_due = occurrence.next_due(self, now);
        let mut next = Self { next_due, revision: self.revision + 1, ..self.clone() };
        next.counts.missed += u64::from(occurrence.missed);
        occurrence.last_missed.iter().for_each(|due| keep_last(&mut next.last_missed, *due));
        next
    }

    fn keep(&mut self, entry: ScheduleEntry) {
        self.recent.insert(0, entry);
        self.recent.truncate(KEPT_ENTRIES);
    }
}

fn entry(occurrence: &Occurrence, outcome: ScheduleOutcome, now: Timestamp) -> ScheduleEntry {
    let Occurrence { due, missed, .. } = occurrence;
    ScheduleEntry { due_at: *due, at: now, outcome, run_id: None::<RunId>, missed: *missed, error: None }
}

#[cfg(test)]
mod tests;
