//! One streaming interface to the language models of all providers.
//!
//! [`Client::stream`] takes a provider-neutral [`Request`] and returns [`Chunks`]. It guarantees:
//!
//! * An `Err` from `stream` means that nothing was generated. All retries have been made by then, and there
//!   is no retry after the first chunk.
//! * The stream ends with [`Chunk::Finished`] or with one `Err`, and nothing follows. A connection that
//!   closes without a finish reason is [`Error::Truncated`], never a short answer that looks complete.
//! * Waiting is limited: to connect, for the first chunk, between chunks, and in total ([`Timeouts`]).
//! * Every answer has a [`Usage`]. If the provider reports none, it is estimated and marked as an estimate.
//! * No key appears in an error, in `Debug` output or in a log line.
//! * Dropping [`Chunks`] cancels the request.
//!
//! # Providers
//!
//! The crate `genai` implements the wire protocols: OpenAI-compatible chat completions with a configurable
//! base URL, and Anthropic. It was chosen because it decodes incrementally (UTF-8 and SSE frames split
//! anywhere), reports HTTP errors with their headers, and accepts our HTTP client. The module `upstream`
//! corrects its faults: it ends without an error when a connection is cut, continues after an error, drops a
//! finish reason without a `[DONE]` after it, takes a suffix of a model's name such as `-max` for an effort
//! setting, and logs provider errors with their bodies, which may contain part of a key.
//!
//! On one machine without a key, the [`demo`] provider answers; [`ModelInfo::demo`] is then true.
//!
//! Decision 11 (`infra/decisions/0011-genai-behind-our-own-chunks.md`) explains why.

mod allowance;
mod allowed;
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

pub use allowance::{Allowance, OutputLimit, UsageLimit};
pub use allowed::{AllowedModels, matches};
pub use chunk::{Chunk, FinishReason, Usage};
pub use chunks::Chunks;
pub use client::{Client, Context, ModelInfo};
pub use config::{Config, Secrets, Timeouts};
pub use error::{Error, Phase};
pub use name::{ModelName, Provider};
pub use request::{Message, Part, Request, Role, ToolCall, ToolResult, ToolSpec};
pub use retry::Policy;
pub use sequent_core::MicroUsd;
