//! Retries a request while nothing has been generated.
//!
//! Exponential backoff with full jitter: the delay is uniform between zero and `base * 2^n`, so that callers
//! that failed at the same time do not retry at the same time. A provider's `Retry-After` is the minimum
//! delay. If it is longer than `retry_after_cap` or than the time left, the error is returned at once,
//! because an earlier retry would fail again.

use std::{future::Future, time::Duration};

use sequent_core::pace::scaled;
use tokio::time::Instant;

use crate::Error;

/// The rules for retries.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Number of attempts, including the first; at least 1.
    pub attempts: u32,
    /// Upper limit of the first delay.
    pub base: Duration,
    /// Upper limit of every jittered delay.
    pub cap: Duration,
    /// The longest `Retry-After` that is accepted.
    pub retry_after_cap: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            attempts: 3,
            base: scaled(Duration::from_millis(300)),
            cap: scaled(Duration::from_secs(8)),
            retry_after_cap: Duration::from_secs(20),
        }
    }
}

impl Policy {
    /// Returns the delay before attempt `made + 1`, or `None` for no further attempt. `jitter` maps an upper
    /// limit to a delay.
    fn delay(
        &self,
        made: u32,
        error: &Error,
        left: Duration,
        jitter: impl FnOnce(Duration) -> Duration,
    ) -> Option<Duration> {
        if made >= self.attempts || !error.retryable() {
            return None;
        }
        let bound = self.base.saturating_mul(1 << (made - 1).min(16)).min(self.cap);
        let requested = error.retry_after().unwrap_or_default();
        if requested > self.retry_after_cap {
            return None;
        }
        let delay = jitter(bound).max(requested);
        (delay < left).then_some(delay)
    }
}

fn full_jitter(bound: Duration) -> Duration {
    bound.mul_f64(fastrand::f64())
}

/// Calls `attempt` until it succeeds or the policy allows no further attempt.
pub(crate) async fn run<T, F, A>(policy: &Policy, deadline: Instant, attempt: A) -> Result<T, Error>
where
    A: Fn() -> F,
    F: Future<Output = Result<T, Error>>,
{
    let mut made = 1;
    loop {
        let error = match attempt().await {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        let left = deadline.saturating_duration_since(Instant::now());
        let Some(delay) = policy.delay(made, &error, left, full_jitter) else {
            return Err(error);
        };
        // Only the code is logged, because a provider's message may quote the conversation.
        tracing::warn!(
            code = error.code(),
            attempt = made,
            delay_ms = delay.as_millis() as u64,
            "the request to the model failed; retrying"
        );
        tokio::time::sleep(delay).await;
        made += 1;
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn rate_limited(seconds: u64) -> Error {
        Error::RateLimited { retry_after: Some(Duration::from_secs(seconds)) }
    }

    #[test]
    fn delays_double_up_to_the_cap() {
        let policy = Policy {
            attempts: 8,
            base: Duration::from_secs(1),
            cap: Duration::from_secs(5),
            ..Policy::default()
        };
        let error = Error::Unavailable(String::new());
        let delays: Vec<_> = (1..=8).map(|made| policy.delay(made, &error, MINUTE, |bound| bound)).collect();
        let seconds = |n| Some(Duration::from_secs(n));
        let expected = [1, 2, 4, 5, 5, 5, 5].map(seconds);
        assert_eq!(delays[..7], expected);
        assert_eq!(delays[7], None);
    }

    #[test]
    fn retry_after_is_the_minimum_delay_up_to_its_cap() {
        let policy = Policy::default();
        let delay = |error: &Error, left| policy.delay(1, error, left, |_| Duration::ZERO);
        assert_eq!(delay(&rate_limited(7), MINUTE), Some(Duration::from_secs(7)));
        assert_eq!(delay(&rate_limited(21), MINUTE), None);
        assert_eq!(delay(&rate_limited(7), Duration::from_secs(7)), None);
        assert_eq!(delay(&Error::Unauthorized, MINUTE), None);
    }

    #[test]
    fn jitter_stays_within_its_bound() {
        let bound = Duration::from_millis(300);
        let delays: Vec<_> = (0..200).map(|_| full_jitter(bound)).collect();
        assert!(delays.iter().all(|delay| *delay <= bound));
        assert!(delays.iter().any(|delay| *delay < bound / 3));
        assert!(delays.iter().any(|delay| *delay > bound / 3 * 2));
    }

    #[tokio::test(start_paused = true)]
    async fn a_retry_waits_as_long_as_the_provider_asks() {
        let started = Instant::now();
        let calls = Cell::new(0);
        let result = run(&Policy::default(), started + MINUTE, || async {
            calls.set(calls.get() + 1);
            if calls.get() < 3 { Err(rate_limited(5)) } else { Ok("answer") }
        })
        .await;
        assert_eq!(result, Ok("answer"));
        assert_eq!(calls.get(), 3);
        assert!((10..12).contains(&started.elapsed().as_secs()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_permanent_error_is_not_retried() {
        let calls = Cell::new(0);
        let result: Result<(), _> = run(&Policy::default(), Instant::now() + MINUTE, || async {
            calls.set(calls.get() + 1);
            Err(Error::BadRequest("no".into()))
        })
        .await;
        assert_eq!(result, Err(Error::BadRequest("no".into())));
        assert_eq!(calls.get(), 1);
    }
}
