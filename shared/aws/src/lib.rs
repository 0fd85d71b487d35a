//! The access of every function to AWS: one SDK configuration, queues, secrets that are cached, and signatures.
//!
//! The default provider chain of the SDK reads profile files and metadata endpoints. In Lambda, the region and the
//! credentials are always in the environment, so reading only that keeps cold starts short.

mod connect;
pub mod queue;
pub mod secret;
pub mod sign;
mod stream;

pub use connect::config;
pub use secret::{OriginSecret, Secrets};
pub use stream::RowChange;
