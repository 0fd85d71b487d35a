//! Runs from start to end against DynamoDB semantics in process.
#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

mod abilities;
mod agents;
mod attachments;
mod bedrock;
mod bench;
mod bills;
mod client_tools;
mod deliveries;
mod evaluations;
mod failover;
mod http_tools;
mod jobs;
mod mcp;
mod memory;
mod origin;
mod output;
mod parameters;
mod plans;
mod readers;
mod rebuild;
mod replays;
mod runs;
mod scripted;
mod sequences;
mod server;
mod sizes;
mod step_agents;
mod summaries;
mod tool_rules;
mod tools;
mod turns;
mod window;
