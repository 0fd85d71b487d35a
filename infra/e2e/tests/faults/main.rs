//! The whole system under faults: killed processes, retried requests, impatient people.
#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

mod cut;
mod kill;
mod once;
mod system;
