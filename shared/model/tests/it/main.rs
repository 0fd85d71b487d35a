//! The demo, and the protocols of real providers over sockets: answers and every kind of error.

mod anthropic;
mod attempts;
mod bedrock;
mod completions;
mod demo;
mod keys;
mod openai;
mod parameters;
mod quiet;
mod server;
