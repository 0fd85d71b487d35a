//! The `jobs` function over Lambda events, real tables and real credentials.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic where it stands")]

mod deployment;
mod flows;
mod golden;
