//! The audit: for each kind of finding the tables are broken on purpose, and healthy work of every state is left alone.
#![expect(clippy::unwrap_used, reason = "a failed step should panic at its line")]

mod accounts;
mod bench;
mod deliveries;
mod healthy;
mod jobs;
mod objects;
mod runs;
mod schedules;
mod turns;
mod unreadable;
mod walk;
