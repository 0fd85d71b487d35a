//! Tries again while nothing has been generated yet.
//!
//! Exponential backoff with full jitter: the wait is uniform between zero and `base * 2^n`, so that callers who failed together do not
//! come back together. A provider's `Retry-After` is the least we wait. If it asks for more than `retry_after_cap`, or for more than the
//! deadline leaves, the failure is returned at once: trying earlier than told would only fail again.

use std::{future::Future, time::Duration};

use tokio::time::Instant;

use crate::Error;

/// How often and how patiently to try.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Attempts in all, the first included; at least 1.
    pub attempts: u32,
    /// Upper bound of the first wait.
    pub base: Duration,
    /// Upper bound of any jittered wait.
    pub cap: Duration,
    /// The longest `Retry-After` that is honoured.
    pub retry_after_cap: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            attempts: 3,
            base: Duration::from_millis(300),
            cap: Duration::from_secs(8),
            retry_after_cap: Duration::from_secs(20),
        }
    }
}

impl Policy {
    /// The wait before attempt `made + 1`, or `None` to give up. `jitter` maps an upper bound to a wait.
    fn wait(
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
        let asked = error.retry_after().unwrap_or_default();
        if asked > self.retry_after_cap {
            return None;
        }
        let wait = jitter(bound).max(asked);
        (wait < left).then_some(wait)
    }
}

fn full_jitter(bound: Duration) -> Duration {
    bound.mul_f64(fastrand::f64())
}

/// Calls `attempt` until it succeeds or the policy gives up.
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
        let Some(wait) = policy.wait(made, &error, left, full_jitter) else {
            return Err(error);
        };
        // Only the code: a provider's message may quote the conversation.
        tracing::warn!(
            code = error.code(),
            attempt = made,
            wait_ms = wait.as_millis() as u64,
            "the model request failed; trying again"
        );
        tokio::time::sleep(wait).await;
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
    fn waits_double_up_to_the_cap_and_then_end() {
        let policy = Policy {
            attempts: 8,
            base: Duration::from_secs(1),
            cap: Duration::from_secs(5),
            ..Policy::default()
        };
        let error = Error::Unavailable(String::new());
        let waits: Vec<_> = (1..=8).map(|made| policy.wait(made, &error, MINUTE, |bound| bound)).collect();
        let seconds = |n| Some(Duration::from_secs(n));
        let expected = [1, 2, 4, 5, 5, 5, 5].map(seconds);
        assert_eq!(waits[..7], expected);
        assert_eq!(waits[7], None);
    }

    #[test]
    fn retry_after_is_the_least_wait_and_its_cap_ends_it() {
        let policy = Policy::default();
        let wait = |error: &Error, left| policy.wait(1, error, left, |_| Duration::ZERO);
        assert_eq!(wait(&rate_limited(7), MINUTE), Some(Duration::from_secs(7)));
        assert_eq!(wait(&rate_limited(21), MINUTE), None);
        assert_eq!(wait(&rate_limited(7), Duration::from_secs(7)), None);
        assert_eq!(wait(&Error::Unauthorized, MINUTE), None);
    }

    #[test]
    fn jitter_stays_within_its_bound() {
        let bound = Duration::from_millis(300);
        let waits: Vec<_> = (0..200).map(|_| full_jitter(bound)).collect();
        assert!(waits.iter().all(|wait| *wait <= bound));
        assert!(waits.iter().any(|wait| *wait < bound / 3));
        assert!(waits.iter().any(|wait| *wait > bound / 3 * 2));
    }

    #[tokio::test(start_paused = true)]
    async fn it_really_waits_as_long_as_told() {
        let began = Instant::now();
        let calls = Cell::new(0);
        let result = run(&Policy::default(), began + MINUTE, || async {
            calls.set(calls.get() + 1);
            if calls.get() < 3 { Err(rate_limited(5)) } else { Ok("answer") }
        })
        .await;
        assert_eq!(result, Ok("answer"));
        assert_eq!(calls.get(), 3);
        assert!((10..12).contains(&began.elapsed().as_secs()));
    }

    #[tokio::test(start_paused = true)]
    async fn what_cannot_succeed_is_tried_once() {
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
