//! Reading a feed.

use sequent_core::{RunId, TenantId, Timestamp};
use sequent_tables::{Error as TableError, Key, PageRequest, Store, key};
use serde::{Deserialize, Serialize};

use crate::{Error, FeedEntry, segment::Segment};

/// The feeds of all tenants. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Feed {
    pub(crate) store: Store,
}

/// A part of a feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedPage {
    /// The entries after the position of the request, in order.
    pub entries: Vec<FeedEntry>,
    /// The feed has more entries after them.
    pub has_more: bool,
}

/// The row of the head.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HeadRow {
    /// The position of the last entry.
    pub(crate) seq: u64,
}

impl Feed {
    /// The feeds in `store`.
    #[must_use]
    pub const fn new(store: Store) -> Self {
        Self { store }
    }

    /// Returns the position of the last entry of a tenant's feed. It is 0 if there is none.
    ///
    /// # Errors
    /// If the table cannot be read.
    pub async fn head(&self, tenant: TenantId) -> Result<u64, Error> {
        Ok(self.head_row(tenant).await?.map_or(0, |head| head.seq))
    }

    pub(crate) async fn head_row(&self, tenant: TenantId) -> Result<Option<HeadRow>, TableError> {
        self.store.get(&key::feed_head(tenant)).await
    }

    /// Reads at most `limit` entries after the position `after`, strongly consistent.
    ///
    /// # Errors
    /// [`Error::TooOld`], [`Error::Ahead`], or when the table cannot be read.
    pub async fn page(
        &self,
        tenant: TenantId,
        after: u64,
        limit: usize,
        now: Timestamp,
    ) -> Result<FeedPage, Error> {
        let rows = u32::try_from(limit).unwrap_or(u32::MAX);
        let mut request = PageRequest::new(key::feed(tenant))
            .limit(Some(rows))
            .oldest_first()
            .after(key::feed_position(after));
        loop {
            let page = self.store.page::<Segment>(&request).await?;
            let rest = page.last_key().map(str::to_owned);
            let left = page.items.into_iter().skip_while(|segment| segment.has_expired(now));
            let mut entries = joined(after, left)?;
            match rest {
                None if entries.is_empty() => return self.nothing_after(tenant, after, now).await,
                // The table has not deleted them yet.
                Some(last) if entries.is_empty() => request = request.after(last),
                rest => {
                    let has_more = rest.is_some() || entries.len() > limit;
                    entries.truncate(limit);
                    return Ok(FeedPage { entries, has_more });
                }
            }
        }
    }

    /// The answer to a read that has found no entry: the reader has all of them, or those that it lacks have expired.
    async fn nothing_after(&self, tenant: TenantId, after: u64, now: Timestamp) -> Result<FeedPage, Error> {
        let last = self.head(tenant).await?;
        if last < after {
            return Err(Error::Ahead { last });
        }
        // An entry may have been stored since the read.
        let has_more = last > after;
        if has_more && !self.has_news(tenant, after, now).await? {
            return Err(Error::TooOld { oldest: last });
        }
        Ok(FeedPage { entries: Vec::new(), has_more })
    }

    /// Returns `true` if the feed has an entry after the position that has not expired.
    async fn has_news(&self, tenant: TenantId, after: u64, now: Timestamp) -> Result<bool, Error> {
        let request = PageRequest::new(key::feed(tenant)).limit(Some(1));
        let newest = self.store.page::<Segment>(&request).await?.items.pop();
        Ok(newest.is_some_and(|segment| segment.last() > after && !segment.has_expired(now)))
    }

    /// Returns the runs that have not ended, as far as the feed has told, oldest first. A run that has ended since is among them
    /// until the feed tells of its end.
    ///
    /// # Errors
    /// If the table cannot be read.
    pub async fn live_runs(&self, tenant: TenantId) -> Result<Vec<RunId>, Error> {
        let mut request =
            PageRequest::new(key::feed_live_runs(tenant)).limit(Some(PageRequest::MAX_LIMIT)).oldest_first();
        let mut runs = Vec::new();
        loop {
            let page = self.store.page_items(&request).await?;
            let last = page.last_key().map(str::to_owned);
            let keys = page.items.iter().filter_map(Key::of_item);
            runs.extend(keys.filter_map(|key| key.sk().parse::<RunId>().ok()));
            match last {
                Some(last) => request = request.after(last),
                None => return Ok(runs),
            }
        }
    }
}

/// Joins segments to the entries after a position. The first must have the next entry, and each the one after the segment before.
fn joined(after: u64, segments: impl Iterator<Item = Segment>) -> Result<Vec<FeedEntry>, Error> {
    let mut entries: Vec<FeedEntry> = Vec::new();
    let mut next = None;
    for segment in segments {
        match next {
            None if segment.first > after.saturating_add(1) => {
                return Err(Error::TooOld { oldest: segment.first - 1 });
            }
            Some(next) if segment.first != next => return Err(Error::Gap(segment.first)),
            _ => {}
        }
        next = Some(segment.last() + 1);
        entries.extend(segment.entries_after(after));
    }
    Ok(entries)
}
