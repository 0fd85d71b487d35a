//! All-or-nothing writes over both tables.

use std::{collections::HashMap, fmt};

use aws_sdk_dynamodb::{
    error::SdkError,
    operation::transact_write_items::TransactWriteItemsError,
    types::{CancellationReason, TransactWriteItem},
};
use serde::de::DeserializeOwned;

use crate::{
    Error, Item, Retry, Store, Tries, Write,
    error::classify,
    limit::{self, Limit},
    write::TableName,
};

/// A name for a write of a transaction. A cancelled transaction reports by it which condition did not hold.
///
/// ```
/// use sequent_tables::Label;
///
/// const PROJECT: Label = Label::new("project");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Label(&'static str);

impl Label {
    /// A label. Several writes may have the same one.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        Self(name)
    }
}

/// The reason why one write of a cancelled transaction did not hold. Its text has no row, which may contain a secret.
pub enum Reason {
    /// This write was not the problem.
    None,
    /// The condition did not hold. Contains the row as it is, if there is one.
    Condition(Option<Box<Item>>),
    /// Another transaction had the row, or the table was throttled: try again.
    Contention,
    /// The service refused this write for another reason, such as its size.
    Other(String),
}

impl fmt::Debug for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("None"),
            Self::Condition(found) => {
                f.debug_tuple("Condition").field(&found.as_ref().map(|_| "row")).finish()
            }
            Self::Contention => f.write_str("Contention"),
            Self::Other(code) => f.debug_tuple("Other").field(code).finish(),
        }
    }
}

/// One reason per write of a cancelled transaction, in the order in which they were added.
#[derive(Debug, Default)]
pub struct Reasons {
    reasons: Vec<Reason>,
    labels: Vec<Option<Label>>,
}

impl From<Vec<Reason>> for Reasons {
    fn from(reasons: Vec<Reason>) -> Self {
        Self { reasons, labels: Vec::new() }
    }
}

impl std::ops::Deref for Reasons {
    type Target = Vec<Reason>;

    fn deref(&self) -> &Vec<Reason> {
        &self.reasons
    }
}

impl std::ops::DerefMut for Reasons {
    fn deref_mut(&mut self) -> &mut Vec<Reason> {
        &mut self.reasons
    }
}

impl IntoIterator for Reasons {
    type Item = Reason;
    type IntoIter = std::vec::IntoIter<Reason>;

    fn into_iter(self) -> Self::IntoIter {
        self.reasons.into_iter()
    }
}

/// A transaction did not happen.
#[derive(Debug, thiserror::Error)]
pub enum Cancelled {
    /// At least one write was refused.
    #[error("the transaction was cancelled: {0:?}")]
    Reasons(Reasons),
    /// There is no verdict on the conditions: throttled, ambiguous or refused as a whole.
    #[error(transparent)]
    Failed(#[from] Error),
}

impl Cancelled {
    /// Returns `true` if the condition of a write with this label did not hold.
    #[must_use]
    pub fn refused(&self, label: Label) -> bool {
        self.refusals(label).next().is_some()
    }

    /// Returns `true` if the condition of any write did not hold.
    #[must_use]
    pub fn any_refused(&self) -> bool {
        matches!(self, Self::Reasons(all) if all.iter().any(|reason| matches!(reason, Reason::Condition(_))))
    }

    /// The row that was found in the place of the write with this label, whose condition did not hold. Returns `None`
    /// if the condition held, or if there is no row or it is not a `T`.
    #[must_use]
    pub fn found<T: DeserializeOwned>(&self, label: Label) -> Option<T> {
        let item = self.refusals(label).find_map(|found| found.clone())?;
        serde_dynamo::from_item(*item).ok()
    }

    fn refusals(&self, label: Label) -> impl Iterator<Item = &Option<Box<Item>>> {
        let all = match self {
            Self::Reasons(all) => Some(all),
            Self::Failed(_) => None,
        };
        let labelled = all.into_iter().flat_map(|all| all.reasons.iter().zip(&all.labels));
        labelled.filter_map(move |(reason, known)| match reason {
            Reason::Condition(found) if *known == Some(label) => Some(found),
            _ => None,
        })
    }

    /// Returns `true` if the same transaction may succeed a moment later.
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

impl From<Cancelled> for Error {
    /// The error of a transaction as one operation: a condition that did not hold is a [`Conflict`](Error::Conflict).
    fn from(cancelled: Cancelled) -> Self {
        match cancelled {
            Cancelled::Failed(error) => error,
            cancelled if cancelled.is_transient() => Self::Throttled,
            cancelled if cancelled.any_refused() => Self::Conflict(None),
            cancelled => Self::Refused(Box::new(cancelled)),
        }
    }
}

/// Up to 100 writes that happen together or not at all. Each costs double write units.
///
/// ```
/// # use sequent_core::{ProjectId, RunId, TenantId};
/// # use sequent_tables::{Label, Transaction, Update, Write, exists, key};
/// # let (tenant, project, run) = (TenantId::new(), ProjectId::new(), RunId::new());
/// const PROJECT: Label = Label::new("project");
///
/// let transaction = Transaction::new()
///     .write(Update::of(&key::project(tenant, project)).set("live_run_id", run).when(exists()))
///     .label(PROJECT)
///     .write(Write::require(&key::run(tenant, run)));
/// ```
#[derive(Debug, Clone, Default)]
pub struct Transaction {
    writes: Vec<(Write, Option<Label>)>,
}

impl Transaction {
    /// A transaction without writes.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a write to the transaction.
    #[must_use]
    pub fn write(mut self, write: impl Into<Write>) -> Self {
        self.writes.push((write.into(), None));
        self
    }

