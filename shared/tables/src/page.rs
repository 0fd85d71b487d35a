//! Pages of a list, newest or oldest first.

use crate::{CursorKey, InvalidCursor, Key, key::Partition};

/// A request for one page of a list.
#[derive(Debug, Clone)]
pub struct PageRequest {
    pub(crate) partition: Partition,
    pub(crate) after: Option<String>,
    pub(crate) limit: u32,
    pub(crate) newest_first: bool,
}

impl PageRequest {
    /// Items of a page if the caller gives no limit.
    pub const DEFAULT_LIMIT: u32 = 50;
    /// Most items of a page.
    pub const MAX_LIMIT: u32 = 100;

    /// The first page of `partition`, newest first.
    #[must_use]
    pub fn new(partition: Partition) -> Self {
        Self { partition, after: None, limit: Self::DEFAULT_LIMIT, newest_first: true }
    }

    /// Limits the page to `limit` items, clamped to 1..=[`Self::MAX_LIMIT`].
    #[must_use]
    pub fn limit(mut self, limit: Option<u32>) -> Self {
        self.limit = limit.unwrap_or(Self::DEFAULT_LIMIT).clamp(1, Self::MAX_LIMIT);
        self
    }

    /// Orders the list oldest first, as conversations are read.
    #[must_use]
    pub fn oldest_first(mut self) -> Self {
        self.newest_first = false;
        self
    }

    /// Starts after the position of `key` in the list. The row need not exist.
    #[must_use]
    pub fn starting_after(mut self, key: &Key) -> Self {
        self.after = Some(key.sk().to_owned());
        self
    }

    /// Begins after this sort key, which need not exist.
    #[must_use]
    pub fn after(mut self, sort_key: impl Into<String>) -> Self {
        self.after = Some(sort_key.into());
        self
    }

    /// Returns the position after which the page begins: a sort key, or what [`Page::with_position`] made of one.
    #[must_use]
    pub fn position(&self) -> Option<&str> {
        self.after.as_deref()
    }

    /// Continues at the end of an earlier page of the same list.
    ///
    /// # Errors
    /// [`InvalidCursor`] if this list did not issue the cursor.
    pub fn cursor(mut self, key: &CursorKey, cursor: Option<&str>) -> Result<Self, InvalidCursor> {
        self.after = cursor.map(|cursor| key.open(&self.partition, cursor)).transpose()?;
        Ok(self)
    }
}

/// One page of a list.
#[derive(Debug, Clone)]
pub struct Page<T> {
    /// The rows in list order.
    pub items: Vec<T>,
    pub(crate) partition: Partition,
    pub(crate) last: Option<String>,
}

impl<T> Page<T> {
    /// Returns the cursor of the next page, or `None` at the end of the list.
    #[must_use]
    pub fn next_cursor(&self, key: &CursorKey) -> Option<String> {
        self.last.as_deref().map(|sort_key| key.seal(&self.partition, sort_key))
    }

    /// Returns the sort key at which the page ended, or `None` at the end of the list.
    #[must_use]
    pub fn last_key(&self) -> Option<&str> {
        self.last.as_deref()
    }

    /// Makes the page the last one, because no row after it belongs to the list.
    #[must_use]
    pub fn at_end(self) -> Self {
        Self { last: None, ..self }
    }

    /// Ends the page after the row with this key, because the rows after it are left out. The next page begins with them.
    #[must_use]
    pub fn ending_with(self, key: &Key) -> Self {
        Self { last: Some(key.sk().to_owned()), ..self }
    }

    /// Changes the position at which the page ended. The cursor of the next page contains it.
    #[must_use]
    pub fn with_position(self, change: impl FnOnce(&str) -> String) -> Self {
        Self { last: self.last.as_deref().map(change), ..self }
    }

    /// Converts every item of the page.
    #[must_use]
    pub fn map<U>(self, convert: impl FnMut(T) -> U) -> Page<U> {
        Page {
            items: self.items.into_iter().map(convert).collect(),
            partition: self.partition,
            last: self.last,
        }
    }

    /// Replaces the items, for example those of an index by the rows that they refer to.
    #[must_use]
    pub fn with_items<U>(self, items: Vec<U>) -> Page<U> {
        Page { items, partition: self.partition, last: self.last }
    }
}
