//! The one retry rule of the tables.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use tokio::time::Instant;

/// Time after which an operation is not tried again, because each try of an unreachable table lasts seconds.
const PATIENCE: Duration = Duration::from_secs(10);

/// The number of tries of an operation, with exponential backoff and jitter between the tries, so that those that
/// collided once do not collide again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    tries: usize,
    longest: Duration,
}

impl Retry {
    /// For rows that few requests touch at the same time: 8 tries, about a second.
    pub const BRIEF: Self = Self { tries: 8, longest: Duration::from_millis(200) };
    /// For a row that many requests change at the same time, such as a tenant's account: 40 tries, about 10 seconds.
    pub const CONTENDED: Self = Self { tries: 40, longest: Duration::from_millis(200) };

    /// The backoff as `backon` uses it, for loops that read, decide and write.
    #[must_use]
    pub fn backoff(self) -> ExponentialBuilder {
        ExponentialBuilder::new()
            .with_min_delay(Duration::from_millis(5))
            .with_max_delay(self.longest)
            .with_max_times(self.tries - 1)
            .with_jitter()
    }

    /// The pauses between the tries: each lasts between its delay and twice of it. For loops that are not of one
    /// closure.
    pub fn pauses(self) -> impl Iterator<Item = Duration> + Send {
        self.backoff().build()
    }

    /// The tries of one operation, which may consist of several steps.
    #[must_use]
    pub fn tries(self) -> Tries {
        Tries { pauses: self.backoff().build(), give_up: Instant::now() + PATIENCE }
    }
}

/// The tries of one operation. A loop that reads, decides and commits passes them to
/// [`Store::commit_within`](crate::Store::commit_within), so that the loop and the commit together have no more tries
/// than either alone.
#[derive(Debug)]
pub struct Tries {
    pauses: ExponentialBackoff,
    give_up: Instant,
}

impl Tries {
    /// Pauses before the next try. Returns `false` if no try is left.
    pub async fn pause(&mut self) -> bool {
        let pause = self.pauses.next().filter(|pause| Instant::now() + *pause < self.give_up);
        if let Some(pause) = pause {
            tokio::time::sleep(pause).await;
        }
        pause.is_some()
    }
}
