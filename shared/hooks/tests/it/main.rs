//! Hooks with real tables and real runs.

mod bench;
mod calls;
mod storing;
