//! The live run of a project that a request ends, because the new run takes its place.

use std::time::Duration;

use sequent_core::{ProjectId, UserId, pace::scaled};
use sequent_event::{CancelReason, Seq};
use sequent_runlog::{Follow, LogKey, Poll};
use tokio::time::{Instant, timeout_at};

use super::{Destination, RunRequest};
use crate::{
    Cancel, Error, Projects, RunStore, cancel, end_if_abandoned,
    turn::{has_ended, replaced_row},
};

/// Time in which an interrupted run must end and release its credits, if two leases are not longer.
const INTERRUPTION: Duration = Duration::from_secs(10);

/// A live run that has to make way.
pub(super) struct LiveRun<'a> {
    runs: &'a RunStore,
    key: LogKey,
    project: ProjectId,
    reason: CancelReason,
    by: UserId,
}

impl<'a> LiveRun<'a> {
    /// Returns the live run of the project if the request ends it.
    pub(super) async fn in_the_way(runs: &'a RunStore, request: &RunRequest) -> Result<Option<Self>, Error> {
        let Destination::Project(project) = request.project else { return Ok(None) };
        let tenant = request.caller.tenant;
        let found = Projects::new(runs.tables(), tenant).get(project).await?;
        let Some(run) = found.live_run_id else { return Ok(None) };
        let key = LogKey { tenant, run };
        match Self::to_end(runs, request, key, project) {
            // A run that has ended is not in the way, even if it has the turn.
            Some(_) if has_ended(runs.tables(), key).await? => Ok(None),
            live => Ok(live),
        }
    }

    /// Returns the run, which is live in the project, if the request ends it.
    pub(super) fn to_end(
        runs: &'a RunStore,
        request: &RunRequest,
        key: LogKey,
        project: ProjectId,
    ) -> Option<Self> {
        let reason = request.on_conflict.reason_to_end()?;
        Some(Self { runs, key, project, reason, by: request.caller.user })
    }

    pub(super) const fn key(&self) -> LogKey {
        self.key
    }

    /// Cancels the run and waits for its end.
    pub(super) async fn end(&self) -> Result<(), Error> {
        let has_ended = self.stop().await? || self.wait_for_end().await?;
        if has_ended { Ok(()) } else { Err(Error::StillRunning(self.key.run)) }
    }

    /// Cancels the run. Returns `true` if it has ended.
    pub(super) async fn stop(&self) -> Result<bool, Error> {
        if self.reason == CancelReason::RolledBack {
            // Its messages will be deleted, so that none of them leads to it.
            self.runs.tables().put(replaced_row(self.key, self.project)?).await?;
        }
        let cancelled = Box::pin(cancel(self.runs, self.key, Some(self.by), self.reason)).await?;
        Ok(cancelled != Cancel::Requested)
    }

    /// Waits for the end of a run that was asked to stop. If its owner turns out to be dead, ends it here. Returns `false`
    /// if the run did not end in time.
    async fn wait_for_end(&self) -> Result<bool, Error> {
        match timeout_at(self.end_of_patience(), Box::pin(self.until_ended())).await {
            Ok(ended) => ended.map(|()| true),
            Err(_) => Ok(false),
        }
    }

    /// The time at which a run that is asked to stop now must have made way.
    pub(super) fn end_of_patience(&self) -> Instant {
        Instant::now() + scaled(INTERRUPTION).max(self.runs.settings().lease * 2)
    }

    async fn until_ended(&self) -> Result<(), Error> {
        let settings = self.runs.settings();
        let mut follow = Follow::new(self.runs.storage().clone(), self.key, Seq::START);
        let mut next_check = Instant::now() + settings.lease;
        loop {
            match follow.poll().await? {
                Poll::Closed => return Ok(()),
                Poll::Event(_) => {}
                Poll::Idle if Instant::now() >= next_check => {
                    next_check = Instant::now() + settings.idle_check;
                    if end_if_abandoned(self.runs, self.key).await? != Cancel::Requested {
                        return Ok(());
                    }
                }
                Poll::Idle => {}
            }
        }
    }
}
