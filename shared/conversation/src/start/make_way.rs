//! Ending the live run of a project, because a new run takes its place.

use std::time::Duration;

use sequent_billing::{Denied, Error as BillingError};
use sequent_core::{ProjectId, pace::scaled};
use sequent_event::{CancelReason, Seq};
use sequent_runlog::{Follow, LogKey, Poll};
use tokio::time::{Instant, timeout_at};

use super::{Destination, OnConflict, RunRequest, RunStarter};
use crate::{Cancel, Error, NewRun, Projects, cancel, end_if_abandoned, turn::replaced_row};

/// Time in which an interrupted run must end, if two leases are not longer.
const INTERRUPTION: Duration = Duration::from_secs(10);

impl RunStarter {
    /// Reserves credits for the run. If the account has no room for it, and the live run of the project has to make way,
    /// ends that run first: its hold and its slot are free then. A request that is refused for another reason leaves the
    /// live run alone.
    pub(super) async fn reserve_with_room(&self, request: &RunRequest) -> Result<NewRun, Error> {
        let reserved = self.reserve(request).await;
        let Err(Error::Billing(BillingError::Denied(denied))) = &reserved else { return reserved };
        if !is_for_lack_of_room(denied) {
            return reserved;
        }
        let Some(live) = self.has_to_make_way(request).await? else { return reserved };
        Box::pin(self.end_live_run(request, live)).await?;
        self.reserve(request).await
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
        let give_up = Instant::now() + scaled(INTERRUPTION).max(self.runs.settings().lease * 2);
        match timeout_at(give_up, Box::pin(self.end_of(key))).await {
            Ok(ended) => ended.map(|()| true),
            Err(_) => Ok(false),
        }
    }

    async fn end_of(&self, key: LogKey) -> Result<(), Error> {
        let settings = self.runs.settings();
        let mut follow = Follow::new(self.runs.storage().clone(), key, Seq::START);
        let mut next_check = Instant::now() + settings.lease;
        loop {
            match follow.poll().await? {
                Poll::Closed => return Ok(()),
                Poll::Event(_) => {}
                Poll::Idle(_) if Instant::now() >= next_check => {
                    next_check = Instant::now() + settings.idle_check;
                    if end_if_abandoned(&self.runs, key).await? != Cancel::Requested {
                        return Ok(());
                    }
                }
                Poll::Idle(_) => {}
            }
        }
    }
}

/// Returns `true` if the account would have room for the run without the live run.
fn is_for_lack_of_room(denied: &Denied) -> bool {
    match denied {
        Denied::Concurrent { .. } | Denied::Insufficient { .. } | Denied::Daily { .. } => true,
        Denied::Limit { .. } | Denied::Model { .. } | Denied::Unpriced(_) | Denied::Frozen(_) => false,
    }
}