    /// Names the write that was added last, so that [`Cancelled::refused`] can tell it from the others.
    #[must_use]
    pub fn label(mut self, label: Label) -> Self {
        if let Some((_, name)) = self.writes.last_mut() {
            *name = Some(label);
        }
        self
    }

    /// Number of its writes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.writes.len()
    }

    /// Returns `true` if it has no writes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.writes.is_empty()
    }

    /// Sends the transaction once, for a caller that retries by a rule of its own. Others use [`Store::commit`].
    ///
    /// # Errors
    /// [`Cancelled`] reports for each write why it was refused, or that nothing is known.
    pub async fn run(self, store: &Store) -> Result<(), Cancelled> {
        let prepared = self.prepare(store)?;
        prepared.send(store, &new_token()).await
    }

    /// Checks the limits and builds the request.
    fn prepare(self, store: &Store) -> Result<Prepared, Error> {
        self.check()?;
        let mut prepared = Prepared { parts: Vec::new(), labels: Vec::new() };
        for (write, label) in self.writes {
            prepared.labels.push(label);
            prepared.parts.push(write.to_part(store.tables())?);
        }
        Ok(prepared)
    }

    fn check(&self) -> Result<(), Limit> {
        let writes = self.writes.len();
        if writes > limit::TRANSACTION_WRITES {
            return Err(Limit::TransactionWrites { writes });
        }
        let mut bytes = 0;
        let mut rows: HashMap<(TableName, String), usize> = HashMap::new();
        for (second, (write, _)) in self.writes.iter().enumerate() {
            write.check()?;
            bytes += write.bytes();
            if let Some(first) = rows.insert((write.table, write.row_name()), second) {
                return Err(Limit::SameRow { first, second });
            }
        }
        if bytes > limit::TRANSACTION_BYTES { Err(Limit::TransactionBytes { bytes }) } else { Ok(()) }
    }
}

/// A transaction as it is sent, as often as it takes.
struct Prepared {
    parts: Vec<TransactWriteItem>,
    labels: Vec<Option<Label>>,
}

impl Prepared {
    async fn send(&self, store: &Store, token: &str) -> Result<(), Cancelled> {
        let request = store.writer().transact_write_items().set_transact_items(Some(self.parts.clone()));
        match request.client_request_token(token).send().await {
            Ok(_) => Ok(()),
            Err(SdkError::ServiceError(service)) if service.err().is_transaction_canceled_exception() => {
                let reasons = match service.into_err() {
                    TransactWriteItemsError::TransactionCanceledException(cancelled) => {
                        cancelled.cancellation_reasons.unwrap_or_default()
                    }
                    _ => Vec::new(),
                };
                let reasons = reasons.into_iter().map(reason).collect();
                Err(Cancelled::Reasons(Reasons { reasons, labels: self.labels.clone() }))
            }
            Err(error) => Err(Cancelled::Failed(classify(error))),
        }
    }
}

impl Store {
    /// Sends the transaction until it has happened or is known not to have happened, or until the tries of `retry`
    /// are used up.
    ///
    /// A try is repeated after contention, throttling and an ambiguous outcome (a timeout or a 5xx). The tries after
    /// an ambiguous outcome carry the same `ClientRequestToken`. If the first one was applied after all, DynamoDB
    /// answers the next one with success and applies nothing (`TransactWriteItems`, "Idempotency": for 10 minutes). A
    /// refusal is therefore never caused by the transaction's own earlier try.
    ///
    /// # Errors
    /// [`Cancelled`]; [`Cancelled::is_transient`] returns `true` if the tries were used up. The error is
    /// [`Error::Ambiguous`] then if the outcome of any try is unknown.
    pub async fn commit(&self, transaction: Transaction, retry: Retry) -> Result<(), Cancelled> {
        self.commit_within(transaction, &mut retry.tries()).await
    }

    /// As [`commit`](Self::commit), with the tries that an operation of several steps has left.
    ///
    /// # Errors
    /// As [`commit`](Self::commit).
    pub async fn commit_within(&self, transaction: Transaction, tries: &mut Tries) -> Result<(), Cancelled> {
        let prepared = transaction.prepare(self)?;
        let mut token = new_token();
        let mut unknown = None;
        let mut decided = Cancelled::Failed(Error::Throttled);
        loop {
            match prepared.send(self, &token).await {
                Err(Cancelled::Failed(error @ Error::Ambiguous(_))) => unknown = Some(error),
                Err(cancelled) if cancelled.is_transient() => decided = cancelled,
                outcome => return outcome,
            }
            // A cancelled transaction is decided. Its token must not be used for another one.
            if unknown.is_none() {
                token = new_token();
            }
            if !tries.pause().await {
                // One try of unknown outcome is enough: it may be applied, or may still arrive.
                return Err(unknown.map_or(decided, Cancelled::Failed));
            }
        }
    }
}

/// A `ClientRequestToken`: 1 to 36 characters.
fn new_token() -> String {
    ulid::Ulid::generate().to_string()
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
