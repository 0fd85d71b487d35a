//! Schedules in scaled time. The emulator runs schedules too, but not more often than once a minute.

use std::sync::Arc;

use bytes::Bytes;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval_at};

use crate::runtime::{Function, Runtime};
use crate::template::{self, Source};

/// Invokes every scheduled function at `factor` times its rate, until the tasks are aborted. Does nothing if the factor is
/// 1, because the emulator does it then.
pub(super) fn scaled(
    functions: &[template::Function],
    runtime: &Arc<Runtime>,
    factor: u32,
) -> Vec<JoinHandle<()>> {
    if factor <= 1 {
        return Vec::new();
    }
    let all =
        functions.iter().flat_map(|function| function.sources.iter().map(move |source| (function, source)));
    let tasks = all.filter_map(|(function, source)| {
        let Source::Schedule { every, input } = source else { return None };
        let function = runtime.function(&function.logical_id)?.clone();
        let event = Bytes::from(input.clone().unwrap_or_else(|| "{}".to_owned()));
        Some(tokio::spawn(tick(function, event, *every / factor)))
    });
    tasks.collect()
}

async fn tick(function: Arc<Function>, event: Bytes, every: std::time::Duration) {
    let mut ticks = interval_at(tokio::time::Instant::now() + every, every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        // A failed invocation is in the function's log, and the next one repeats it.
        drop(function.invoke(event.clone()).await);
    }
}
