//! One instance: a process with a Runtime API of its own, and the invocation it works on.
//!
//! An invocation is in the instance's slot from its assignment until its response is complete. However the
//! process ends, only the supervisor then settles the invocation that is left in the slot.

use std::process::Stdio;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::sync::Notify;

use super::assignment::{Assignment, now_ms};
use super::config::{Config, Generation};
use super::reply::Reply;
use super::signals;

/// Lambda's limit for the init phase. A slower init is restarted within the invocation's own timeout.
const INIT_LIMIT: Duration = Duration::from_secs(10);
/// Longest time until an instance that waits for an invocation is frozen. Lambda does not say how long it takes.
const FREEZE_WITHIN: Duration = Duration::from_millis(5);

/// An instance, as the control endpoint lists it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceInfo {
    /// Process id. It identifies the instance in [`Runtime::kill`](super::Runtime::kill).
    pub pid: u32,
    /// Logical id of its function.
    pub function: String,
    /// `starting`, `idle`, `busy` or `stopping`.
    pub state: String,
    /// Id of the invocation it works on.
    pub request_id: Option<String>,
}

/// A process that runs or is ending.
#[derive(Debug)]
pub(super) struct Instance {
    pub(super) id: u64,
    pub(super) pid: u32,
    pub(super) generation: Generation,
    freezes: bool,
    slot: Mutex<Slot>,
    /// Wakes the handler of `next`.
    work: Notify,
    /// Wakes the supervisor.
    pub(super) attention: Notify,
}

/// The changing part of an instance.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) phase: Phase,
    pub(super) assignment: Option<Assignment>,
    since: Instant,
    pub(super) retiring: bool,
    pub(super) kill: bool,
    /// The time at which the process is to be frozen, if it still has nothing to do then.
    freeze_at: Option<Instant>,
    is_frozen: bool,
    /// Error report of a failed init.
    pub(super) init_error: Option<Bytes>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Starting,
    Idle,
    Busy,
    /// It has answered but not yet asked for more work.
    Finishing,
    Ended,
}

