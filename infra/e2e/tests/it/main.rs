//! The whole system from outside: its clients, its limits, and its faults.
#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

mod cut;
mod kill;
mod once;
mod system;
