//! The outbox of runs: an attribute of a run's row that has the run delivered to a worker.
//!
//! The attribute is written with the row or not at all, and the table's stream turns each new value into a message of
//! the queue (a transactional outbox). A message means only that the run may need an owner. The worker that receives it
//! reads the log, so messages may be lost, duplicated and late without harm. A sweep finds the runs whose message was
//! lost.

use std::time::Duration;

use sequent_core::{RunId, TenantId, Timestamp, pace::scaled};
use sequent_runlog::LogKey;
use sequent_tables::{
    Item, Key, Row, Store, Update, attribute, attribute_of, attributes::QUEUED_AT, exists, key,
};
use serde::{Deserialize, Serialize};

use crate::{Error, RunStatus};

/// Time after which a queued run without an owner counts as undelivered.
pub const GRACE: Duration = Duration::from_secs(30);

/// A message of the queue of runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "plain data")]
pub struct Delivery {
    pub tenant_id: TenantId,
    pub run_id: RunId,
}

impl Delivery {
    /// Encodes the message as JSON.
    #[must_use]
    pub fn to_json(self) -> String {
        serde_json::to_string(&self).expect("two ids serialise to a map")
    }

    /// Decodes a message.
    ///
    /// # Errors
    /// Fails if the text is not a message of this queue.
    pub fn from_json(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }

    /// Returns the key of the run's log.
    #[must_use]
    pub fn key(self) -> LogKey {
        LogKey { tenant: self.tenant_id, run: self.run_id }
    }

    /// Returns the run that ends with a change of a row of `main`. Returns `None` for every other change.
    #[must_use]
    pub fn of_end(old: Option<&Item>, new: &Item) -> Option<Self> {
        let (tenant_id, run_id) = Key::of_item(new).as_ref().and_then(key::parse_run)?;
        let has_ended = |item: &Item| attribute_of(item, "status").is_some_and(RunStatus::has_ended);
        (has_ended(new) && !old.is_some_and(has_ended)).then_some(Self { tenant_id, run_id })
    }

    /// Returns the messages that a change of a row of `main` leads to: one for the run itself if it was queued, and one
    /// for its parent if the run has ended. Rows of other kinds lead to none.
    #[must_use]
    pub fn of_change(old: Option<&Item>, new: &Item) -> Vec<Self> {
        let Some((tenant_id, run_id)) = Key::of_item(new).as_ref().and_then(key::parse_run) else {
            return Vec::new();
        };
        let queued_at = new.get(QUEUED_AT);
        let is_queued = queued_at.is_some() && old.and_then(|old| old.get(QUEUED_AT)) != queued_at;
        let ended_now = Self::of_end(old, new).is_some();
        let parent = attribute_of::<RunId>(new, "parent_run_id").filter(|_| ended_now);
        let runs = is_queued.then_some(run_id).into_iter().chain(parent);
        runs.map(|run_id| Self { tenant_id, run_id }).collect()
    }
}

impl From<LogKey> for Delivery {
    fn from(key: LogKey) -> Self {
        Self { tenant_id: key.tenant, run_id: key.run }
    }
}

/// Adds the outbox attribute to the row of a new run.
pub(crate) fn queued(row: Row, run: RunId, now: Timestamp) -> Row {
    row.set(QUEUED_AT, now.millis()).gsi2(key::active_run(run, now + scaled(GRACE)))
}

/// Adds the outbox attribute to an update of a run's row.
pub(crate) fn queue_with(update: Update, now: Timestamp) -> Update {
    update.set(QUEUED_AT, now.millis())
}

/// Has the run delivered to a worker. Does nothing if the run has ended.
///
/// # Errors
/// Fails if the table fails.
pub async fn queue(store: &Store, key: LogKey) -> Result<(), Error> {
    let now = Timestamp::now();
    let has_not_ended = attribute("status").is_one_of(RunStatus::LIVE);
    let update = Update::of(&key::run(key.tenant, key.run))
        .gsi2(&key::active_run(key.run, now + scaled(GRACE)))
        .when(exists().and(has_not_ended));
    store.write_if(queue_with(update, now)).await?;
    Ok(())
}
