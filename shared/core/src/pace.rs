//! Scaled time: a test divides every wait of a process by one factor, so that hours of waiting pass in seconds.
//!
//! A wait is time that has to pass, or that others need: a lease, a poll, a pause before a retry, the lifetime of a run.
//! Limits of work (the timeout of a call or of an attempt), lifetimes that clients see (sessions, links, rate limits) and
//! caches are not waits and are not scaled. Write a wait as a constant, and [`scaled`] where it is used.

use std::{num::NonZeroU32, sync::LazyLock, time::Duration};

use crate::setting::{self, InvalidSetting};

/// The variable with the factor: 60 makes an hour a minute. Only tests set it.
pub const TIME_SCALE: &str = "TIME_SCALE";

/// The shortest scaled wait. A poll more often than that would only take the processor from what it waits for.
const SHORTEST: Duration = Duration::from_millis(20);

/// The factor of this process. Read once, because a wait and what depends on it must have the same scale.
static FACTOR: LazyLock<Result<u32, InvalidSetting>> = LazyLock::new(|| {
    let factor: Option<NonZeroU32> = setting::parsed(TIME_SCALE, "a whole number of at least 1")?;
    Ok(factor.map_or(1, NonZeroU32::get))
});

/// Checks the variable. A process calls this when it starts.
///
/// # Errors
/// [`InvalidSetting`] if its value is not allowed.
pub fn check() -> Result<(), InvalidSetting> {
    FACTOR.clone().map(drop)
}

/// Returns the time that this process waits instead of `wait`.
#[must_use]
pub fn scaled(wait: Duration) -> Duration {
    scaled_to(wait, SHORTEST)
}

/// As [`scaled`], but a longer wait is not made shorter than `shortest`: a lease must outlast the pauses of a busy machine,
/// which no factor shortens.
#[must_use]
pub fn scaled_to(wait: Duration, shortest: Duration) -> Duration {
    divided(wait, *FACTOR.as_ref().unwrap_or(&1), shortest)
}

fn divided(wait: Duration, factor: u32, shortest: Duration) -> Duration {
    wait.checked_div(factor).unwrap_or(wait).max(wait.min(shortest))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn without_the_variable_no_wait_changes() {
        check().unwrap();
        assert_eq!(scaled(HOUR), HOUR);
        assert_eq!(scaled_to(Duration::from_millis(1), HOUR), Duration::from_millis(1));
    }

    #[test]
    fn a_wait_is_divided_but_never_below_the_shortest() {
        let of = |wait, factor| divided(wait, factor, SHORTEST);
        assert_eq!(of(HOUR, 60), Duration::from_secs(60));
        assert_eq!(of(Duration::from_millis(200), 60), SHORTEST);
        assert_eq!(of(Duration::from_millis(5), 60), Duration::from_millis(5), "it is shorter already");
        assert_eq!(divided(Duration::from_secs(10), 60, Duration::from_secs(1)), Duration::from_secs(1));
    }
}
