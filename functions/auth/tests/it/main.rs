//! Tests of the function, with its own table and the events of Lambda.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, also in what its cases share")]

mod account;
mod credentials;
mod deployment;
mod golden;
mod registration;
mod sign_in;
