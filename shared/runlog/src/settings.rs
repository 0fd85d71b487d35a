//! Timing of the log.
//!
//! Decision 2 (`infra/decisions/0002-writes-grow-apart.md`) explains why.

use std::time::Duration;

use sequent_core::{
    pace::{scaled, scaled_to},
    setting::{self, InvalidSetting},
};

/// Settings of batching and of leases. None of them affects safety.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// The shortest time between two writes of a burst.
    pub linger_min: Duration,
    /// The longest time between two writes of a burst. Between these limits the gap is a quarter of the time
    /// that the execution has been writing: the first words appear at once, and a long answer does not cost a
    /// write per token.
    pub linger_max: Duration,
    /// The time without a sign of life after which another process may take over a run.
    pub lease: Duration,
    /// The interval at which an owner that writes nothing renews its lease.
    pub renew: Duration,
    /// The interval at which an owner that writes nothing polls for control events; at most `renew`.
    pub idle_check: Duration,
    /// The time for which a write is retried before the owner stops.
    pub patience: Duration,
    /// Store the pieces of one message that wait for the same write as one event.
    pub merge: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            linger_min: Duration::from_millis(25),
            linger_max: Duration::from_millis(350),
            lease: scaled_to(Duration::from_secs(10), Duration::from_secs(1)),
            renew: scaled_to(Duration::from_secs(3), Duration::from_millis(300)),
            idle_check: scaled(Duration::from_millis(500)),
            patience: Duration::from_secs(20),
            merge: true,
        }
    }
}

impl Settings {
    /// Reads `LINGER_MIN_MS`, `LINGER_MAX_MS`, `LEASE_MS` and `LEASE_RENEW_MS`, each optional. They are not scaled.
    ///
    /// # Errors
    /// [`InvalidSetting`] if a value is not allowed.
    pub fn from_env() -> Result<Self, InvalidSetting> {
        Self::read(setting::text)
    }

    fn read(get: impl Fn(&str) -> Option<String>) -> Result<Self, InvalidSetting> {
        let millis = |variable: &str, default: Duration| match get(variable) {
            Some(value) => {
                setting::parse(variable, &value, "a number of milliseconds").map(Duration::from_millis)
            }
            None => Ok(default),
        };
        let default = Self::default();
        let linger_min = millis("LINGER_MIN_MS", default.linger_min)?;
        Ok(Self {
            linger_min,
            linger_max: millis("LINGER_MAX_MS", default.linger_max)?.max(linger_min),
            lease: millis("LEASE_MS", default.lease)?,
            renew: millis("LEASE_RENEW_MS", default.renew)?,
            ..default
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_is_not_a_number_is_refused() {
        let read =
            |value: &str| Settings::read(|variable| (variable == "LEASE_MS").then(|| value.to_owned()));
        assert_eq!(read("5000").unwrap().lease, Duration::from_secs(5));
        let expected = "the environment variable LEASE_MS is `10s`, but must be a number of milliseconds";
        assert_eq!(read("10s").unwrap_err().to_string(), expected);
    }
}
