//! The `evaluations` function over Lambda events, real tables and real credentials.
#![expect(clippy::unwrap_used, reason = "a failed step should panic at its line")]

mod deployment;
mod evaluations;
mod flows;
mod golden;
