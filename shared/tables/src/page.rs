//! Pages of a list, newest or oldest first.

use crate::{CursorKey, InvalidCursor, key::Partition};

/// How much of a list to read, and from where.
#[derive(Debug, Clone)]
pub struct PageRequest {
    pub(crate) partition: Partition,
    pub(crate) after: Option<String>,
    pub(crate) limit: u32,
    pub(crate) newest_first: bool,
}

impl PageRequest {
    /// Items a page has when the caller does not say.
    pub const DEFAULT_LIMIT: u32 = 50;
    /// Most items of a page.
    pub const MAX_LIMIT: u32 = 100;

    /// The first page of `partition`, newest first.
    #[must_use]
    pub fn new(partition: Partition) -> Self {
        Self { partition, after: None, limit: Self::DEFAULT_LIMIT, newest_first: true }
    }

    /// At most `limit` items, clamped to 1..=[`Self::MAX_LIMIT`].
    #[must_use]
    pub fn limit(mut self, limit: Option<u32>) -> Self {
        self.limit = limit.unwrap_or(Self::DEFAULT_LIMIT).clamp(1, Self::MAX_LIMIT);
        self
    }

    /// Oldest first, as conversations are read.
    #[must_use]
    pub fn oldest_first(mut self) -> Self {
        self.newest_first = false;
        self
    }

    /// Continues where an earlier page of the same list ended.
    ///
    /// # Errors
    /// [`InvalidCursor`] when the cursor was not given out by this list.
    pub fn cursor(mut self, key: &CursorKey, cursor: Option<&str>) -> Result<Self, InvalidCursor> {
        self.after = cursor.map(|cursor| key.open(&self.partition, cursor)).transpose()?;
        Ok(self)
    }
}

/// One page: the items, and where the next one starts.
#[derive(Debug, Clone)]
pub struct Page<T> {
    /// The rows in list order.
    pub items: Vec<T>,
    pub(crate) partition: Partition,
    pub(crate) last: Option<String>,
}

impl<T> Page<T> {
    /// The cursor of the next page; `None` at the end of the list.
    #[must_use]
    pub fn next_cursor(&self, key: &CursorKey) -> Option<String> {
        self.last.as_deref().map(|sort_key| key.seal(&self.partition, sort_key))
    }

    /// The page with every item passed through `convert`.
    #[must_use]
    pub fn map<U>(self, convert: impl FnMut(T) -> U) -> Page<U> {
        Page {
            items: self.items.into_iter().map(convert).collect(),
            partition: self.partition,
            last: self.last,
        }
    }

    /// The page's place in the list with other items: what an index entry stands for.
    #[must_use]
    pub fn with_items<U>(self, items: Vec<U>) -> Page<U> {
        Page { items, partition: self.partition, last: self.last }
    }
}
