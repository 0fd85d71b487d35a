//! All-or-nothing writes over both tables.

use aws_sdk_dynamodb::{
    error::SdkError,
    operation::transact_write_items::TransactWriteItemsError,
    types::{
        AttributeValue, CancellationReason, ConditionCheck, Delete, Put, ReturnValuesOnConditionCheckFailure,
        TransactWriteItem, Update,
    },
};

use crate::{Error, Item, Key, Row, Store, error::classify};

/// Why one write of a cancelled transaction did not hold.
#[derive(Debug)]
pub enum Reason {
    /// This write was not the problem.
    None,
    /// Its condition did not hold; the row as it is, if there is one.
    Condition(Option<Box<Item>>),
    /// Another transaction had the row, or the table was throttled: try again.
    Contention,
    /// The service refused this write for another reason, such as its size.
    Other(String),
}

/// A transaction did not happen.
#[derive(Debug, thiserror::Error)]
pub enum Cancelled {
    /// At least one condition did not hold. One reason per write, in the order they were added.
    #[error("the transaction was cancelled: {0:?}")]
    Reasons(Vec<Reason>),
    /// No verdict on the conditions: throttled, ambiguous or refused as a whole.
    #[error(transparent)]
    Failed(#[from] Error),
}

impl Cancelled {
    /// Whether the write at `index` failed its condition.
    #[must_use]
    pub fn condition_failed(&self, index: usize) -> bool {
        matches!(self, Self::Reasons(reasons) if matches!(reasons.get(index), Some(Reason::Condition(_))))
    }

    /// Whether trying the very same transaction again may succeed.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Failed(error) => error.is_transient(),
            Self::Reasons(reasons) => {
                reasons.iter().any(|reason| matches!(reason, Reason::Contention))
                    && reasons.iter().all(|reason| matches!(reason, Reason::None | Reason::Contention))
            }
        }
    }
}

/// An update within a transaction, with its expression values.
#[derive(Debug, Clone, Default)]
pub struct Change {
    /// `UpdateExpression`.
    pub update: String,
    /// `ConditionExpression`.
    pub condition: Option<String>,
    /// `ExpressionAttributeNames`.
    pub names: Vec<(&'static str, &'static str)>,
    /// `ExpressionAttributeValues`.
    pub values: Vec<(&'static str, AttributeValue)>,
}

/// Up to 100 writes that happen together or not at all (4 MB; each costs double write units).
#[derive(Debug, Clone, Default)]
pub struct Transaction {
    writes: Vec<TransactWriteItem>,
}

impl Transaction {
    /// No writes yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How many writes it has: the index the next one will get.
    #[must_use]
    pub fn len(&self) -> usize {
        self.writes.len()
    }

    /// Whether it has no writes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.writes.is_empty()
    }

    /// Writes `row`, whatever was there.
    #[must_use]
    pub fn put(self, store: &Store, row: Row) -> Self {
        self.put_item(&store.tables().main, row.into_item(), None)
    }

    /// Writes `row` if there is none with its key.
    #[must_use]
    pub fn insert(self, store: &Store, row: Row) -> Self {
        self.put_item(&store.tables().main, row.into_item(), Some("attribute_not_exists(pk)"))
    }

    /// Writes an item of either table under a condition without values.
    #[must_use]
    pub fn put_item(mut self, table: &str, item: Item, condition: Option<&str>) -> Self {
        let put = Put::builder()
            .table_name(table)
            .set_item(Some(item))
            .set_condition_expression(condition.map(str::to_owned))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .build()
            .expect("table and item are set");
        self.writes.push(TransactWriteItem::builder().put(put).build());
        self
    }

