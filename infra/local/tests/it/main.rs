//! The execution environment and the stack, with real processes.
#![expect(clippy::unwrap_used, reason = "all of this crate is tests, and a panic is how a test fails")]

mod freezing;
mod harness;
mod iam;
mod invocations;
mod reload;
mod stack;
mod streaming;
