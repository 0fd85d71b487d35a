//! One instance: a process with a Runtime API of its own, and the invocation it is working on.
//!
//! An invocation lives in the instance's slot from assignment until its response is complete. Whatever ends
//! the process, the supervisor is the one place that then settles what is left in the slot.

use std::future::Future;
use std::process::Stdio;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::sync::Notify;

use super::assignment::{Assignment, now_ms};
use super::function::{Config, Function, Generation};
use super::supervisor::supervise;
use super::{FunctionError, InstanceInfo, Reply};

/// Lambda's limit for the init phase; a slower init is restarted within the invocation's own timeout.
const INIT_LIMIT: Duration = Duration::from_secs(10);
/// A running (or ending) process.
#[derive(Debug)]
pub(super) struct Instance {
    pub(super) id: u64,
    pub(super) pid: u32,
    pub(super) generation: Generation,
    slot: Mutex<Slot>,
    /// Wakes the handler of `next`.
    work: Notify,
    /// Wakes the supervisor.
    pub(super) attention: Notify,
}

/// What may change about an instance.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) phase: Phase,
    pub(super) assignment: Option<Assignment>,
    since: Instant,
    pub(super) retiring: bool,
    pub(super) kill: bool,
    /// What the runtime said about its failed init.
    pub(super) init_error: Option<Bytes>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Starting,
    Idle,
    Busy,
    /// Answered, but has not asked for more work yet.
    Finishing,
    Ended,
}

