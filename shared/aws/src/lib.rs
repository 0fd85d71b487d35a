//! The access of every function to AWS: one SDK configuration, queues, and secrets that are cached.
//!
//! The default provider chain of the SDK reads profile files and metadata endpoints. In Lambda, the region and the
//! credentials are always in the environment, so reading only that keeps cold starts short.

mod connect;
pub mod queue;
pub mod secret;

pub use connect::config;
pub use secret::{OriginSecret, Secrets};
