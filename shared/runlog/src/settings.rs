//! Timing of the log.

use std::time::Duration;

/// How a writer batches and how long its claim lasts. None of these affects safety.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Least time between two writes of a burst.
    pub linger_min: Duration,
    /// Most time between two writes of a burst. Between the two the gap is a quarter of the time the execution has
    /// been writing: the first words appear at once, and a long answer does not pay a write per token.
    pub linger_max: Duration,
    /// How long an owner that shows no sign of life is left alone.
    pub lease: Duration,
    /// How often an owner that writes nothing renews its lease.
    pub renew: Duration,
    /// How often an owner that writes nothing looks for control events; at least as often as it renews.
    pub idle_check: Duration,
    /// How long a write is retried before the owner gives the run up.
    pub patience: Duration,
    /// Store pieces of one message that wait for the same write as one event.
    pub merge: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            linger_min: Duration::from_millis(25),
            linger_max: Duration::from_millis(350),
            lease: Duration::from_secs(10),
            renew: Duration::from_secs(3),
            idle_check: Duration::from_millis(500),
            patience: Duration::from_secs(20),
            merge: true,
        }
    }
}

impl Settings {
    /// From `LINGER_MIN_MS`, `LINGER_MAX_MS`, `LEASE_MS` and `LEASE_RENEW_MS`, each optional.
    #[must_use]
    pub fn from_env() -> Self {
        let default = Self::default();
        let millis = |name: &str, default: Duration| {
            std::env::var(name).ok().and_then(|text| text.parse().ok()).map_or(default, Duration::from_millis)
        };
        let linger_min = millis("LINGER_MIN_MS", default.linger_min);
        Self {
            linger_min,
            linger_max: millis("LINGER_MAX_MS", default.linger_max).max(linger_min),
            lease: millis("LEASE_MS", default.lease),
            renew: millis("LEASE_RENEW_MS", default.renew),
            ..default
        }
    }
}
