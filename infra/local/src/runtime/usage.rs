//! The use of a function: its invocations, and the time for which they are at work.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The use of a function since the stack started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FunctionUsage {
    /// Key of the function in the template.
    pub logical_id: String,
    /// `MemorySize` of the template.
    pub memory_mb: u64,
    /// Invocations, those included that are at work.
    pub invocations: u64,
    /// Time that all invocations have worked. Starts of instances are not included.
    pub busy: Duration,
}

/// Counts the invocations of one function.
#[derive(Debug, Default)]
pub(super) struct InvocationMeter(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    invocations: u64,
    running: u32,
    /// The time worked until `changed`.
    busy: Duration,
    changed: Option<Instant>,
}

/// An invocation at work. Dropping it ends it.
#[derive(Debug)]
pub(super) struct MeteredInvocation(Arc<InvocationMeter>);

impl InvocationMeter {
    /// Begins to count an invocation.
    pub(super) fn begin(self: &Arc<Self>) -> MeteredInvocation {
        let mut counts = self.counts();
        counts.advance(Instant::now());
        counts.invocations += 1;
        counts.running += 1;
        MeteredInvocation(self.clone())
    }

    /// Returns the number of invocations and their time so far.
    pub(super) fn read(&self) -> (u64, Duration) {
        let mut counts = self.counts();
        counts.advance(Instant::now());
        (counts.invocations, counts.busy)
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        // No code panics while it holds the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counts {
    fn advance(&mut self, now: Instant) {
        let since = self.changed.map_or(Duration::ZERO, |changed| now.saturating_duration_since(changed));
        self.busy += since * self.running;
        self.changed = Some(now);
    }
}

impl Drop for MeteredInvocation {
    fn drop(&mut self) {
        let mut counts = self.0.counts();
        counts.advance(Instant::now());
        counts.running -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invocations_at_the_same_time_are_counted_each() {
        let mut counts = Counts { running: 1, ..Counts::default() };
        let begun = Instant::now();
        counts.advance(begun);
        counts.advance(begun + Duration::from_secs(2));
        counts.running = 3;
        counts.advance(begun + Duration::from_secs(4));
        assert_eq!(counts.busy, Duration::from_secs(2 + 3 * 2));
    }

    #[test]
    fn an_invocation_counts_until_it_is_dropped() {
        let meter = Arc::new(InvocationMeter::default());
        let at_work = meter.begin();
        std::thread::sleep(Duration::from_millis(2));
        let (invocations, so_far) = meter.read();
        assert!(invocations == 1 && so_far >= Duration::from_millis(2), "{so_far:?}");
        drop(at_work);
        let ended = meter.read();
        std::thread::sleep(Duration::from_millis(2));
        assert_eq!(meter.read(), ended);
    }
}
