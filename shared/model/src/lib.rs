//! One streaming interface to the language models of all providers.
//!
//! [`Client::stream`] takes a provider-neutral [`Request`] and returns [`Chunks`]. It guarantees:
//!
//! * An `Err` from `stream` means that nothing was generated. All retries have been made by then, and there
//!   is no retry after the first chunk.
//! * The stream ends with [`Chunk::Finished`] or with one `Err`, and nothing follows. A connection that
//!   closes without a finish reason is [`Error::Truncated`], never a short answer that looks complete.
//! * Waiting is limited: to connect, silence before and after the first chunk, and in total ([`Timeouts`]).
//! * Every answer has a [`Usage`]. If the provider reports none, it is estimated and marked as an estimate.
//! * No key appears in an error, in `Debug` output or in a log line.
//! * Dropping [`Chunks`] cancels the request.
//!
//! # Providers
//!
//! The module `wire` has a codec of our own for each protocol: OpenAI's chat completions, at any address, Anthropic's
//! messages, and the conversations of Amazon Bedrock. A codec is pure: it makes a request of [`Request`], and chunks of the
//! frames of the answer. The module `upstream` sends the request and reads the answer. Decisions 15
//! (`infra/decisions/0015-our-own-codecs.md`) and 17 explain why no crate does this for us.
//!
//! On one machine without a key, the [`demo`] provider answers; [`ModelInfo::demo`] is then true.

mod abilities;
mod allowance;
mod allowed;
mod bedrock;
mod chunk;
mod chunks;
mod client;
pub mod config;
pub mod demo;
pub mod deployed;
mod error;
pub mod estimate;
mod file;
mod meter;
mod name;
mod operator_table;
mod parameters;
pub mod price;
mod refusals;
mod request;
mod retry;
mod tool_schema;
mod upstream;
mod window;
mod wire;

pub use abilities::{Abilities, AbilityTable, InvalidAbilities};
pub use allowance::{Allowance, OutputLimit, UsageLimit};
pub use allowed::{AllowedModels, matches};
pub use chunk::{Chunk, FinishReason, MAX_PROVIDER_DATA, Usage};
pub use chunks::Chunks;
pub use client::{Client, Context, ModelInfo};
pub use config::{Config, Secrets, Timeouts};
pub use error::{Error, Phase};
pub use file::{AttachedFile, FileBytes, FileType};
pub use meter::tokens as estimate_tokens;
pub use name::{ModelName, Provider};
pub use operator_table::{OperatorTable, Replaceable};
pub use parameters::{Fraction, ModelParameters, ReasoningEffort, StopTexts};
pub use request::{Message, Origin, Part, Reasoning, Request, Role, ToolCall, ToolResult, ToolSpec};
pub use retry::Policy;
pub use sequent_core::MicroUsd;
pub use tool_schema::NotOffered;
pub use window::ContextWindow;
