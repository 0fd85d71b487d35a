//! The `mcp` function over Lambda events, real tables and real credentials.
#![expect(clippy::unwrap_used, reason = "a failed step should panic at its line")]

mod agents;
mod deployment;
mod endpoint;
mod golden;
mod servers;
