//! Hooks with real tables and real runs.
#![expect(clippy::unwrap_used, reason = "a failed step should panic at its line")]

mod bench;
mod calls;
mod storing;
