//! Segments, the rows of a feed.

use std::time::Duration;

use sequent_core::{TenantId, Timestamp};
use sequent_tables::{Error as TableError, Row, key};
use serde::{Deserialize, Serialize};

use crate::FeedChange;

/// Time for which an entry is kept.
pub const KEPT: Duration = Duration::from_secs(30 * 24 * 3600);

/// An entry of a feed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FeedEntry {
    /// The position: 1, 2, 3, without gaps.
    pub seq: u64,
    /// The time at which the entry was stored.
    pub at: Timestamp,
    /// The change that it tells.
    #[serde(flatten)]
    pub change: FeedChange,
}

/// Consecutive entries, stored by one write.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Segment {
    /// The position of the first entry.
    pub(crate) first: u64,
    pub(crate) at: Timestamp,
    pub(crate) changes: Vec<FeedChange>,
    /// Seconds since the epoch. The table deletes the row some time later.
    #[serde(default, skip_serializing)]
    expires_at: i64,
}

impl Segment {
    pub(crate) fn new(first: u64, changes: Vec<FeedChange>, at: Timestamp) -> Self {
        Self { first, at, changes, expires_at: (at + KEPT).seconds() }
    }

    /// The position of the last entry.
    pub(crate) fn last(&self) -> u64 {
        self.first + (self.changes.len() as u64).saturating_sub(1)
    }

    pub(crate) fn row(&self, tenant: TenantId) -> Result<Row, TableError> {
        Ok(Row::new(&key::feed_segment(tenant, self.last()), self)?.expires_at(self.at + KEPT))
    }

    pub(crate) fn has_expired(&self, now: Timestamp) -> bool {
        self.expires_at <= now.seconds()
    }

    /// Returns the entries after a position.
    pub(crate) fn entries_after(self, after: u64) -> impl Iterator<Item = FeedEntry> {
        let at = self.at;
        let entries =
            (self.first..).zip(self.changes).map(move |(seq, change)| FeedEntry { seq, at, change });
        entries.filter(move |entry| entry.seq > after)
    }
}
