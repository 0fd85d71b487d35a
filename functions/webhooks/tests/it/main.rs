//! The `webhooks` function over Lambda events, real tables and real credentials.
#![expect(clippy::unwrap_used, reason = "a failed step should panic at its line")]

mod deployment;
mod flows;
mod golden;
mod hooks;
mod hooks_golden;
