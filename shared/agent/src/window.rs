//! The time window of an invocation.

use std::time::Duration;

use tokio::time::Instant;

/// Time before the deadline at which an owner hands its run over. It is enough to store what is buffered,
/// even slowly.
const MARGIN: Duration = Duration::from_secs(5);
/// Time before the hand-over in which no new step is started, because a step needs some time to be useful.
const LATE: Duration = Duration::from_secs(3);

/// The time window of an invocation, created when the invocation starts. A short invocation gets margins in
/// proportion: with full margins it would have no time to work, and its run would be handed over again and
/// again without progress.
#[derive(Debug, Clone, Copy)]
pub struct Window {
    deadline: Instant,
    margin: Duration,
    late: Duration,
}

impl Window {
    /// Creates the window from now until the invocation is killed.
    #[must_use]
    pub fn until(deadline: Instant) -> Self {
        let left = deadline.saturating_duration_since(Instant::now());
        Self { deadline, margin: MARGIN.min(left / 4), late: LATE.min(left / 8) }
    }

    /// The time at which an owner hands its run over.
    pub(crate) fn hand_over(&self) -> Instant {
        self.deadline - self.margin
    }

    /// Returns `true` if too little time is left to start a step.
    pub(crate) fn is_late(&self) -> bool {
        Instant::now() >= self.hand_over() - self.late
    }

    /// Returns `true` if there is enough time to become an owner.
    pub(crate) fn is_open(&self) -> bool {
        Instant::now() + self.margin < self.hand_over()
    }

    /// The time at which a reader's stream ends. It is after the hand-over, because an owner in the same
    /// process may still store its last events then.
    pub(crate) fn stream_end(&self) -> Instant {
        self.deadline - self.margin * 3 / 5
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn most_of_every_invocation_is_available_for_work() {
        for seconds in [1, 3, 8, 15, 29, 900] {
            let total = Duration::from_secs(seconds);
            let deadline = Instant::now() + total;
            let window = Window::until(deadline);
            assert!(!window.is_late() && window.is_open(), "{total:?}");
            assert!(window.hand_over() < window.stream_end() && window.stream_end() < deadline);
            tokio::time::advance(total * 3 / 5).await;
            assert!(!window.is_late(), "{total:?}");
            tokio::time::advance(total * 2 / 5).await;
            assert!(window.is_late() && !window.is_open(), "{total:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_long_invocation_has_full_margins() {
        let window = Window::until(Instant::now() + Duration::from_secs(900));
        assert_eq!(window.hand_over() - Instant::now(), Duration::from_secs(895));
        tokio::time::advance(Duration::from_secs(892)).await;
        assert!(window.is_late());
        assert_eq!(window.stream_end() - Instant::now(), Duration::from_secs(5));
    }
}
