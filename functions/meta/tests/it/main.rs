//! The function as a deployment runs it.
#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

mod deployment;
mod documents;
mod golden;
mod health;
mod scopes;