    /// Writes `row` if the one that is there is as `condition` says.
    #[must_use]
    pub fn put_if(
        mut self,
        store: &Store,
        row: Row,
        condition: &str,
        values: Vec<(&'static str, AttributeValue)>,
    ) -> Self {
        let values = values.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        let put = Put::builder()
            .table_name(&*store.tables().main)
            .set_item(Some(row.into_item()))
            .condition_expression(condition)
            .set_expression_attribute_values(Some(values))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .build()
            .expect("table, item and condition are set");
        self.writes.push(TransactWriteItem::builder().put(put).build());
        self
    }

    /// Changes the row at `key`.
    #[must_use]
    pub fn update(mut self, store: &Store, key: &Key, change: Change) -> Self {
        let names = (!change.names.is_empty())
            .then(|| change.names.into_iter().map(|(name, of)| (name.to_owned(), of.to_owned())).collect());
        let values = (!change.values.is_empty())
            .then(|| change.values.into_iter().map(|(name, value)| (name.to_owned(), value)).collect());
        let update = Update::builder()
            .table_name(&*store.tables().main)
            .set_key(Some(key.attributes()))
            .update_expression(change.update)
            .set_condition_expression(change.condition)
            .set_expression_attribute_names(names)
            .set_expression_attribute_values(values)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .build()
            .expect("table, key and expression are set");
        self.writes.push(TransactWriteItem::builder().update(update).build());
        self
    }

    /// Deletes the row at `key`, whether or not it is there.
    #[must_use]
    pub fn delete(mut self, store: &Store, key: &Key) -> Self {
        let delete = Delete::builder()
            .table_name(&*store.tables().main)
            .set_key(Some(key.attributes()))
            .build()
            .expect("table and key are set");
        self.writes.push(TransactWriteItem::builder().delete(delete).build());
        self
    }

    /// Deletes the row at `key`, which must be there.
    #[must_use]
    pub fn remove(mut self, store: &Store, key: &Key) -> Self {
        let delete = Delete::builder()
            .table_name(&*store.tables().main)
            .set_key(Some(key.attributes()))
            .condition_expression("attribute_exists(pk)")
            .build()
            .expect("table, key and condition are set");
        self.writes.push(TransactWriteItem::builder().delete(delete).build());
        self
    }

    /// Deletes the row at `key` if it is as `condition` says.
    #[must_use]
    pub fn delete_if(
        mut self,
        store: &Store,
        key: &Key,
        condition: &str,
        values: Vec<(&'static str, AttributeValue)>,
    ) -> Self {
        let values = values.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        let delete = Delete::builder()
            .table_name(&*store.tables().main)
            .set_key(Some(key.attributes()))
            .condition_expression(condition)
            .set_expression_attribute_values(Some(values))
            .build()
            .expect("table and key are set");
        self.writes.push(TransactWriteItem::builder().delete(delete).build());
        self
    }

    /// Holds the transaction to a row that must exist.
    #[must_use]
    pub fn require(mut self, store: &Store, key: &Key) -> Self {
        let check = ConditionCheck::builder()
            .table_name(&*store.tables().main)
            .set_key(Some(key.attributes()))
            .condition_expression("attribute_exists(pk)")
            .build()
            .expect("table, key and condition are set");
        self.writes.push(TransactWriteItem::builder().condition_check(check).build());
        self
    }

    /// Holds the transaction to a log that nothing was appended to: no event stands at `seq`.
    #[must_use]
    pub fn require_end_of_log(mut self, store: &Store, log: String, seq: u64) -> Self {
        let key = Item::from([
            ("run".to_owned(), AttributeValue::S(log)),
            ("seq".to_owned(), AttributeValue::N(seq.to_string())),
        ]);
        let check = ConditionCheck::builder()
            .table_name(&*store.tables().events)
            .set_key(Some(key))
            .condition_expression("attribute_not_exists(seq)")
            .build()
            .expect("table, key and condition are set");
        self.writes.push(TransactWriteItem::builder().condition_check(check).build());
        self
    }

    /// Runs it once. The SDK's own retries carry one `ClientRequestToken`, so they cannot apply it twice; a retry
    /// by the caller is a new transaction, safe only where its conditions make it so.
    ///
    /// # Errors
    /// [`Cancelled`] tells per write why it did not happen, or that nothing is known.
    pub async fn run(self, store: &Store) -> Result<(), Cancelled> {
        let sent = store.client().transact_write_items().set_transact_items(Some(self.writes)).send().await;
        match sent {
            Ok(_) => Ok(()),
            Err(SdkError::ServiceError(service)) if service.err().is_transaction_canceled_exception() => {
                let TransactWriteItemsError::TransactionCanceledException(cancelled) = service.into_err()
                else {
                    return Err(Cancelled::Reasons(Vec::new()));
                };
                Err(Cancelled::Reasons(
                    cancelled.cancellation_reasons.unwrap_or_default().into_iter().map(reason).collect(),
                ))
            }
            Err(error) => Err(Cancelled::Failed(classify(error))),
        }
    }
}

fn reason(from: CancellationReason) -> Reason {
    match from.code.as_deref() {
        None | Some("None") => Reason::None,
        Some("ConditionalCheckFailed") => Reason::Condition(from.item.map(Box::new)),
        Some("TransactionConflict" | "ProvisionedThroughputExceeded" | "ThrottlingError") => {
            Reason::Contention
        }
        Some(other) => Reason::Other(other.to_owned()),
    }
}
