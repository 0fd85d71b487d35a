//! The `runs` function over Lambda events, real tables and real credentials.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic where it stands")]

mod create;
mod deployment;
mod flows;
mod golden;
