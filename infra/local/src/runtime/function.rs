//! One function: accepts invocations up to the concurrency limit, and starts an instance if none is idle.

use std::io::ErrorKind::{ExecutableFileBusy, NotFound};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Semaphore, oneshot};
use tokio::time::Instant;

use super::assignment::Assignment;
use super::config::Config;
use super::instance::Instance;
use super::pool::{Placed, Pool};
use super::reply::{FunctionError, Reply};
use super::supervisor::supervise;
use super::usage::{FunctionUsage, InvocationMeter};
use crate::request_id;

/// The linker replaces a binary by removing it first.
const REBUILD_GRACE: Duration = Duration::from_secs(3);

/// Reason why an invocation was not accepted.
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
    permits: Arc<Semaphore>,
    meter: Arc<InvocationMeter>,
    pub(super) pool: Arc<Pool>,
}

impl Function {
    pub(super) fn new(config: Config) -> Self {
        let permits = Arc::new(Semaphore::new(config.concurrency));
        Self { permits, meter: Arc::default(), pool: Arc::new(Pool::new(config)) }
    }

    /// Returns the settings of the function.
    pub fn config(&self) -> &Config {
        self.pool.config()
    }

    /// Returns the use of the function so far.
    pub(super) fn usage(&self) -> FunctionUsage {
        let (invocations, busy) = self.meter.read();
        let config = self.config();
        FunctionUsage {
            logical_id: config.logical_id.clone(),
            memory_mb: config.memory_mb,
            invocations,
            busy,
        }
    }

    /// Runs one invocation. As on Lambda, it continues if the caller drops this future.
    pub async fn invoke(self: &Arc<Self>, event: Bytes) -> Result<Reply, Refusal> {
        self.invoke_as(request_id(), event).await
    }

    /// Runs one invocation under an id that the caller has chosen.
    pub(crate) async fn invoke_as(self: &Arc<Self>, id: String, event: Bytes) -> Result<Reply, Refusal> {
        if self.pool.is_closed() {
            return Err(Refusal::Stopping);
        }
        let permit = self.permits.clone().try_acquire_owned().map_err(|_| Refusal::Throttled)?;
        let (reply, answer) = oneshot::channel();
        let assignment = Assignment::new(id, event, reply, permit, self.meter.clone());
        self.clone().place_in_background(assignment);
        // The sender is dropped without an answer only when the runtime itself stops.
        answer.await.map_err(|_| Refusal::Stopping)
    }

    fn place_in_background(self: Arc<Self>, assignment: Assignment) {
        tokio::spawn(async move {
            if let Placed::NeedsInstance(assignment) = self.pool.place(assignment).await {
                self.start_for(assignment).await;
            }
        });
    }

    /// Starts an instance for the assignment. While the binary is being rebuilt, waits for it.
    async fn start_for(self: &Arc<Self>, assignment: Assignment) {
        let give_up = Instant::now() + REBUILD_GRACE;
        let mut assignment = Some(assignment);
        while let Err(error) = self.start(&mut assignment).await {
            let rebuilding = match error.kind() {
                ExecutableFileBusy => true,
                NotFound => self.pool.has_started(),
                _ => false,
            };
            if !rebuilding || Instant::now() >= give_up {
                return self.fail_to_start(assignment, &error);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Starts an instance with this assignment. Takes the assignment only on success.
    async fn start(self: &Arc<Self>, assignment: &mut Option<Assignment>) -> std::io::Result<()> {
        let (id, generation) = self.pool.next_instance()?;
        let (instance, process) = Instance::start(id, generation, self.config()).await?;
        if let Some(assignment) = assignment.take() {
            instance.assign(assignment).unwrap_or_else(|refused| {
                let id = refused.request_id.clone();
                refused.finish(Reply::Error(FunctionError::exited(&id, "stopped before it started")));
            });
        }
        self.pool.add(&instance);
        let function = self.clone();
        tokio::spawn(async move {
            if let Some(unstarted) = supervise(instance, process, &function.pool).await {
                function.place_in_background(unstarted);
            }
        });
        Ok(())
    }

    fn fail_to_start(&self, assignment: Option<Assignment>, error: &std::io::Error) {
        let config = self.config();
        let path = config.binary.display();
        config.logs.line(&config.logical_id, &format!("cannot start {path}: {error}"));
        if let Some(assignment) = assignment {
            let message = format!("Couldn't start {path}: {error}");
            let error =
                FunctionError::platform("Runtime.InvalidEntrypoint", &assignment.request_id, &message);
            assignment.finish(Reply::Error(error));
        }
    }
}
