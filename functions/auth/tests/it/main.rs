//! The function over a table of its own, called as Lambda calls it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, also in what its cases share")]

mod deployment;
mod flows;
mod golden;
