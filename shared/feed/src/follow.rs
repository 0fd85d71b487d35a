//! Following a feed: reading it again and again.

use std::time::Duration;

use sequent_core::{TenantId, Timestamp, pace::scaled};
use tokio::time::sleep;

use crate::{Error, Feed, FeedEntry};

/// Entries of one read.
const AT_ONCE: usize = 100;
/// The pause after a read that has found an entry. More changes are likely to follow.
const SHORTEST_PAUSE: Duration = Duration::from_millis(250);
/// The longest pause. It bounds the delay after a long silence, and the cost of a reader: a read is one read unit.
const LONGEST_PAUSE: Duration = Duration::from_secs(3);

/// A reader of one feed. It also waits while the table does not answer, because the entries are read then.
#[derive(Debug)]
pub struct FollowFeed {
    feed: Feed,
    tenant: TenantId,
    after: u64,
    pause: Duration,
    /// The last read has left entries unread.
    has_more: bool,
}

impl FollowFeed {
    /// Creates a reader whose first entry is the one after the position `after`.
    #[must_use]
    pub const fn new(feed: Feed, tenant: TenantId, after: u64) -> Self {
        Self { feed, tenant, after, pause: Duration::ZERO, has_more: true }
    }

    /// Returns the next entries, at least one, as soon as there are any. No entry is lost if the future is dropped.
    ///
    /// # Errors
    /// As [`Feed::page`], but for failures that pass.
    pub async fn next(&mut self) -> Result<Vec<FeedEntry>, Error> {
        loop {
            if !self.has_more {
                sleep(scaled(self.pause)).await;
            }
            match self.feed.page(self.tenant, self.after, AT_ONCE, Timestamp::now()).await {
                Ok(page) => {
                    self.has_more = page.has_more;
                    if let Some(last) = page.entries.last() {
                        self.after = last.seq;
                        self.pause = SHORTEST_PAUSE;
                        return Ok(page.entries);
                    }
                }
                Err(Error::Data(error)) if error.is_transient() => {
                    tracing::warn!(%error, "could not read a feed; reading it again");
                    self.has_more = false;
                }
                Err(error) => return Err(error),
            }
            self.pause = (self.pause * 3 / 2).clamp(SHORTEST_PAUSE, LONGEST_PAUSE);
        }
    }
}
