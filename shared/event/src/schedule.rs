//! The schedule of a run, as its log records it.

use sequent_core::{ScheduleId, Timestamp};
use serde::{Deserialize, Serialize};

/// The schedule that started a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RunSchedule {
    /// The id of the schedule.
    pub id: ScheduleId,
    /// The time at which the run was due: a time of the schedule, or that of the request which ran it by hand.
    pub due_at: Timestamp,
    /// The due times that were missed before, and that this run makes up for. Absent if there were none.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub missed: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(missed: &u32) -> bool {
    *missed == 0
}
