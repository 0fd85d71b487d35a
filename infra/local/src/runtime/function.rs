//! One function: places invocations on instances, starts instances on demand up to the concurrency limit, and
//! retires those that are idle for long or whose binary was rebuilt.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use tokio::sync::{Notify, Semaphore, oneshot};

use super::assignment::Assignment;
use super::instance::Instance;
use super::{Environment, FunctionError, InstanceInfo, Reply};
use crate::logs::Logs;
use crate::request_id;

/// An instance that has answered asks for more within microseconds; waiting this long for it beats a new process.
const FINISHING_GRACE: Duration = Duration::from_millis(100);
/// The linker replaces a binary by removing it first.
const REBUILD_GRACE: Duration = Duration::from_secs(3);

/// Everything about a function that does not change while it runs.
#[derive(Debug, Clone)]
pub struct Config {
    /// Key in the template.
    pub logical_id: String,
    /// Name in AWS.
    pub name: String,
    /// The executable.
    pub binary: PathBuf,
    /// After this an invocation is killed.
    pub timeout: Duration,
    /// Told to the function.
    pub memory_mb: u64,
    /// Most invocations at once; more are throttled.
    pub concurrency: usize,
    /// An instance idle for longer is stopped.
    pub idle_timeout: Duration,
    /// Variables.
    pub environment: Environment,
    /// Region in ARNs.
    pub region: String,
    /// Where its output goes.
    pub logs: Logs,
}

impl Config {
    /// The function's ARN, in the account that emulators use.
    pub fn arn(&self) -> String {
        format!("arn:aws:lambda:{}:000000000000:function:{}", self.region, self.name)
    }
}

/// Why an invocation was not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// All of the function's concurrency is in use.
    #[error("Rate Exceeded.")]
    Throttled,
    /// The stack is stopping.
    #[error("the execution environment is shutting down")]
    Stopping,
}

/// A function and its instances.
#[derive(Debug)]
pub struct Function {
    config: Config,
    permits: Arc<Semaphore>,
    pool: Mutex<Pool>,
    /// Something changed that a waiting placement may care about.
    pub(super) changed: Notify,
}

#[derive(Debug, Default)]
struct Pool {
    all: BTreeMap<u64, Arc<Instance>>,
    /// Most recently used last, so that the others can age.
    idle: Vec<Arc<Instance>>,
    finishing: usize,
    generation: Option<Generation>,
    started: u64,
    closed: bool,
}

/// Which build of the binary an instance runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Generation {
    modified: SystemTime,
    len: u64,
}

impl Function {
    pub(super) fn new(config: Config) -> Self {
        let permits = Arc::new(Semaphore::new(config.concurrency));
        Self { config, permits, pool: Mutex::default(), changed: Notify::new() }
    }

    /// Its configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Runs one invocation. It goes on, as on Lambda, when the caller loses interest and drops this future.
    pub async fn invoke(self: &Arc<Self>, event: Bytes) -> Result<Reply, Refusal> {
        self.invoke_as(request_id(), event).await
    }

    /// Runs one invocation under an id that the caller has chosen.
    pub(crate) async fn invoke_as(self: &Arc<Self>, id: String, event: Bytes) -> Result<Reply, Refusal> {
        if self.pool().closed {
            return Err(Refusal::Stopping);
        }
        let permit = self.permits.clone().try_acquire_owned().map_err(|_| Refusal::Throttled)?;
        let (reply, answer) = oneshot::channel();
        let assignment = Assignment::new(id, event, reply, permit);
        tokio::spawn(self.clone().place(assignment));
        // The sender is dropped unanswered only when the runtime itself is going down.
        answer.await.map_err(|_| Refusal::Stopping)
    }

    /// Finds or starts an instance for an assignment.
    pub(super) async fn place(self: Arc<Self>, assignment: Assignment) {
        if let Some(unplaced) = self.place_on_idle(assignment).await {
            self.start_for(unplaced).await;
        }
    }

