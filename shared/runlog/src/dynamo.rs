//! Logs in DynamoDB: the `events` table, and the lease part of the run's row in `main`.

use std::sync::Arc;

use aws_sdk_dynamodb::{
    error::SdkError,
    types::{AttributeValue as Value, ReturnValuesOnConditionCheckFailure},
};
use sequent_core::{RunId, Timestamp};
use sequent_event::{Entry, Seq};
use sequent_tables::{Cancelled, Change, Error, Item, Reason, Row, Store, Transaction, classify, key};

use crate::{AppendError, LogKey, ReadError, Segment, Storage, WriterId};

const FREE: &str = "attribute_not_exists(seq)";

/// The tables as storage of logs.
#[derive(Debug, Clone)]
pub struct DynamoStorage {
    store: Store,
}

/// Writes to `main` that join an append's transaction. Their indexes start at 1; 0 is the segment.
pub type TransactionRows = Arc<dyn Fn(Transaction) -> Transaction + Send + Sync>;

impl DynamoStorage {
    /// Logs in the store's `events` table.
    #[must_use]
    pub fn new(store: Store) -> Self {
        Self { store }
    }

    /// The store.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// `row`, a new run's, with the lease of epoch 1 that [`open`](crate::open) takes: the run's row and its lease
    /// are one item, which a transaction may touch only once.
    #[must_use]
    pub fn leased(row: Row, run: RunId, until: Timestamp) -> Row {
        row.with("lease_until", Value::N(until.millis().to_string()))
            .with("lease_epoch", Value::N("1".to_owned()))
            .gsi2(key::active_run(run, until))
    }

    async fn put(&self, item: Item) -> Result<(), AppendError> {
        let sent = self
            .store
            .client()
            .put_item()
            .table_name(&*self.store.tables().events)
            .set_item(Some(item))
            .condition_expression(FREE)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        match sent {
            Ok(_) => Ok(()),
            Err(SdkError::ServiceError(failed)) if failed.err().is_conditional_check_failed_exception() => {
                use aws_sdk_dynamodb::operation::put_item::PutItemError;
                let item = match failed.into_err() {
                    PutItemError::ConditionalCheckFailedException(failed) => failed.item,
                    _ => None,
                };
                Err(conflict(item))
            }
            Err(error) => Err(failed(classify(error))),
        }
    }
}

impl Storage for DynamoStorage {
    type Rows = Option<TransactionRows>;

    async fn append(
        &self,
        key: LogKey,
        segment: &Segment,
        with: &Option<TransactionRows>,
    ) -> Result<(), AppendError> {
        let item = encode(key, segment);
        let Some(rows) = with else { return self.put(item).await };
        let put = Transaction::new().put_item(&self.store.tables().events, item, Some(FREE));
        match rows(put).run(&self.store).await {
            Ok(()) => Ok(()),
            Err(Cancelled::Failed(error)) => Err(failed(error)),
            Err(Cancelled::Reasons(mut reasons)) => Err(match reasons.first_mut() {
                Some(Reason::Condition(item)) => conflict(item.take().map(|item| *item)),
                // An earlier attempt of ours may hold the position, with its rows already applied: their
                // verdict means nothing until the position is decided.
                Some(Reason::Contention) => AppendError::Busy,
                Some(Reason::Other(code)) => AppendError::Refused(std::mem::take(code).into()),
                _ => match Cancelled::Reasons(reasons) {
                    transient if transient.is_transient() => AppendError::Busy,
                    refused => AppendError::RowsRefused(refused),
                },
            }),
        }
    }

    async fn read(&self, key: LogKey, after: Seq) -> Result<Vec<Segment>, ReadError> {
        let output = self
            .store
            .client()
            .query()
            .table_name(&*self.store.tables().events)
            .key_condition_expression("#run = :run AND seq > :after")
            .expression_attribute_names("#run", "run")
            .expression_attribute_values(":run", Value::S(key::run_log(key.tenant, key.run)))
            .expression_attribute_values(":after", Value::N(after.to_string()))
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| unreadable(classify(error)))?;
        output.items.unwrap_or_default().into_iter().map(decode).collect()
    }

    async fn tail(&self, key: LogKey) -> Result<Option<Segment>, ReadError> {
        let output = self
            .store
            .client()
            .query()
            .table_name(&*self.store.tables().events)
            .key_condition_expression("#run = :run")
            .expression_attribute_names("#run", "run")
            .expression_attribute_values(":run", Value::S(key::run_log(key.tenant, key.run)))
            .consistent_read(true)
            .scan_index_forward(false)
            .limit(1)
            .send()
            .await
            .map_err(|error| unreadable(classify(error)))?;
        output.items.unwrap_or_default().into_iter().next().map(decode).transpose()
    }

    async fn lease(&self, key: LogKey) -> Result<Option<Timestamp>, ReadError> {
        let output = self
            .store
            .client()
            .get_item()
            .table_name(&*self.store.tables().main)
            .set_key(Some(key::run(key.tenant, key.run).attributes()))
            .projection_expression("lease_until")
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| unreadable(classify(error)))?;
        Ok(output.item.and_then(|item| number(&item, "lease_until")).map(Timestamp::from_millis))
    }

    async fn renew(&self, key: LogKey, epoch: u32, until: Option<Timestamp>) -> Result<(), AppendError> {
        let change = lease_change(key, epoch, until, "lease_epoch = :epoch");
        let mut update = self
            .store
            .client()
            .update_item()
            .table_name(&*self.store.tables().main)
            .set_key(Some(key::run(key.tenant, key.run).attributes()))
            .update_expression(change.update)
            .set_condition_expression(change.condition);
        for (name, value) in change.values {
            update = update.expression_attribute_values(name, value);
        }
        match update.send().await.map_err(classify) {
            // A later epoch holds the lease, or the run has ended: nothing of ours to renew.
            Ok(_) | Err(Error::Conflict(_)) => Ok(()),
            Err(error) => Err(failed(error)),
        }
    }

    fn with_lease(
        &self,
        rows: Option<TransactionRows>,
        key: LogKey,
        epoch: u32,
        until: Timestamp,
    ) -> Option<TransactionRows> {
        // A new run's row is put with its lease by whoever creates it: one transaction may touch an item only once.
        if rows.is_some() {
            return rows;
        }
        let (store, at) = (self.store.clone(), self.now());
        Some(Arc::new(move |transaction: Transaction| {
            let mut change = lease_change(key, epoch, Some(until), "attribute_exists(pk)");
            // Whoever claims a run executes it: from now on its row says so.
            change.update.push_str(", #status = :running");
            change.names.push(("#status", "status"));
            change.values.push((":running", Value::S("running".to_owned())));
            if epoch == 1 {
                change.update.push_str(", started_at = :now");
                change.values.push((":now", Value::S(at.to_string())));
            }
            // Delivered: what changes from now on is no reason to deliver it.
            change.update.push_str(" REMOVE queued_at");
            transaction.update(&store, &key::run(key.tenant, key.run), change)
        }))
    }

    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// Sets or clears the lease part of a run's row, and its place in the sweeper's index.
