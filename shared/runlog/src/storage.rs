//! What the protocol needs of a table, and nothing more.

use std::future::Future;

use sequent_core::Timestamp;
use sequent_event::Seq;
use sequent_tables::Cancelled;

use crate::{LogKey, Segment};

type Source = Box<dyn std::error::Error + Send + Sync>;

/// An append did not, or may not have, happened.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// A segment stands there already.
    #[error("another segment stands at that position")]
    Conflict(Box<Segment>),
    /// The position was free, but a companion write's condition did not hold. Nothing was stored.
    #[error("a write of the same transaction was refused")]
    RowsRefused(Cancelled),
    /// It certainly did not happen; trying again may help.
    #[error("the storage is busy")]
    Busy,
    /// It may or may not have happened.
    #[error("the outcome is unknown")]
    Ambiguous,
    /// It did not happen and never will.
    #[error("the storage refused the segment")]
    Refused(#[source] Source),
}

/// A read failed.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Trying again may help.
    #[error("the storage cannot be read right now")]
    Unavailable(#[source] Source),
    /// It never will.
    #[error("the stored log cannot be understood")]
    Malformed(#[source] Source),
}

/// Storage of logs. Appends and reads must be linearizable per log.
pub trait Storage: Clone + Send + Sync + 'static {
    /// Writes that happen in the same transaction as an append: the rows that repeat what the log says.
    type Rows: Clone + Default + Send + Sync + 'static;

    /// Stores `segment` with `rows` if nothing stands at `segment.first`.
    fn append(
        &self,
        key: LogKey,
        segment: &Segment,
        rows: &Self::Rows,
    ) -> impl Future<Output = Result<(), AppendError>> + Send;

    /// The segments that start after `after`, in order; possibly not all of them, but at least one if there is one.
    fn read(&self, key: LogKey, after: Seq) -> impl Future<Output = Result<Vec<Segment>, ReadError>> + Send;

    /// The last segment.
    fn tail(&self, key: LogKey) -> impl Future<Output = Result<Option<Segment>, ReadError>> + Send;

    /// When the owner's lease ends; `None` when no owner holds one.
    fn lease(&self, key: LogKey) -> impl Future<Output = Result<Option<Timestamp>, ReadError>> + Send;

    /// Sets the lease of epoch `epoch`, or gives it up with `None`. A later epoch's lease is left alone.
    fn renew(
        &self,
        key: LogKey,
        epoch: u32,
        until: Option<Timestamp>,
    ) -> impl Future<Output = Result<(), AppendError>> + Send;

    /// `rows` together with taking the lease for a new epoch.
    fn with_lease(&self, rows: Self::Rows, key: LogKey, epoch: u32, until: Timestamp) -> Self::Rows;

    /// The clock that stamps events and judges leases.
    fn now(&self) -> Timestamp;
}
