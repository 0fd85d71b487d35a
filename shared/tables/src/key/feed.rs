//! Keys of the feed of a tenant.

use std::fmt::Display;

use sequent_core::{RunId, TenantId};

use super::{Key, Partition};

/// The row with the last position of a tenant's feed.
#[must_use]
pub fn feed_head(tenant: TenantId) -> Key {
    Key::new(format!("{tenant}#feed-head"), "head")
}

/// A segment of the feed, by the position of its last entry. A read that begins after a position therefore begins with the
/// segment of the next entry.
#[must_use]
pub fn feed_segment(tenant: TenantId, last: u64) -> Key {
    Key::new(format!("{tenant}#feed"), feed_position(last))
}

/// All segments of a feed.
#[must_use]
pub fn feed(tenant: TenantId) -> Partition {
    Partition::table(format!("{tenant}#feed"))
}

/// The sort key of a position. Sort keys are compared as texts, so the number has a fixed width.
#[must_use]
pub fn feed_position(seq: u64) -> String {
    format!("{seq:020}")
}

/// The changes of a subject that the feed has told.
#[must_use]
pub fn feed_told(tenant: TenantId, subject: impl Display) -> Key {
    Key::new(format!("{tenant}#feed-told"), subject)
}

/// A run that has not ended, as far as the feed has told.
#[must_use]
pub fn feed_live_run(tenant: TenantId, run: RunId) -> Key {
    Key::new(format!("{tenant}#feed-live"), run)
}

/// All runs that have not ended, as far as the feed has told.
#[must_use]
pub fn feed_live_runs(tenant: TenantId) -> Partition {
    Partition::table(format!("{tenant}#feed-live"))
}

/// All rows of a feed. The head is the first: without it and without its tenant, nothing is added.
#[must_use]
pub fn feed_lists(tenant: TenantId) -> [Partition; 4] {
    ["feed-head", "feed", "feed-told", "feed-live"].map(|list| Partition::table(format!("{tenant}#{list}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_sort_as_their_numbers() {
        let tenant = TenantId::new();
        let keys = [1, 9, 10, 99, 100, u64::MAX].map(|seq| feed_segment(tenant, seq).sk().to_owned());
        assert!(keys.is_sorted(), "{keys:?}");
    }
}