fn lease_change(key: LogKey, epoch: u32, until: Option<Timestamp>, condition: &str) -> Change {
    let mut change = Change {
        condition: Some(condition.to_owned()),
        values: vec![(":epoch", Value::N(epoch.to_string()))],
        ..Change::default()
    };
    let index = key::active_run(key.run, until.unwrap_or(Timestamp::from_millis(0)));
    change.values.push((":pk", Value::S(index.pk().to_owned())));
    change.values.push((":sk", Value::S(index.sk().to_owned())));
    change.update = match until {
        Some(until) => {
            change.values.push((":until", Value::N(until.millis().to_string())));
            "SET lease_until = :until, lease_epoch = :epoch, gsi2pk = :pk, gsi2sk = :sk".to_owned()
        }
        // Given up, not ended: the sweeper finds it first of all.
        None => "SET lease_epoch = :epoch, gsi2pk = :pk, gsi2sk = :sk REMOVE lease_until".to_owned(),
    };
    change
}

fn encode(key: LogKey, segment: &Segment) -> Item {
    let events = serde_json::to_string(&segment.entries).expect("entries are maps with string keys");
    Item::from([
        ("run".to_owned(), Value::S(key::run_log(key.tenant, key.run))),
        ("seq".to_owned(), Value::N(segment.first.to_string())),
        ("last".to_owned(), Value::N(segment.last().to_string())),
        ("writer".to_owned(), Value::S(segment.writer.0.clone())),
        ("batch".to_owned(), Value::S(segment.batch.clone())),
        ("epoch".to_owned(), Value::N(segment.epoch.to_string())),
        ("at".to_owned(), Value::N(segment.at.millis().to_string())),
        ("events".to_owned(), Value::S(events)),
    ])
}

fn decode(item: Item) -> Result<Segment, ReadError> {
    let malformed = || ReadError::Malformed("a segment lacks an attribute".into());
    let text = |name: &str| item.get(name).and_then(|value| value.as_s().ok()).ok_or_else(malformed);
    let entries: Vec<Entry> =
        serde_json::from_str(text("events")?).map_err(|error| ReadError::Malformed(Box::new(error)))?;
    let integer = |name: &str| number(&item, name).ok_or_else(malformed);
    let position = |name: &str| u64::try_from(integer(name)?).map_err(|_| malformed());
    let segment = Segment {
        first: Seq(position("seq")?),
        writer: WriterId(text("writer")?.clone()),
        batch: text("batch")?.clone(),
        epoch: u32::try_from(integer("epoch")?).map_err(|_| malformed())?,
        at: Timestamp::from_millis(integer("at")?),
        entries,
    };
    if segment.entries.is_empty() || position("last")? != segment.last().0 {
        return Err(ReadError::Malformed("a segment's events do not fill its range".into()));
    }
    Ok(segment)
}

fn number(item: &Item, name: &str) -> Option<i64> {
    item.get(name)?.as_n().ok()?.parse().ok()
}

fn conflict(item: Option<Item>) -> AppendError {
    match item.map(decode) {
        Some(Ok(segment)) => AppendError::Conflict(Box::new(segment)),
        Some(Err(error)) => AppendError::Refused(Box::new(error)),
        // The condition failed, so something stands there; without it we cannot tell whose. Ask again.
        None => AppendError::Busy,
    }
}

fn failed(error: Error) -> AppendError {
    match error {
        Error::Throttled => AppendError::Busy,
        Error::Ambiguous(_) => AppendError::Ambiguous,
        other => AppendError::Refused(Box::new(other)),
    }
}

fn unreadable(error: Error) -> ReadError {
    match error {
        Error::Malformed(source) => ReadError::Malformed(source),
        other => ReadError::Unavailable(Box::new(other)),
    }
}
