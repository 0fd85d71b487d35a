//! Tests of the function, with its own table and the events of Lambda.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, also in what its cases share")]

mod deployment;
mod flows;
mod golden;
mod registration;
