//! The `chat` function over Lambda events and real tables.
#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

mod app;
mod attachments;
mod branches;
mod client_tools;
mod deployment;
mod feed;
mod golden;
mod headers;
mod limits;
mod resume;
mod signed_out;
mod streams;
mod turns;
