//! The `artifacts` function over Lambda events, real tables and a bucket that is served in process.
#![expect(clippy::unwrap_used, reason = "a failed step should panic at its line")]

mod deletions;
mod deployment;
mod golden;
mod refusals;
