//! The instances of one function: which of them exist, which are idle, and the invocations they work on.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use super::assignment::Assignment;
use super::config::{Config, Generation};
use super::instance::{Delivery, Instance, InstanceInfo};
use super::reply::{FunctionError, Reply};

/// An instance that has answered asks for more within microseconds. Waiting this long for it is cheaper than
/// a new process.
const FINISHING_GRACE: Duration = Duration::from_millis(100);

/// The instances of a function.
#[derive(Debug)]
pub(super) struct Pool {
    config: Config,
    state: Mutex<State>,
    /// Notified of every change that a waiting placement may need.
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    all: BTreeMap<u64, Arc<Instance>>,
    /// The most recently used last, so that the others can age.
    idle: Vec<Arc<Instance>>,
    /// Number of instances that have answered but not yet asked for more work.
    finishing: usize,
    generation: Option<Generation>,
    started: u64,
    closed: bool,
}

/// Result of placing an invocation on an idle instance.
pub(super) enum Placed {
    /// An instance has it, or the pool is closed.
    Done,
    /// No instance is idle.
    NeedsInstance(Assignment),
}

impl Pool {
    pub(super) fn new(config: Config) -> Self {
        Self { config, state: Mutex::default(), changed: Notify::new() }
    }

    pub(super) fn config(&self) -> &Config {
        &self.config
    }

    pub(super) fn is_closed(&self) -> bool {
        self.state().closed
    }

    /// Gives the assignment to an idle instance of the present build.
    pub(super) async fn place(&self, mut assignment: Assignment) -> Placed {
        let give_up = tokio::time::Instant::now() + FINISHING_GRACE;
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            let (idle, finishing, closed) = {
                let mut state = self.state();
                (state.idle.pop(), state.finishing, state.closed)
            };
            if closed {
                return Placed::Done;
            }
            if let Some(instance) = idle {
                if Some(instance.generation) != self.generation() {
                    instance.retire();
                    continue;
                }
                match instance.assign(assignment) {
                    Ok(()) => return Placed::Done,
                    Err(returned) => {
                        assignment = *returned;
                        continue;
                    }
                }
            }
            if finishing == 0 || tokio::time::timeout_at(give_up, changed).await.is_err() {
                return Placed::NeedsInstance(assignment);
            }
        }
    }

    /// Returns the number of a new instance and the build that it runs.
    pub(super) fn next_instance(&self) -> std::io::Result<(u64, Generation)> {
        let generation = Generation::of(&self.config.binary)?;
        let mut state = self.state();
        state.generation = Some(generation);
        state.started += 1;
        Ok((state.started, generation))
    }

    /// Returns `true` if an instance has been started before.
    pub(super) fn has_started(&self) -> bool {
        self.state().generation.is_some()
    }

    pub(super) fn add(&self, instance: &Arc<Instance>) {
        let closed = {
            let mut state = self.state();
            state.all.insert(instance.id, instance.clone());
            state.closed
        };
        if closed {
            instance.retire();
        }
    }

    /// Removes an instance that has ended.
    pub(super) fn remove(&self, instance: &Instance) {
        let mut state = self.state();
        state.all.remove(&instance.id);
        state.idle.retain(|other| other.id != instance.id);
        drop(state);
        self.changed.notify_waiters();
    }

    /// Waits for the instance's next invocation: `GET /runtime/invocation/next`.
    pub(super) async fn next(&self, instance: &Arc<Instance>) -> Delivery {
        let asked = instance.ask();
        if asked.was_finishing {
            self.finished();
        }
        if let Some(lost) = asked.unanswered {
            let id = lost.request_id.clone();
            let error = FunctionError::exited(&id, "the runtime asked for more without answering");
            lost.finish(Reply::Error(error));
        }
        if asked.needs_work {
            self.add_idle(instance);
        }
        instance.delivery(&self.config).await
    }

    /// Ends the instance's invocation. `None` if its caller has been answered before, by the start of a
    /// stream.
    pub(super) fn finish(&self, instance: &Instance, request_id: &str, reply: Option<Reply>) {
        let Some(assignment) = instance.take(request_id) else { return };
        // Before the answer: a caller that sends its next request at once must find this instance, not a new
        // one.
        self.state().finishing += 1;
        self.changed.notify_waiters();
        match reply {
            Some(reply) => assignment.finish(reply),
            None => drop(assignment),
        }
    }

    /// Counts an instance that asked for work, or ended, after it had answered.
    pub(super) fn finished(&self) {
        let mut state = self.state();
        state.finishing = state.finishing.saturating_sub(1);
        drop(state);
        self.changed.notify_waiters();
    }

    fn add_idle(&self, instance: &Arc<Instance>) {
        let current = self.generation();
        let mut state = self.state();
        if state.closed || Some(instance.generation) != current {
            drop(state);
            return instance.retire();
        }
        state.idle.push(instance.clone());
        drop(state);
        self.changed.notify_waiters();
    }

    /// Retires instances that have been idle for too long or run an old build.
    pub(super) fn tidy(&self) {
        let current = self.generation();
        let mut leaving = Vec::new();
        self.state().idle.retain(|instance| {
            let stale = current.is_some_and(|current| current != instance.generation);
            let stays = !stale && instance.idle_for() < self.config.idle_timeout;
            if !stays {
                leaving.push(instance.clone());
            }
            stays
        });
        leaving.iter().for_each(|instance| instance.retire());
    }

    pub(super) fn instances(&self) -> Vec<InstanceInfo> {
        self.state().all.values().map(|instance| instance.info(&self.config.logical_id)).collect()
    }

    pub(super) fn kill(&self, pid: u32) -> bool {
        let found = self.state().all.values().find(|instance| instance.pid == pid).cloned();
        found.is_some_and(|instance| instance.kill())
    }

    /// Accepts no more invocations and retires every instance.
    pub(super) fn close(&self) {
        let all: Vec<_> = {
            let mut state = self.state();
            state.closed = true;
            state.idle.clear();
            state.all.values().cloned().collect()
        };
        all.iter().for_each(|instance| instance.retire());
        self.changed.notify_waiters();
    }

    /// Waits until no instance is left.
    pub(super) async fn ended(&self) {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            if self.state().all.is_empty() {
                return;
            }
            changed.await;
        }
    }

    /// Returns the build on disk. While the linker replaces it, returns the build before.
    fn generation(&self) -> Option<Generation> {
        Generation::of(&self.config.binary).ok().or(self.state().generation)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No code panics while it holds the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