impl Instance {
    /// Starts the process. The second value supervises it and must be spawned.
    pub(super) async fn start(
        id: u64,
        generation: Generation,
        function: &Arc<Function>,
    ) -> std::io::Result<(Arc<Self>, impl Future<Output = ()> + Send + use<>)> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let config = function.config();
        let mut child = command(config, id, &listener.local_addr()?.to_string()).spawn()?;
        if let Some(out) = child.stdout.take() {
            config.logs.follow(&config.logical_id, out);
        }
        if let Some(err) = child.stderr.take() {
            config.logs.follow(&config.logical_id, err);
        }
        let slot = Slot {
            phase: Phase::Starting,
            assignment: None,
            since: Instant::now(),
            retiring: false,
            kill: false,
            init_error: None,
        };
        let instance = Arc::new(Self {
            id,
            pid: child.id().unwrap_or_default(),
            generation,
            slot: Mutex::new(slot),
            work: Notify::new(),
            attention: Notify::new(),
        });
        let supervisor = supervise(instance.clone(), function.clone(), child, listener);
        Ok((instance, supervisor))
    }

    /// Hands over an invocation; gives it back if the instance has ended meanwhile.
    pub(super) fn assign(&self, assignment: Assignment) -> Result<(), Box<Assignment>> {
        let mut slot = self.slot();
        if slot.phase == Phase::Ended || slot.retiring || slot.assignment.is_some() {
            return Err(Box::new(assignment));
        }
        slot.assignment = Some(assignment);
        if slot.phase == Phase::Idle {
            slot.phase = Phase::Busy;
        }
        drop(slot);
        self.work.notify_one();
        Ok(())
    }

    /// The handler of `next`: waits for an invocation and marks it as delivered.
    pub(super) async fn next(self: &Arc<Self>, function: &Arc<Function>) -> Delivery {
        let (was, settled) = {
            let mut slot = self.slot();
            let was = slot.phase;
            // Asking for more without having answered: the invocation is lost.
            let settled = slot.assignment.take_if(|a| a.delivered.is_some());
            slot.phase = if slot.assignment.is_some() { Phase::Busy } else { Phase::Idle };
            slot.since = Instant::now();
            (was, settled)
        };
        if was == Phase::Finishing {
            function.finishing(false);
        }
        if let Some(lost) = settled {
            let id = lost.request_id.clone();
            lost.finish(Reply::Error(FunctionError::exited(
                &id,
                "the runtime asked for more without answering",
            )));
        }
        if self.slot().assignment.is_none() {
            function.now_idle(self);
        }
        loop {
            if let Some(delivery) = self.deliver(function.config()) {
                self.attention.notify_one();
                return delivery;
            }
            self.work.notified().await;
        }
    }

    fn deliver(&self, config: &Config) -> Option<Delivery> {
        let mut slot = self.slot();
        let assignment = slot.assignment.as_mut().filter(|a| a.delivered.is_none())?;
        assignment.delivered = Some(Instant::now());
        let delivery = Delivery {
            request_id: assignment.request_id.clone(),
            event: assignment.event.clone(),
            trace_id: assignment.trace_id.clone(),
            deadline_ms: now_ms() + config.timeout.as_millis(),
        };
        slot.phase = Phase::Busy;
        Some(delivery)
    }

    /// Answers the caller early, when a streamed response begins. False when this invocation is not running here.
    pub(super) fn begin(&self, request_id: &str, reply: Reply) -> bool {
        let mut slot = self.slot();
        let Some(assignment) = slot.assignment.as_mut().filter(|a| a.request_id == request_id) else {
            return false;
        };
        let Some(sender) = assignment.reply.take() else { return false };
        let _ = sender.send(reply);
        true
    }

    /// Whether this invocation is running here and not answered yet.
    pub(super) fn awaits(&self, request_id: &str) -> bool {
        self.slot().assignment.as_ref().is_some_and(|a| a.request_id == request_id && a.reply.is_some())
    }

    /// The response is complete.
    pub(super) fn finish(&self, request_id: &str, function: &Function, reply: Option<Reply>) {
        let taken = {
            let mut slot = self.slot();
            let taken = slot.assignment.take_if(|a| a.request_id == request_id);
            if taken.is_some() {
                slot.phase = Phase::Finishing;
            }
            taken
        };
        let Some(assignment) = taken else { return };
        // Before the answer: a caller who sends its next request at once must find this instance, not a new one.
        function.finishing(true);
        self.attention.notify_one();
        match reply {
            Some(reply) => assignment.finish(reply),
            None => drop(assignment),
        }
    }

    /// The runtime reported that it could not start.
    pub(super) fn init_failed(&self, payload: Bytes) {
        self.slot().init_error = Some(payload);
    }

    /// Asks the process to end, kills it later.
    pub(super) fn retire(&self) {
        self.slot().retiring = true;
        self.attention.notify_one();
    }

    /// SIGKILL. False when it has ended already.
    pub(super) fn kill(&self) -> bool {
        let mut slot = self.slot();
        slot.kill = true;
        let live = slot.phase != Phase::Ended;
        drop(slot);
        self.attention.notify_one();
        live
    }

    pub(super) fn idle_for(&self) -> Duration {
        self.slot().since.elapsed()
    }

    pub(super) fn info(&self, function: &str) -> InstanceInfo {
        let slot = self.slot();
        let state = match slot.phase {
            _ if slot.retiring => "stopping",
            Phase::Starting => "starting",
            Phase::Idle | Phase::Finishing => "idle",
            Phase::Busy => "busy",
            Phase::Ended => "stopping",
        };
        let request_id = slot.assignment.as_ref().map(|a| a.request_id.clone());
        InstanceInfo { pid: self.pid, function: function.to_owned(), state: state.to_owned(), request_id }
    }

    /// When the supervisor must kill: the end of the init phase, or of the invocation.
    pub(super) fn expiry(&self, config: &Config) -> Option<Instant> {
        let slot = self.slot();
        match (&slot.phase, &slot.assignment) {
            (Phase::Starting, _) => Some(slot.since + INIT_LIMIT + config.timeout),
            (_, Some(assignment)) => assignment.delivered.map(|at| at + config.timeout),
            _ => None,
        }
    }

    pub(super) fn slot(&self) -> MutexGuard<'_, Slot> {
        // Nothing panics while holding it.
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What `next` hands to the runtime.
#[derive(Debug)]
pub(super) struct Delivery {
    pub(super) request_id: String,
    pub(super) event: Bytes,
    pub(super) trace_id: String,
    pub(super) deadline_ms: u128,
}

fn command(config: &Config, id: u64, runtime_api: &str) -> Command {
    let stream = format!("local/[$LATEST]{id:08x}");
    let memory = config.memory_mb.to_string();
    let mut command = Command::new(&config.binary);
    command
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("LANG", "en_US.UTF-8")
        .env("TZ", ":UTC")
        // There is no instance metadata service here; without this the SDK would wait for one.
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .envs(config.environment.iter())
        .envs([
            ("AWS_LAMBDA_RUNTIME_API", runtime_api),
            ("AWS_LAMBDA_FUNCTION_NAME", &config.name),
            ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", &memory),
            ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand"),
            ("AWS_LAMBDA_LOG_GROUP_NAME", &format!("/aws/lambda/{}", config.name)),
            ("AWS_LAMBDA_LOG_STREAM_NAME", &stream),
            ("_HANDLER", "bootstrap"),
        ])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // Ctrl-C in the terminal is for us to handle; instances end in order.
        .process_group(0)
        .kill_on_drop(true);
    command
}
