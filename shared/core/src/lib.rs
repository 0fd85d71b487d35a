//! The vocabulary that every crate shares: ids, times, money, callers and errors.
//!
//! Nothing here knows tokio, AWS or HTTP. A value of these types is valid by construction: text from outside
//! becomes an id only through `FromStr`, so code further in never checks again.

pub mod error;
#[cfg(feature = "testing")]
pub mod golden;
pub mod id;
mod money;
pub mod pace;
mod principal;
pub mod setting;
mod tenant_limits;
mod tenant_trust;
mod time;

pub use error::{ApiError, Code, ErrorDetails, ErrorKind};
pub use id::{
    AgentId, ApiKeyId, ArtifactId, DatasetId, DeliveryId, EntityId, EventId, GrantId, HookId, InterruptId,
    InvitationId, JobId, MessageId, NoteId, PostingId, ProjectId, RequestId, RunId, ScheduleId, SessionId,
    TenantId, ToolCallId, UserId, WebhookId,
};
pub use money::{MicroCredits, MicroUsd};
pub use principal::{MissingScope, Principal, Scope, Scopes, UnknownScope, Via};
pub use secrecy::{ExposeSecret, SecretSlice, SecretString};
pub use setting::InvalidSetting;
pub use tenant_limits::TenantLimits;
pub use tenant_trust::TenantTrust;
pub use time::Timestamp;
