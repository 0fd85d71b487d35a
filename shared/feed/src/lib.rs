//! The feed: one append-only log of what has changed for a tenant, so that a client need not follow each run by itself.
//!
//! The feed is written from the stream of the main table, whose records may come twice and, after a failure, out of order. An entry
//! is small: its type, ids, and a few numbers. It has no text of a conversation, so nothing of the feed has to be deleted with
//! one. A reader looks up what it shows. Invariants:
//!
//! * **The positions are 1, 2, 3, without gaps.** The transaction that stores a segment, a group of consecutive entries, also moves
//!   the head of the feed from the position before it. An entry is never rewritten.
//! * **One change, one entry.** A change has a [`Cause`]. The same transaction marks the cause as told, under the condition
//!   that it is not.
//! * **The live runs are the fold of the feed.** The entry that creates a run adds it to a list, and the entry that ends it removes
//!   it, in the same transaction ([`Feed::live_runs`]).
//! * **An entry lasts 30 days.** A position before the first entry that is left is refused, and the refusal says where to begin
//!   ([`Error::TooOld`]).

mod append;
mod change;
mod error;
mod feed;
mod follow;
mod kind;
mod segment;

pub use append::{Cause, Caused};
pub use change::FeedChange;
pub use error::Error;
pub use feed::{Feed, FeedPage};
pub use follow::FollowFeed;
pub use kind::{ChangeKind, UnknownKind};
pub use segment::{FeedEntry, KEPT};
