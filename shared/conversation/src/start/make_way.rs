//! Ending the live run of a project, because a new run takes its place.

use std::time::Duration;

use sequent_billing::Error as BillingError;
use sequent_core::{ProjectId, pace::scaled};
use sequent_event::{CancelReason, Seq};
use sequent_runlog::{Follow, LogKey, Poll};
use tokio::time::{Instant, sleep, timeout_at};

use super::{Destination, OnConflict, RunRequest, RunStarter, priced};
use crate::{Cancel, Error, NewRun, Projects, cancel, end_if_abandoned, turn::replaced_row};

/// Time in which an interrupted run must end and release its credits, if two leases are not longer.
const INTERRUPTION: Duration = Duration::from_secs(10);
/// Pause before another attempt to reserve the credits of a run that has ended.
const RESERVE_PAUSE: Duration = Duration::from_millis(250);

impl RunStarter {
    /// Reserves credits for the run. If the account has no room for it, and the live run of the project has to make way,
    /// ends that run first: its hold and its slot are free then. The live run goes on if the account would not allow the new
    /// run without it either.
    pub(super) async fn reserve_with_room(&self, request: &RunRequest) -> Result<NewRun, Error> {
        let reserved = self.reserve(request).await;
        if !is_denied(&reserved) {
            return reserved;
        }
        let Some(live) = self.has_to_make_way(request).await? else { return reserved };
        let readable = request.prompt.content().readable();
        if !self.credits.have_room_without(live.run, live.tenant, priced(request, &readable)).await? {
            return reserved;
        }
        let give_up = self.end_of_patience();
        Box::pin(self.end_live_run(request, live)).await?;
        self.reserve_after(request, live, give_up).await
    }

    /// Reserves credits for the run after `ended` has ended. A run whose children or jobs were still using models keeps its
    /// hold until they have written down what they used.
    pub(super) async fn reserve_after(
        &self,
        request: &RunRequest,
        ended: LogKey,
        give_up: Instant,
    ) -> Result<NewRun, Error> {
        loop {
            // Read first: if the hold is released between the two reads, the denial is not the answer yet.
            let is_held = self.credits.are_held_for(ended.tenant, ended.run).await?;
            let reserved = self.reserve(request).await;
            if !is_held || !is_denied(&reserved) {
                return reserved;
            }
            if Instant::now() >= give_up {
                return Err(Error::StillRunning(ended.run));
            }
            sleep(scaled(RESERVE_PAUSE)).await;
        }
    }

    /// Returns the live run of the project if the request ends it.
    async fn has_to_make_way(&self, request: &RunRequest) -> Result<Option<LogKey>, Error> {
        let Destination::Project(project) = request.project else { return Ok(None) };
        match request.on_conflict {
            OnConflict::Reject | OnConflict::Enqueue => Ok(None),
            OnConflict::Interrupt | OnConflict::Rollback => self.live_run(request, project).await,
        }
    }

    async fn live_run(&self, request: &RunRequest, project: ProjectId) -> Result<Option<LogKey>, Error> {
        let tenant = request.caller.tenant;
        let project = Projects::new(self.runs.tables(), tenant).get(project).await?;
        Ok(project.live_run_id.map(|run| LogKey { tenant, run }))
    }

    /// Cancels the live run and waits for its end.
    pub(super) async fn end_live_run(&self, request: &RunRequest, key: LogKey) -> Result<(), Error> {
        let has_ended = self.stop(request, key).await? || self.wait_for_end(key).await?;
        if has_ended { Ok(()) } else { Err(Error::StillRunning(key.run)) }
    }

    /// Cancels the live run. Returns `true` if it has ended.
    pub(super) async fn stop(&self, request: &RunRequest, key: LogKey) -> Result<bool, Error> {
        let reason = match request.on_conflict {
            OnConflict::Rollback => CancelReason::RolledBack,
            OnConflict::Reject | OnConflict::Enqueue | OnConflict::Interrupt => CancelReason::Interrupted,
        };
        if reason == CancelReason::RolledBack {
            // Its messages will be deleted, so that none of them leads to it.
            self.runs.tables().put(replaced_row(key, request.project.id())?).await?;
        }
        let cancelled = Box::pin(cancel(&self.runs, key, Some(request.caller.user), reason)).await?;
        Ok(cancelled != Cancel::Requested)
    }

    /// Waits for the end of a run that was asked to stop. If its owner turns out to be dead, ends it here. Returns `false`
    /// if the run did not end in time.
    async fn wait_for_end(&self, key: LogKey) -> Result<bool, Error> {
        match timeout_at(self.end_of_patience(), Box::pin(self.end_of(key))).await {
            Ok(ended) => ended.map(|()| true),
            Err(_) => Ok(false),
        }
    }

    /// The time at which a run that is asked to stop now must have made way.
    fn end_of_patience(&self) -> Instant {
        Instant::now() + scaled(INTERRUPTION).max(self.runs.settings().lease * 2)
    }

    async fn end_of(&self, key: LogKey) -> Result<(), Error> {
        let settings = self.runs.settings();
        let mut follow = Follow::new(self.runs.storage().clone(), key, Seq::START);
        let mut next_check = Instant::now() + settings.lease;
        loop {
            match follow.poll().await? {
                Poll::Closed => return Ok(()),
                Poll::Event(_) => {}
                Poll::Idle if Instant::now() >= next_check => {
                    next_check = Instant::now() + settings.idle_check;
                    if end_if_abandoned(&self.runs, key).await? != Cancel::Requested {
                        return Ok(());
                    }
                }
                Poll::Idle => {}
            }
        }
    }
}

/// Returns `true` if the account or its plan does not allow the run.
fn is_denied(reserved: &Result<NewRun, Error>) -> bool {
    matches!(reserved, Err(Error::Billing(BillingError::Denied(_))))
}
