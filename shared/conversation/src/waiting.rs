//! Runs that wait for child runs or jobs without an owner.

use sequent_core::Timestamp;
use sequent_runlog::{LogKey, Storage as _, Waiting};

use crate::{Error, RunStore, Runs, queue};

/// Returns `true` if a waiting run has something to continue with: an event of another process, the end of a child, or the
/// end of its time. Costs two small reads at most, so that a duplicate or early message is cheap.
///
/// # Errors
/// Fails if the table or the log fails.
pub async fn has_news(runs: &RunStore, key: LogKey, waiting: &Waiting) -> Result<bool, Error> {
    if Timestamp::now() >= waiting.until {
        return Ok(true);
    }
    let tail = runs.storage().tail(key).await?;
    if tail.is_some_and(|tail| tail.last() > waiting.after) {
        return Ok(true);
    }
    let children = Runs::new(runs.tables(), key.tenant).get_many(&waiting.children).await?;
    Ok(children.len() < waiting.children.len() || children.iter().any(|child| child.has_ended()))
}

/// Has the run delivered to a worker if it waits without an owner. Called after an event was appended that its next owner
/// has to read. If that fails, a later sweep delivers the run.
pub async fn wake_if_waiting(runs: &RunStore, key: LogKey) {
    let woken = async {
        let run = Runs::new(runs.tables(), key.tenant).get(key.run).await?;
        if run.waiting.is_some() { queue(runs.tables(), key).await } else { Ok(()) }
    };
    if let Err(error) = woken.await {
        tracing::warn!(run = %key.run, %error, "could not queue a waiting run; a later sweep delivers it");
    }
}