    /// Gives the assignment back when a new instance is needed.
    async fn place_on_idle(&self, mut assignment: Assignment) -> Option<Assignment> {
        let give_up = tokio::time::Instant::now() + FINISHING_GRACE;
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            let (idle, finishing, closed) = {
                let mut pool = self.pool();
                (pool.idle.pop(), pool.finishing, pool.closed)
            };
            if closed {
                return None;
            }
            if let Some(instance) = idle {
                if Some(instance.generation) != self.generation() {
                    instance.retire();
                    continue;
                }
                match instance.assign(assignment) {
                    Ok(()) => return None,
                    Err(returned) => {
                        assignment = *returned;
                        continue;
                    }
                }
            }
            if finishing == 0 || tokio::time::timeout_at(give_up, changed).await.is_err() {
                return Some(assignment);
            }
        }
    }

    async fn start_for(self: &Arc<Self>, assignment: Assignment) {
        let give_up = tokio::time::Instant::now() + REBUILD_GRACE;
        let mut assignment = Some(assignment);
        loop {
            let error = match self.start(&mut assignment).await {
                Ok(()) => return,
                Err(error) => error,
            };
            // Missing or still being written: a build is going on. Otherwise there is no point in waiting.
            use std::io::ErrorKind::{ExecutableFileBusy, NotFound};
            let rebuilding = matches!(error.kind(), ExecutableFileBusy | NotFound);
            let was_there = error.kind() == ExecutableFileBusy || self.pool().generation.is_some();
            if !(rebuilding && was_there && tokio::time::Instant::now() < give_up) {
                let path = self.config.binary.display();
                self.config.logs.line(&self.config.logical_id, &format!("cannot start {path}: {error}"));
                if let Some(assignment) = assignment {
                    let message = format!("Couldn't start {path}: {error}");
                    let id = assignment.request_id.clone();
                    assignment.finish(Reply::Error(FunctionError::platform(
                        "Runtime.InvalidEntrypoint",
                        &id,
                        &message,
                    )));
                }
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Starts an instance that begins with this assignment; takes it only on success.
    async fn start(self: &Arc<Self>, assignment: &mut Option<Assignment>) -> std::io::Result<()> {
        let generation = Generation::of(&self.config.binary)?;
        let id = {
            let mut pool = self.pool();
            pool.generation = Some(generation);
            pool.started += 1;
            pool.started
        };
        let (instance, supervisor) = Instance::start(id, generation, self).await?;
        if let Some(assignment) = assignment.take() {
            instance.assign(assignment).unwrap_or_else(|refused| {
                let id = refused.request_id.clone();
                refused.finish(Reply::Error(FunctionError::exited(&id, "stopped before it started")));
            });
        }
        let closed = {
            let mut pool = self.pool();
            pool.all.insert(id, instance.clone());
            pool.closed
        };
        if closed {
            instance.retire();
        }
        tokio::spawn(supervisor);
        Ok(())
    }

    /// An instance asked for work and has none.
    pub(super) fn now_idle(&self, instance: &Arc<Instance>) {
        let current = self.generation();
        let mut pool = self.pool();
        if pool.closed || Some(instance.generation) != current {
            drop(pool);
            return instance.retire();
        }
        pool.idle.push(instance.clone());
        drop(pool);
        self.changed.notify_waiters();
    }

    /// An instance has answered (`+1`), or has asked for work or ended after answering (`-1`).
    pub(super) fn finishing(&self, began: bool) {
        let mut pool = self.pool();
        pool.finishing = if began { pool.finishing + 1 } else { pool.finishing.saturating_sub(1) };
        drop(pool);
        self.changed.notify_waiters();
    }

    /// An instance has ended.
    pub(super) fn forget(&self, instance: &Instance) {
        let mut pool = self.pool();
        pool.all.remove(&instance.id);
        pool.idle.retain(|other| other.id != instance.id);
        drop(pool);
        self.changed.notify_waiters();
    }

    /// Retires instances that are idle for too long or run an old build.
    pub(super) fn tidy(&self) {
        let current = self.generation();
        let mut leaving = Vec::new();
        self.pool().idle.retain(|instance| {
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
        self.pool().all.values().map(|instance| instance.info(&self.config.logical_id)).collect()
    }

    pub(super) fn kill(&self, pid: u32) -> bool {
        let found = self.pool().all.values().find(|instance| instance.pid == pid).cloned();
        found.is_some_and(|instance| instance.kill())
    }

    /// Takes no more invocations and retires every instance.
    pub(super) fn close(&self) {
        let all: Vec<_> = {
            let mut pool = self.pool();
            pool.closed = true;
            pool.idle.clear();
            pool.all.values().cloned().collect()
        };
        all.iter().for_each(|instance| instance.retire());
        self.changed.notify_waiters();
    }

    /// Waits until no instance is left.
    pub(super) async fn ended(&self) {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            if self.pool().all.is_empty() {
                return;
            }
            changed.await;
        }
    }

    /// The build on disk now; while the linker replaces it, the one before.
    fn generation(&self) -> Option<Generation> {
        Generation::of(&self.config.binary).ok().or(self.pool().generation)
    }

    fn pool(&self) -> MutexGuard<'_, Pool> {
        // Nothing panics while holding it.
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Generation {
    fn of(binary: &std::path::Path) -> std::io::Result<Self> {
        let metadata = std::fs::metadata(binary)?;
        Ok(Self { modified: metadata.modified()?, len: metadata.len() })
    }
}
