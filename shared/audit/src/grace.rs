//! The times after which a state counts as stuck.

use std::time::Duration;

use sequent_core::pace::scaled;

/// The times after which a state counts as stuck.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grace {
    /// Time in which a sweep must have worked on a row that is due. The sweeps run every minute.
    pub sweep: Duration,
    /// Time for which work may wait for a worker, and for which a run may write nothing. A queue that is older than half
    /// an hour raises an alarm of its own.
    pub work: Duration,
    /// Time after the end of a run for which its row is compared with its log. Nothing changes either of them later.
    pub ended: Duration,
}

impl Default for Grace {
    fn default() -> Self {
        Self {
            sweep: scaled(Duration::from_secs(5 * 60)),
            work: scaled(Duration::from_secs(3600)),
            ended: scaled(Duration::from_secs(2 * 24 * 3600)),
        }
    }
}
