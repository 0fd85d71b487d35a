//! How every function reaches AWS: one SDK configuration, and secrets that are read once and kept fresh.
//!
//! The SDK's default provider chain probes profile files and metadata endpoints; inside Lambda the region and the
//! credentials are always in the environment, so reading just that keeps cold starts short.

mod connect;
pub mod queue;
pub mod secret;

pub use connect::config;
pub use secret::Secrets;
