//! How an owner divides the time of its invocation.

use std::time::Duration;

use tokio::time::Instant;

/// How long before the deadline an owner hands its run over: enough to store what is buffered, also on a slow day.
const MARGIN: Duration = Duration::from_secs(5);
/// What is begun needs some time to be worth its while: less than this before the hand-over, nothing new is begun.
const LATE: Duration = Duration::from_secs(3);

/// The time of an invocation. Made when the invocation begins: a short one keeps its margins in proportion, or it would
/// be all margin, and its run would be handed from one invocation to the next without ever coming forward.
#[derive(Debug, Clone, Copy)]
pub struct Window {
    deadline: Instant,
    margin: Duration,
    late: Duration,
}

impl Window {
    /// The window from now to the moment the invocation is killed.
    #[must_use]
    pub fn until(deadline: Instant) -> Self {
        let left = deadline.saturating_duration_since(Instant::now());
        Self { deadline, margin: MARGIN.min(left / 4), late: LATE.min(left / 8) }
    }

    /// When an owner hands its run over.
    pub(crate) fn hand_over(&self) -> Instant {
        self.deadline - self.margin
    }

    /// Whether too little time is left to begin something.
    pub(crate) fn is_late(&self) -> bool {
        Instant::now() >= self.hand_over() - self.late
    }

    /// Whether it is still worth becoming an owner.
    pub(crate) fn is_open(&self) -> bool {
        Instant::now() + self.margin < self.hand_over()
    }

    /// When a reader's stream ends. It outlives the hand-over, whose last words an owner in the same process may have yet
    /// to store.
    pub(crate) fn last_words(&self) -> Instant {
        self.deadline - self.margin * 3 / 5
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn most_of_every_invocation_is_for_work() {
        for seconds in [1, 3, 8, 15, 29, 900] {
            let total = Duration::from_secs(seconds);
            let deadline = Instant::now() + total;
            let window = Window::until(deadline);
            assert!(!window.is_late() && window.is_open(), "{total:?}");
            assert!(window.hand_over() < window.last_words() && window.last_words() < deadline);
            tokio::time::advance(total * 3 / 5).await;
            assert!(!window.is_late(), "{total:?}");
            tokio::time::advance(total * 2 / 5).await;
            assert!(window.is_late() && !window.is_open(), "{total:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_long_invocation_has_the_whole_margins() {
        let window = Window::until(Instant::now() + Duration::from_secs(900));
        assert_eq!(window.hand_over() - Instant::now(), Duration::from_secs(895));
        tokio::time::advance(Duration::from_secs(892)).await;
        assert!(window.is_late());
        assert_eq!(window.last_words() - Instant::now(), Duration::from_secs(5));
    }
}
