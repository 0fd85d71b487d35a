//! The times of the attempts to deliver an event.

use std::time::Duration;

use sequent_core::pace::scaled;

const MINUTE: u64 = 60;
const HOUR: u64 = 3600;

/// Seconds before each further attempt: the schedule that Standard Webhooks gives as an example. The last attempt is made 75
/// hours after the first.
const PAUSES: [u64; 9] =
    [5, 5 * MINUTE, 30 * MINUTE, 2 * HOUR, 5 * HOUR, 10 * HOUR, 14 * HOUR, 20 * HOUR, 24 * HOUR];

/// Attempts to deliver an event.
pub const MAX_ATTEMPTS: u32 = PAUSES.len() as u32 + 1;

/// The longest pause that a receiver can ask for.
const LONGEST: Duration = Duration::from_secs(24 * HOUR);

/// Returns the pause after the `failures`-th failure: up to a fifth longer than in the schedule, at random, so that deliveries that
/// failed together do not return together, and as long as the receiver asked for. Returns `None` if no attempt is left.
pub(crate) fn pause(failures: u32, asked: Option<Duration>) -> Option<Duration> {
    let past = usize::try_from(failures.checked_sub(1)?).ok()?;
    let planned = Duration::from_secs(*PAUSES.get(past)?);
    let jittered = planned.mul_f64(1.0 + fastrand::f64() / 5.0);
    Some(scaled(jittered.max(asked.unwrap_or_default().min(LONGEST))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_attempts_span_three_days_with_jitter() {
        let mut least = Duration::ZERO;
        for (failures, seconds) in (1..).zip(PAUSES) {
            let planned = Duration::from_secs(seconds);
            least += planned;
            let pause = pause(failures, None).unwrap();
            assert!(pause >= planned && pause <= planned.mul_f64(1.2), "{failures}: {pause:?}");
        }
        assert_eq!(pause(MAX_ATTEMPTS, None), None);
        assert_eq!(pause(0, None), None);
        assert!(least > Duration::from_secs(72 * HOUR));
    }

    #[test]
    fn a_receiver_can_ask_for_more_time_but_not_for_more_than_a_day() {
        assert_eq!(pause(1, Some(Duration::from_secs(600))), Some(Duration::from_secs(600)));
        assert_eq!(pause(1, Some(Duration::MAX)), Some(LONGEST));
        assert!(pause(9, Some(Duration::from_secs(1))).unwrap() >= LONGEST);
    }
}
