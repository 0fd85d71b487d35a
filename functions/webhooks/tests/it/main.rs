//! The `webhooks` function over Lambda events, real tables and real credentials.

mod deployment;
mod flows;
mod golden;
mod hooks;
mod hooks_golden;
