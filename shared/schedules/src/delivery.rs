//! Messages about schedules that are due.

use sequent_conversation::Delivery;
use sequent_core::{ScheduleId, TenantId, Timestamp};
use sequent_event::RunSchedule;
use sequent_tables::{Due, Item, Store, attribute_of, key};
use serde::{Deserialize, Serialize, de::IgnoredAny};

use crate::Error;

/// A message of the queue of jobs: a schedule that may be due. It may be lost, duplicated, late and out of order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "plain data")]
pub struct ScheduleDelivery {
    pub tenant_id: TenantId,
    pub schedule_id: ScheduleId,
}

impl ScheduleDelivery {
    /// Encodes the message as JSON.
    #[must_use]
    pub fn to_json(self) -> String {
        serde_json::to_string(&self).expect("two ids serialise to a map")
    }

    /// Returns the schedule whose run ends with a change of a row of `main`: a due time may wait for that. Returns `None` for
    /// every other change.
    #[must_use]
    pub fn of_end(old: Option<&Item>, new: &Item) -> Option<Self> {
        let ended = Delivery::of_end(old, new)?;
        let schedule: RunSchedule = attribute_of(new, "schedule")?;
        Some(Self { tenant_id: ended.tenant_id, schedule_id: schedule.id })
    }

    /// Decodes a message. Returns `None` if the text is another one.
    #[must_use]
    pub fn from_json(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }
}

/// Makes a due schedule due again at `until`, in case its message is lost. Returns the message to the one sweep that moved the
/// schedule, and `None` to others.
///
/// # Errors
/// Returns an error if the table fails.
pub async fn postpone(store: &Store, due: &Due, until: Timestamp) -> Result<Option<ScheduleDelivery>, Error> {
    let Some((tenant_id, schedule_id)) = key::parse_schedule(due.key()) else { return Ok(None) };
    let moved: Option<IgnoredAny> = due.postpone(store, until).await?;
    Ok(moved.map(|_| ScheduleDelivery { tenant_id, schedule_id }))
}
