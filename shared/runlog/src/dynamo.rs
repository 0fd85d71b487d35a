//! Logs in DynamoDB: the `events` table, and the lease part of the run's row in `main`.

use std::{sync::Arc, time::Duration};

use aws_sdk_dynamodb::types::AttributeValue as Value;
use sequent_core::{RunId, Timestamp, pace::scaled};
use sequent_event::{Entry, Seq};
use sequent_tables::{
    Cancelled, Error, Item, Reason, Reasons, Row, Store, Transaction, Update, Write, attribute,
    attributes::{LEASE_EPOCH, LEASE_UNTIL, QUEUED_AT},
    classify, exists, key,
};

use crate::{
    AppendError, Consistency, Lease, LogKey, ReadError, Segment, SegmentPage, Storage, WAIT_CHECK, Waiting,
    WriterId,
};

/// The attribute of a run's row with its [`Waiting`].
const WAITING: &str = "waiting";

/// Time by which a sweep is later than the end of a run's time, because the clock of the worker may be behind. A worker that
/// is too early leaves the run to the next sweep.
const CLOCK_SKEW: Duration = Duration::from_secs(1);

/// DynamoDB as the storage of logs.
#[derive(Debug, Clone)]
pub struct DynamoStorage {
    store: Store,
}

/// Adds writes to `main` to the transaction of an append. They come after those of the segments.
pub type TransactionRows = Arc<dyn Fn(Transaction) -> Transaction + Send + Sync>;

impl DynamoStorage {
    /// Stores logs in the `events` table of the store.
    #[must_use]
    pub fn new(store: Store) -> Self {
        Self { store }
    }

    /// The underlying store, for rows other than logs.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Adds the lease of epoch 1, which [`create_claimed`](crate::create_claimed) takes, to the row of a new
    /// run. The row and the lease are one item, and a transaction may touch an item only once.
    #[must_use]
    pub fn leased(row: Row, run: RunId, until: Timestamp) -> Row {
        row.set(LEASE_UNTIL, until.millis()).set(LEASE_EPOCH, 1).gsi2(key::active_run(run, until))
    }

    /// As [`Storage::lease`] for half the cost, but the lease may have changed lately.
    ///
    /// # Errors
    /// If the row cannot be read.
    pub async fn recent_lease(&self, key: LogKey) -> Result<Lease, ReadError> {
        self.read_lease(key, Consistency::Eventual).await
    }

    async fn read_lease(&self, key: LogKey, consistency: Consistency) -> Result<Lease, ReadError> {
        let output = self
            .store
            .client()
            .get_item()
            .table_name(&*self.store.tables().main)
            .set_key(Some(key::run(key.tenant, key.run).attributes()))
            .projection_expression("lease_until, #waiting")
            .expression_attribute_names("#waiting", WAITING)
            .consistent_read(consistency == Consistency::Strong)
            .send()
            .await
            .map_err(|error| unreadable(classify(error)))?;
        let row = output.item.unwrap_or_default();
        let waiting = || row.get(WAITING)?.as_m().ok()?.get("after")?.as_n().ok()?.parse().ok();
        Ok(match (number(&row, LEASE_UNTIL), waiting()) {
            (Some(until), _) => Lease::Held(Timestamp::from_millis(until)),
            (None, Some(after)) => Lease::Waiting(Seq(after)),
            (None, None) => Lease::Free,
        })
    }
}

impl Storage for DynamoStorage {
    type Rows = Option<TransactionRows>;

    async fn append(
        &self,
        key: LogKey,
        segments: &[Segment],
        with: &Option<TransactionRows>,
    ) -> Result<(), AppendError> {
        if let ([segment], None) = (segments, with) {
            let write = Write::append(encode(key, segment));
            return self.store.write_once(write).await.map_err(|error| match error {
                Error::Conflict(item) => conflict(item.map(|item| *item)),
                error => failed(error),
            });
        }
        let writes = segments.iter().map(|segment| Write::append(encode(key, segment)));
        let transaction = writes.fold(Transaction::new(), Transaction::write);
        let transaction = with.iter().fold(transaction, |transaction, rows| rows(transaction));
        match transaction.run(&self.store).await {
            Ok(()) => Ok(()),
            // Segments are valid and within the limits of the table, so some row is not.
            Err(cancelled @ Cancelled::Failed(Error::Limit(_) | Error::Refused(_))) if with.is_some() => {
                Err(AppendError::RowsRefused(cancelled))
            }
            Err(Cancelled::Failed(error)) => Err(failed(error)),
            Err(Cancelled::Reasons(reasons)) => Err(refusal(reasons)),
        }
    }

