//! Finding the jobs that somebody has to look at because time has passed: not delivered, due again, or left by a worker
//! whose lease is over.

use std::time::Duration;

use aws_sdk_dynamodb::types::{AttributeValue as Value, ReturnValue};
use sequent_core::{JobId, TenantId, Timestamp};
use sequent_tables::{Error as DataError, Item, Key, Store, classify, key};

use crate::{Delivery, Error, Queue};

/// How long after its mark, or its time, a job counts as undelivered.
pub const GRACE: Duration = Duration::from_secs(30);

/// A walk over an index of jobs: those that are due, or those that ended long ago.
#[derive(Debug)]
pub struct Sweep<'a> {
    store: &'a Store,
    before: String,
    of: fn(u8) -> String,
    shard: u8,
    after: Option<Item>,
}

/// A job that was found.
#[derive(Debug)]
pub struct Due {
    /// Whose.
    pub tenant: TenantId,
    /// The job.
    pub job: JobId,
    /// The sort key it was found under.
    pub(crate) entry: String,
}

impl<'a> Sweep<'a> {
    /// Entries a page has at most.
    const PAGE: i32 = 100;

    /// Of the jobs that are due at `now`.
    #[must_use]
    pub fn due(store: &'a Store, now: Timestamp) -> Self {
        Self { store, before: key::due_before(now), of: key::active_job_shard, shard: 0, after: None }
    }

    /// Of the jobs that ended at `cutoff` or before.
    pub(crate) fn ended(store: &'a Store, cutoff: Timestamp) -> Self {
        Self { store, before: key::due_before(cutoff), of: key::ended_job_shard, shard: 0, after: None }
    }

    /// The next page, which may be empty; `None` at the end.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub async fn page(&mut self) -> Result<Option<Vec<Due>>, Error> {
        if self.shard >= key::ACTIVE_SHARDS {
            return Ok(None);
        }
        let output = self
            .store
            .client()
            .query()
            .table_name(&*self.store.tables().main)
            .index_name("gsi2")
            .key_condition_expression("gsi2pk = :pk AND gsi2sk < :before")
            .expression_attribute_values(":pk", Value::S((self.of)(self.shard)))
            .expression_attribute_values(":before", Value::S(self.before.clone()))
            .set_exclusive_start_key(self.after.take())
            .limit(Self::PAGE)
            .send()
            .await
            .map_err(classify)?;
        self.after = output.last_evaluated_key;
        if self.after.is_none() {
            self.shard += 1;
        }
        let found = output.items.unwrap_or_default().into_iter().filter_map(|item| {
            let (tenant, job) = key::parse_job(&Key::of_item(&item)?)?;
            let entry = item.get("gsi2sk")?.as_s().ok()?.clone();
            Some(Due { tenant, job, entry })
        });
        Ok(Some(found.collect()))
    }
}

impl Due {
    /// The message that delivers it.
    #[must_use]
    pub fn delivery(&self) -> Delivery {
        Delivery { tenant_id: self.tenant, job_id: self.job }
    }

    /// Moves the job to `until`, if it still is where it was found. Of several sweeps one is told which workers to deliver
    /// it to.
    ///
    /// # Errors
    /// When the table fails.
    pub async fn postpone(&self, store: &Store, until: Timestamp) -> Result<Option<Queue>, Error> {
        let index = key::active_job(self.job, until);
        let moved = store
            .client()
            .update_item()
            .table_name(&*store.tables().main)
            .set_key(Some(key::job(self.tenant, self.job).attributes()))
            .update_expression("SET gsi2sk = :to")
            .condition_expression("gsi2sk = :entry")
            .expression_attribute_values(":to", Value::S(index.sk().to_owned()))
            .expression_attribute_values(":entry", Value::S(self.entry.clone()))
            .return_values(ReturnValue::AllNew)
            .send()
            .await;
        match moved.map_err(classify) {
            Ok(output) => {
                let queue = output.attributes.as_ref().and_then(|row| row.get("queue")).cloned();
                let queue = queue.and_then(|queue| serde_dynamo::from_attribute_value(queue).ok());
                Ok(Some(queue.unwrap_or_default()))
            }
            Err(DataError::Conflict(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}
