//! Deleting conversations and accounts that have left something everywhere: the tables and the bucket are searched for a word of them.
#![expect(clippy::unwrap_used, reason = "a failed step should panic at its line")]

mod account;
mod bench;
mod deleting;
mod left;
