//! Tests of the whole system from outside: clients, limits and faults.
#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

mod accounts;
mod answers;
mod artifacts;
mod audited;
mod background;
mod billing;
mod browser;
mod cancel;
mod chaos;
mod clients;
mod credentials;
mod cut;
mod deliverables;
mod experiments;
mod interleaved;
mod isolation;
mod jobs;
mod kill;
mod largest;
mod limits;
mod long;
mod mcp;
mod once;
mod payments;
mod providers;
mod roles;
mod rotation;
mod sends;
mod strangers;
mod stripe;
mod surface;
mod system;
mod till;
mod types;
mod waits;
