//! The storage operations that the protocol needs.

use std::future::Future;

use sequent_core::Timestamp;
use sequent_event::{InvalidEvent, Seq};
use sequent_tables::Cancelled;

use crate::{EventsTooLarge, Lease, LogKey, Segment, Waiting};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// An append that failed, or whose outcome is unknown.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// Another segment is stored at the position.
    #[error("another segment is stored at this position")]
    Conflict(Box<Segment>),
    /// A transaction row was refused. Nothing was stored. Either the position was free and the condition of a row failed,
    /// or the table refused the whole request before it looked at the position: for a limit, or for the form of a row.
    #[error("a row of the same transaction was refused")]
    RowsRefused(#[source] Cancelled),
    /// The events are too large for a segment. Nothing was stored.
    #[error(transparent)]
    TooLarge(#[from] EventsTooLarge),
    /// An event is not allowed at its position in the log. Nothing was stored.
    #[error("an event is not allowed at its position in the log")]
    Invalid(#[from] InvalidEvent),
    /// Nothing was stored. A retry may succeed.
    #[error("the storage is busy; retry later")]
    Busy,
    /// The segment may be stored or not.
    #[error("it is unknown whether the segment was stored")]
    Ambiguous,
    /// Nothing was stored, and a retry will not succeed.
    #[error("the storage refused the segment")]
    Refused(#[source] BoxError),
}

/// A read that failed.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// A retry may succeed.
    #[error("the storage cannot be read right now; retry later")]
    Unavailable(#[source] BoxError),
    /// A retry will not succeed.
    #[error("the stored log is malformed")]
    Malformed(#[source] BoxError),
}

/// The consistency of a read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Consistency {
    /// The read returns everything that was stored before it began.
    Strong,
    /// The read costs half as much, but may miss what was stored lately: the end of the log, or a segment before it.
    Eventual,
}

/// The segments that one read returned, in order.
#[derive(Debug, Clone, PartialEq)]
pub struct SegmentPage {
    /// At least one, if the read has found any.
    pub segments: Vec<Segment>,
    /// More segments may follow, because the read has reached a limit.
    pub has_more: bool,
}

/// A storage of logs. Appends and strongly consistent reads must be linearizable per log.
pub trait Storage: Clone + Send + Sync + 'static {
    /// Rows that repeat the content of the log. They are written in the same transaction as an append.
    type Rows: Clone + Default + Send + Sync + 'static;

    /// Stores `segments` and `rows` if the position of the first segment is free: all, or nothing. The segments
    /// follow each other and share a batch id. There is at least one.
    fn append(
        &self,
        key: LogKey,
        segments: &[Segment],
        rows: &Self::Rows,
    ) -> impl Future<Output = Result<(), AppendError>> + Send;

    /// Returns segments that start after `after`.
    fn read(
        &self,
        key: LogKey,
        after: Seq,
        consistency: Consistency,
    ) -> impl Future<Output = Result<SegmentPage, ReadError>> + Send;

    /// Returns the last segment.
    fn tail(&self, key: LogKey) -> impl Future<Output = Result<Option<Segment>, ReadError>> + Send;

    /// Returns the lease of the run.
    fn lease(&self, key: LogKey) -> impl Future<Output = Result<Lease, ReadError>> + Send;

    /// Extends the lease of epoch `epoch`, or releases it if `until` is `None`. Does not change the lease of
    /// a later epoch.
    fn renew(
        &self,
        key: LogKey,
        epoch: u32,
        until: Option<Timestamp>,
    ) -> impl Future<Output = Result<(), AppendError>> + Send;

    /// Releases the lease of epoch `epoch` and marks the run as waiting. Does not change the lease of a later epoch.
    fn wait(
        &self,
        key: LogKey,
        epoch: u32,
        waiting: &Waiting,
    ) -> impl Future<Output = Result<(), AppendError>> + Send;

    /// Adds to `rows` the write that takes the lease for a new epoch. If there are rows, they may include the one with the
    /// lease, and its author sets the lease in it: a transaction of DynamoDB touches an item once.
    fn with_lease(&self, rows: Self::Rows, key: LogKey, epoch: u32, until: Timestamp) -> Self::Rows;

    /// The time for events and leases.
    fn now(&self) -> Timestamp;
}
