//! A walk over all rows of `main`, for checks and searches that no index can answer.
//!
//! A walk is a `Scan`: it reads the whole table and costs half a read unit for each 4 KB. No request and no sweep uses it.

use crate::{Error, Item, Store, error::classify};

/// A walk over the rows of `main`, page by page. It keeps its position, so the caller may stop and go on later.
#[derive(Debug, Clone)]
pub struct Walk {
    segment: i32,
    segments: i32,
    after: Option<Item>,
    is_done: bool,
}

impl Walk {
    /// A walk over the whole table.
    #[must_use]
    pub fn whole() -> Self {
        Self::part(0, 1)
    }

    /// A walk over one of `of` parts of the table that have about the same size. `part` counts from 0.
    #[must_use]
    pub fn part(part: u8, of: u8) -> Self {
        let segments = of.max(1);
        Self {
            segment: i32::from(part % segments),
            segments: i32::from(segments),
            after: None,
            is_done: false,
        }
    }

    /// Returns `true` if every row was read.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.is_done
    }

    /// Reads the next page, at most 1 MB and possibly empty. Returns `None` at the end.
    ///
    /// The reads are eventually consistent: a row that is written meanwhile is read as before, as after, or not at all.
    ///
    /// # Errors
    /// Returns an error if the table cannot be read. The next call repeats the page.
    pub async fn page(&mut self, store: &Store) -> Result<Option<Vec<Item>>, Error> {
        if self.is_done {
            return Ok(None);
        }
        let mut scan = store.client().scan().table_name(&*store.tables().main);
        if self.segments > 1 {
            scan = scan.segment(self.segment).total_segments(self.segments);
        }
        let output = scan.set_exclusive_start_key(self.after.clone()).send().await.map_err(classify)?;
        self.is_done = output.last_evaluated_key.is_none();
        self.after = output.last_evaluated_key;
        Ok(Some(output.items.unwrap_or_default()))
    }
}
