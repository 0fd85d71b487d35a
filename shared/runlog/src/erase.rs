//! Deleting a log, because the conversation that it belongs to is deleted.
//!
//! Segments are never changed, and only this module deletes them. Each deletion is part of a transaction with a check
//! that the caller adds, so that a mistake elsewhere cannot delete the log of a conversation that is kept.

use aws_sdk_dynamodb::types::AttributeValue as Value;
use sequent_tables::{Cancelled, Error, Retry, Transaction, Write, classify, key};

use crate::{DynamoStorage, LogKey};

/// Segments that are deleted in one transaction. A segment has at most 200 KB of events, and the items of a transaction
/// at most 4 MB together.
const AT_ONCE: i32 = 15;

impl DynamoStorage {
    /// Deletes the log, the last segments first. `check` is part of every transaction. A call that is repeated after an
    /// error or a crash deletes the rest.
    ///
    /// # Errors
    /// [`Cancelled`] if the check does not hold, or an error of the tables.
    pub async fn erase(&self, key: LogKey, check: &Write) -> Result<(), Cancelled> {
        loop {
            let positions = self.last_positions(key).await?;
            if positions.is_empty() {
                return Ok(());
            }
            let log = key::run_log(key.tenant, key.run);
            let deletions = positions.into_iter().map(|seq| Write::delete_segment(log.clone(), seq));
            let transaction = Transaction::new().write(check.clone());
            self.store().commit(deletions.fold(transaction, Transaction::write), Retry::CONTENDED).await?;
        }
    }

    /// Returns the positions of the last segments.
    async fn last_positions(&self, key: LogKey) -> Result<Vec<u64>, Error> {
        let output = self
            .store()
            .client()
            .query()
            .table_name(&*self.store().tables().events)
            .key_condition_expression("#run = :run")
            .expression_attribute_names("#run", "run")
            .expression_attribute_values(":run", Value::S(key::run_log(key.tenant, key.run)))
            .projection_expression("seq")
            .consistent_read(true)
            .scan_index_forward(false)
            .limit(AT_ONCE)
            .send()
            .await
            .map_err(classify)?;
        let items = output.items.unwrap_or_default();
        Ok(items.iter().filter_map(|item| item.get("seq")?.as_n().ok()?.parse().ok()).collect())
    }
}
