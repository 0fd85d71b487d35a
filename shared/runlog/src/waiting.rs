//! The mark of a run that waits for child runs or jobs without an owner.

use std::time::Duration;

use sequent_core::{RunId, Timestamp};
use sequent_event::{Seq, State};
use serde::{Deserialize, Serialize};

/// Time after which a sweep looks at a waiting run. The end of a child run or of a job wakes it at once, so this only makes
/// up for a lost message.
pub const WAIT_CHECK: Duration = Duration::from_secs(5 * 60);

/// The reason to leave a run without an owner. Nothing claims the run before the log has an event after `after`, a child
/// has ended, or `until` has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// The position of the last event that the owner had acted on when it released its lease.
    pub after: Seq,
    /// The child runs that had not ended.
    pub children: Vec<RunId>,
    /// The end of the time that the run may take.
    pub until: Timestamp,
}

impl Waiting {
    /// Returns the mark of a run whose log leads to `state`, and whose owner has acted on its events up to `acted`.
    #[must_use]
    pub fn of(state: &State, acted: Seq, until: Timestamp) -> Self {
        let children = state.live_children().map(|child| child.run).collect();
        Self { after: acted.min(state.last), children, until }
    }
}

/// The lease of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lease {
    /// An owner holds it until this time, and may renew it.
    Held(Timestamp),
    /// The last owner released it in order, because the run waits for child runs or jobs. It had acted on the events up to
    /// this position.
    Waiting(Seq),
    /// Every process may claim the run: it had no owner yet, or the last one gave it up.
    Free,
}