    async fn read(
        &self,
        key: LogKey,
        after: Seq,
        consistency: Consistency,
    ) -> Result<SegmentPage, ReadError> {
        let output = self
            .store
            .client()
            .query()
            .table_name(&*self.store.tables().events)
            .key_condition_expression("#run = :run AND seq > :after")
            .expression_attribute_names("#run", "run")
            .expression_attribute_values(":run", Value::S(key::run_log(key.tenant, key.run)))
            .expression_attribute_values(":after", Value::N(after.to_string()))
            .consistent_read(consistency == Consistency::Strong)
            .send()
            .await
            .map_err(|error| unreadable(classify(error)))?;
        let has_more = output.last_evaluated_key.is_some();
        let segments: Result<_, _> = output.items.unwrap_or_default().into_iter().map(decode).collect();
        Ok(SegmentPage { segments: segments?, has_more })
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

    async fn lease(&self, key: LogKey) -> Result<Lease, ReadError> {
        self.read_lease(key, Consistency::Strong).await
    }

    async fn renew(&self, key: LogKey, epoch: u32, until: Option<Timestamp>) -> Result<(), AppendError> {
        let held = attribute(LEASE_EPOCH).equals(epoch);
        // If the condition does not hold, a later epoch holds the lease or the run has ended: there is
        // nothing to renew.
        let renewed = self.store.write_if(lease_update(key, epoch, until).when(held)).await;
        renewed.map(|_| ()).map_err(failed)
    }

    async fn wait(&self, key: LogKey, epoch: u32, waiting: &Waiting) -> Result<(), AppendError> {
        let due = (waiting.until + scaled(CLOCK_SKEW)).min(self.now() + scaled(WAIT_CHECK));
        let update =
            lease_update(key, epoch, None).set(WAITING, waiting).gsi2(&key::active_run(key.run, due));
        let held = attribute(LEASE_EPOCH).equals(epoch);
        self.store.write_if(update.when(held)).await.map(|_| ()).map_err(failed)
    }

    fn with_lease(
        &self,
        rows: Option<TransactionRows>,
        key: LogKey,
        epoch: u32,
        until: Timestamp,
    ) -> Option<TransactionRows> {
        // The caller that creates a run stores its row with the lease: a transaction may touch an item only
        // once.
        if rows.is_some() {
            return rows;
        }
        let at = self.now();
        Some(Arc::new(move |transaction: Transaction| {
            // The process that claims a run executes it, so the row becomes `running`. The run is delivered,
            // so later changes of the row must not send its message again.
            let mut update = lease_update(key, epoch, Some(until))
                .set("status", "running")
                .remove(QUEUED_AT)
                .remove(WAITING);
            if epoch == 1 {
                update = update.set("started_at", at.to_string());
            }
            transaction.write(update.when(exists()))
        }))
    }

    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// Sets or clears the lease on a run's row and moves the row in the index of active runs.
fn lease_update(key: LogKey, epoch: u32, until: Option<Timestamp>) -> Update {
    // A run whose lease is released has not ended, so the sweep finds it first.
    let position = key::active_run(key.run, until.unwrap_or(Timestamp::from_millis(0)));
    let update = Update::of(&key::run(key.tenant, key.run)).set(LEASE_EPOCH, epoch).gsi2(&position);
    match until {
        Some(until) => update.set(LEASE_UNTIL, until.millis()),
        None => update.remove(LEASE_UNTIL),
    }
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
        return Err(ReadError::Malformed("the events of a segment do not match its range".into()));
    }
    Ok(segment)
}

fn number(item: &Item, name: &str) -> Option<i64> {
    item.get(name)?.as_n().ok()?.parse().ok()
}

/// Finds the reason why the transaction of an append was cancelled. Its first write is the first segment, whose
/// position decides: if it is free, so are those after it.
fn refusal(mut reasons: Reasons) -> AppendError {
    match reasons.first_mut() {
        Some(Reason::Condition(item)) => conflict(item.take().map(|item| *item)),
        // An earlier attempt of ours may have the position, and have applied these rows. So a failed condition
        // means nothing until the position is decided.
        Some(Reason::Contention) => AppendError::Busy,
        Some(Reason::Other(code)) => AppendError::Refused(std::mem::take(code).into()),
        _ => match Cancelled::Reasons(reasons) {
            transient if transient.is_transient() => AppendError::Busy,
            refused => AppendError::RowsRefused(refused),
        },
    }
}

fn conflict(item: Option<Item>) -> AppendError {
    match item.map(decode) {
        Some(Ok(segment)) => AppendError::Conflict(Box::new(segment)),
        Some(Err(error)) => AppendError::Refused(Box::new(error)),
        // The condition failed, so the position is taken. Without the item we do not know by which segment,
        // so retry.
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
