//! Deleting conversations that have left something everywhere: the tables and the bucket are searched for a word of them.
#![expect(clippy::unwrap_used, reason = "a failed step should panic at its line")]

mod bench;
mod deleting;
mod left;
