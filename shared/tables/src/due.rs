//! Due indexes: rows that a sweep reads when their time has come.
//!
//! A due row has a position in the second index (`gsi2`): a shard, and a sort key that begins with the time at which
//! the row is due. The indexes span all tenants, contain keys only, and are read by the scheduled sweeps only. Several
//! sweeps may run at once: each change of a row requires the position at which the row was found, so one of them wins.

use aws_sdk_dynamodb::types::AttributeValue;
use sequent_core::Timestamp;
use serde::de::{DeserializeOwned, IgnoredAny};

use crate::{Condition, Error, Item, Key, Store, Update, attribute, error::classify, key};

/// Digits of the time at the beginning of a position.
const TIME_DIGITS: usize = 15;
/// Rows of one page.
const PAGE: i32 = 100;

/// An index of rows by the time at which they are due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DueIndex {
    /// Runs that have not ended, by the end of their lease, their delivery or the expiry of a question.
    Runs,
    /// Jobs that have not ended, by the end of their lease or the time of their next attempt.
    Jobs,
    /// Jobs that have ended, by the time of their end.
    EndedJobs,
    /// Schedules, by the time of their next run.
    Schedules,
    /// Stored objects that may have no reference, by the time at which an upload last wanted them.
    Objects,
}

impl DueIndex {
    /// Reads the rows that are due at `now`, page by page.
    #[must_use]
    pub fn sweep(self, store: &Store, now: Timestamp) -> Sweep<'_> {
        Sweep { store, index: self, before: key::due_before(now), shard: 0, after: None }
    }

    const fn shards(self) -> u8 {
        match self {
            Self::Runs | Self::Jobs | Self::EndedJobs | Self::Schedules => key::ACTIVE_SHARDS,
            Self::Objects => key::GARBAGE_SHARDS,
        }
    }

    fn partition(self, shard: u8) -> String {
        match self {
            Self::Runs => key::active_shard(shard),
            Self::Jobs => key::active_job_shard(shard),
            Self::EndedJobs => key::ended_job_shard(shard),
            Self::Schedules => key::due_schedule_shard(shard),
            Self::Objects => key::garbage_shard(shard),
        }
    }
}

/// A walk over the due rows of one index.
#[derive(Debug)]
pub struct Sweep<'a> {
    store: &'a Store,
    index: DueIndex,
    before: String,
    shard: u8,
    after: Option<Item>,
}

impl Sweep<'_> {
    /// Reads the next page, which may be empty. Returns `None` at the end.
    ///
    /// # Errors
    /// Returns an error if the index cannot be read.
    pub async fn page(&mut self) -> Result<Option<Vec<Due>>, Error> {
        if self.shard >= self.index.shards() {
            return Ok(None);
        }
        let output = self
            .store
            .client()
            .query()
            .table_name(&*self.store.tables().main)
            .index_name("gsi2")
            .key_condition_expression("gsi2pk = :pk AND gsi2sk < :before")
            .expression_attribute_values(":pk", AttributeValue::S(self.index.partition(self.shard)))
            .expression_attribute_values(":before", AttributeValue::S(self.before.clone()))
            .set_exclusive_start_key(self.after.take())
            .limit(PAGE)
            .send()
            .await
            .map_err(classify)?;
        self.after = output.last_evaluated_key;
        if self.after.is_none() {
            self.shard += 1;
        }
        Ok(Some(output.items.unwrap_or_default().iter().filter_map(Due::of_item).collect()))
    }
}

/// Returns the time at which a row that was read is due. Returns `None` if it is in no due index.
#[must_use]
pub fn due_at(item: &Item) -> Option<Timestamp> {
    let millis = item.get("gsi2sk")?.as_s().ok()?.get(..TIME_DIGITS)?.parse().ok()?;
    Some(Timestamp::from_millis(millis))
}

/// A row that is due, and the position at which it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    key: Key,
    position: String,
}

impl Due {
    fn of_item(item: &Item) -> Option<Self> {
        let position = item.get("gsi2sk")?.as_s().ok()?;
        position.is_char_boundary(TIME_DIGITS).then_some(())?;
        Some(Self { key: Key::of_item(item)?, position: position.clone() })
    }

    /// The key of the row. [`key::parse_run`] and its like return the ids in it.
    #[must_use]
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// The time at which the row is due.
    #[must_use]
    pub fn at(&self) -> Timestamp {
        Timestamp::from_millis(self.position[..TIME_DIGITS].parse().unwrap_or(0))
    }

    /// Requires that the row still has the position at which it was found.
    #[must_use]
    pub fn is_unmoved(&self) -> Condition {
        attribute("gsi2sk").equals(&self.position)
    }

    /// Returns `true` if a row that was read again has the position `gsi2sk`, where this one was found.
    #[must_use]
    pub fn is_at(&self, gsi2sk: &str) -> bool {
        self.position == gsi2sk
    }

    /// Makes the row due at `until` instead. Returns the row as it is then, or `None` if it was moved meanwhile: of
    /// several sweeps one gets the row. (Two sweeps with the same `until` may both get it if an answer is lost, which is
    /// why a row that was swept is delivered at least once, not exactly once.)
    ///
    /// # Errors
    /// Returns an error if the table fails or the row is not a `T`.
    pub async fn postpone<T: DeserializeOwned>(
        &self,
        store: &Store,
        until: Timestamp,
    ) -> Result<Option<T>, Error> {
        let position = format!("{:015}{}", until.millis(), &self.position[TIME_DIGITS..]);
        store.update_if(Update::of(&self.key).set("gsi2sk", position).when(self.is_unmoved())).await
    }

    /// Removes the row from the index. Returns `false` if it was moved meanwhile.
    ///
    /// # Errors
    /// Returns an error if the table fails.
    pub async fn forget(&self, store: &Store) -> Result<bool, Error> {
        let update = Update::of(&self.key).remove_gsi2().when(self.is_unmoved());
        Ok(store.update_if::<IgnoredAny>(update).await?.is_some())
    }
}
