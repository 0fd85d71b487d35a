//! The vocabulary every crate shares: ids, times, money and roles.
//!
//! Nothing here knows tokio, AWS or HTTP. A value of these types is valid by construction: text from outside
//! becomes an id only through `FromStr`, so code further in never checks again.

#[cfg(feature = "testing")]
pub mod golden;
pub mod id;
mod money;
mod time;

pub use id::{
    ApiKeyId, ArtifactId, EntityId, GrantId, InterruptId, JobId, MessageId, PostingId, ProjectId, RequestId,
    RunId, SessionId, TenantId, ToolCallId, UserId,
};
pub use money::{MicroCredits, MicroUsd};
pub use secrecy::{ExposeSecret, SecretString};
pub use time::Timestamp;
