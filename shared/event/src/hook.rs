//! The hook of a run, as its log records it.

use sequent_core::HookId;
use serde::{Deserialize, Serialize};

/// The hook that started a run. The body of the request is in the message of the run, as the data part `request_body`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RunHook {
    /// The id of the hook.
    pub id: HookId,
}
