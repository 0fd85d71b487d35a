//! The whole system from outside: its clients, its limits, and its faults.
#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

mod background;
mod clients;
mod credentials;
mod cut;
mod interleaved;
mod isolation;
mod kill;
mod mcp;
mod once;
mod providers;
mod sends;
mod surface;
mod system;