impl Instance {
    /// Starts the process. The supervisor must run the second value.
    pub(super) async fn start(
        id: u64,
        generation: Generation,
        config: &Config,
    ) -> std::io::Result<(Arc<Self>, Process)> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
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
            freeze_at: None,
            is_frozen: false,
            init_error: None,
        };
        let instance = Arc::new(Self {
            id,
            pid: child.id().unwrap_or_default(),
            generation,
            freezes: config.freezes,
            slot: Mutex::new(slot),
            work: Notify::new(),
            attention: Notify::new(),
        });
        Ok((instance, Process { child, listener }))
    }

    /// Hands over an invocation. Returns it if the instance has ended meanwhile.
    pub(super) fn assign(&self, assignment: Assignment) -> Result<(), Box<Assignment>> {
        let mut slot = self.slot();
        if slot.phase == Phase::Ended || slot.retiring || slot.kill || slot.assignment.is_some() {
            return Err(Box::new(assignment));
        }
        slot.assignment = Some(assignment);
        slot.freeze_at = None;
        if slot.phase == Phase::Idle {
            slot.phase = Phase::Busy;
        }
        if std::mem::take(&mut slot.is_frozen) {
            signals::thaw(self.pid);
        }
        drop(slot);
        self.work.notify_one();
        Ok(())
    }

    /// Notes that the runtime asks for an invocation.
    pub(super) fn ask(&self) -> Asked {
        let mut slot = self.slot();
        let was_finishing = slot.phase == Phase::Finishing;
        let unanswered = slot.assignment.take_if(|a| a.delivered.is_some());
        let needs_work = slot.assignment.is_none();
        slot.phase = if needs_work { Phase::Idle } else { Phase::Busy };
        slot.since = Instant::now();
        if needs_work && self.freezes {
            slot.freeze_at = Some(slot.since + FREEZE_WITHIN.mul_f64(fastrand::f64()));
        }
        drop(slot);
        self.attention.notify_one();
        Asked { was_finishing, unanswered, needs_work }
    }

    /// The time at which the supervisor must call [`Instance::freeze_if_idle`].
    pub(super) fn freeze_at(&self) -> Option<Instant> {
        self.slot().freeze_at
    }

    /// Freezes the process if it is time. The slot is locked meanwhile, so that no invocation is assigned before it and
    /// frozen by it.
    pub(super) fn freeze_if_idle(&self) {
        let mut slot = self.slot();
        let is_due = slot.freeze_at.is_some_and(|at| at <= Instant::now());
        if is_due && slot.phase == Phase::Idle && !slot.retiring {
            signals::freeze(self.pid);
            slot.is_frozen = true;
        }
        if is_due {
            slot.freeze_at = None;
        }
    }

    /// Waits for an invocation and marks it as delivered.
    pub(super) async fn delivery(&self, config: &Config) -> Delivery {
        loop {
            if let Some(delivery) = self.deliver(config) {
                self.attention.notify_one();
                return delivery;
            }
            self.work.notified().await;
        }
    }

    fn deliver(&self, config: &Config) -> Option<Delivery> {
        let mut slot = self.slot();
        let assignment = slot.assignment.as_mut().filter(|a| a.delivered.is_none())?;
        assignment.deliver();
        let delivery = Delivery {
            request_id: assignment.request_id.clone(),
            event: assignment.event.clone(),
            trace_id: assignment.trace_id.clone(),
            deadline_ms: now_ms() + config.timeout.as_millis(),
        };
        slot.phase = Phase::Busy;
        Some(delivery)
    }

    /// Answers the caller early, when a streamed response begins. Returns `false` if this invocation does not
    /// run here.
    pub(super) fn begin(&self, request_id: &str, reply: Reply) -> bool {
        let mut slot = self.slot();
        let Some(assignment) = slot.assignment.as_mut().filter(|a| a.request_id == request_id) else {
            return false;
        };
        let Some(sender) = assignment.reply.take() else { return false };
        let _ = sender.send(reply);
        true
    }

    /// Returns `true` if this invocation runs here and is not answered yet.
    pub(super) fn awaits(&self, request_id: &str) -> bool {
        self.slot().assignment.as_ref().is_some_and(|a| a.request_id == request_id && a.reply.is_some())
    }

    /// Takes the invocation whose response is complete. Returns `None` if it does not run here.
    pub(super) fn take(&self, request_id: &str) -> Option<Assignment> {
        let mut slot = self.slot();
        let taken = slot.assignment.take_if(|a| a.request_id == request_id)?;
        slot.phase = Phase::Finishing;
        drop(slot);
        self.attention.notify_one();
        Some(taken)
    }

    /// Keeps the runtime's report of a failed init.
    pub(super) fn init_failed(&self, payload: Bytes) {
        self.slot().init_error = Some(payload);
    }

    /// Asks the process to end. The supervisor kills it after a grace period.
    pub(super) fn retire(&self) {
        self.slot().retiring = true;
        self.attention.notify_one();
    }

    /// Kills the process with SIGKILL. Returns `false` if it has ended already.
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

    /// Returns the time at which the supervisor must kill: the end of the init phase or of the invocation.
    pub(super) fn expiry(&self, config: &Config) -> Option<Instant> {
        let slot = self.slot();
        match (&slot.phase, &slot.assignment) {
            (Phase::Starting, _) => Some(slot.since + INIT_LIMIT + config.timeout),
            (_, Some(assignment)) => assignment.delivered.map(|at| at + config.timeout),
            _ => None,
        }
    }

    pub(super) fn slot(&self) -> MutexGuard<'_, Slot> {
        // No code panics while it holds the lock.
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A started process and the listener of its Runtime API.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) child: Child,
    pub(super) listener: TcpListener,
}

/// State of the slot when the runtime asked for an invocation.
#[derive(Debug)]
pub(super) struct Asked {
    /// The instance had just answered.
    pub(super) was_finishing: bool,
    /// An invocation that was delivered and never answered. It is lost.
    pub(super) unanswered: Option<Assignment>,
    pub(super) needs_work: bool,
}

/// The invocation that `next` hands to the runtime.
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
        // There is no instance metadata service here. Without this the SDK would wait for one.
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
        // Ctrl-C in the terminal reaches only this program, which then ends the instances in order.
        .process_group(0)
        .kill_on_drop(true);
    command
}
