//! One streaming interface to language models, whoever serves them.
//!
//! [`Client::stream`] takes a provider-neutral [`Request`] and gives [`Chunks`]. Its contract is the reason for this crate:
//!
//! * An `Err` from `stream` means that nothing was generated. All retries have happened by then; none happens after the first chunk.
//! * The stream ends in exactly one way: [`Chunk::Finished`] or one `Err`, and nothing follows it. A connection that closes
//!   without a finish reason is [`Error::Truncated`], never a short answer that looks whole.
//! * Silence is bounded: to connect, before the first chunk, between chunks, and in all ([`Timeouts`]).
//! * Every answer has a [`Usage`]; if the provider reports none it is estimated and says so.
//! * No key ever appears in an error, in `Debug` or in a log line.
//! * Dropping [`Chunks`] cancels the request.
//!
//! # Providers
//!
//! The wire protocols come from the crate `genai`: OpenAI-compatible chat completions with a configurable base URL, and Anthropic.
//! It was chosen because it decodes incrementally (UTF-8 and SSE frames split anywhere), reports HTTP failures with their headers, and
//! takes our own HTTP client. What it leaves open is closed in `upstream`: it ends cleanly where a connection was cut, goes on after an error,
//! drops a finish reason that no `[DONE]` follows, takes an ending such as `-max` of a model's name for an effort setting, and logs
//! provider errors with their bodies, which may hold part of a key.
//!
//! Without a key the [`demo`] provider answers, and says so in [`ModelInfo`].

mod chunk;
mod chunks;
mod client;
pub mod config;
pub mod demo;
pub mod deployed;
mod error;
mod meter;
mod name;
pub mod price;
mod request;
mod retry;
mod upstream;

pub use chunk::{Chunk, FinishReason, Usage};
pub use chunks::Chunks;
pub use client::{Client, Context, ModelInfo};
pub use config::{Config, Secrets, Timeouts};
pub use error::{Error, Phase};
pub use name::{ModelName, Provider};
pub use request::{Message, Part, Request, Role, ToolCall, ToolResult, ToolSpec};
pub use retry::Policy;
pub use sequent_core::MicroUsd;
