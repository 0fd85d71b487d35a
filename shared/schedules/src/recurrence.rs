//! The due times of a schedule: a function of the rule and of a time, without a clock.

use std::time::Duration;

use jiff::tz::TimeZone;
use sequent_core::Timestamp;

use crate::CronExpression;

/// The rule that names the due times.
pub(crate) enum Recurrence<'a> {
    Cron(&'a CronExpression, &'a TimeZone),
    /// `from`, and then again and again after `interval`. Time zones do not matter.
    Every {
        interval: Duration,
        from: Timestamp,
    },
}

impl Recurrence<'_> {
    /// Returns the first due time after `after`. Returns `None` if there is none.
    pub(crate) fn next_after(&self, after: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Cron(cron, zone) => {
                let after = jiff::Timestamp::from_millisecond(after.millis()).ok()?;
                let next = cron.next_after(zone, after)?;
                Some(Timestamp::from_millis(next.as_millisecond()))
            }
            Self::Every { from, .. } if after < *from => Some(*from),
            Self::Every { interval, from } => {
                let passed = after.since(*from).as_millis() / interval.as_millis().max(1);
                let next = interval.checked_mul(u32::try_from(passed).ok()?.checked_add(1)?)?;
                Some(*from + next)
            }
        }
    }
}
