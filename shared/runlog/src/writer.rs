//! The owner's handle: buffered appends with group commit, and the news that reaches an owner through its log.

mod task;

use std::sync::Arc;

use sequent_event::{Body, CancelReason, Invalid, State};
use tokio::sync::{mpsc, oneshot, watch};

use crate::{LogKey, Segment, Settings, Storage, Unavailable, WriterId};
use task::{Command, Task};

/// Events that may wait between the owner and its writer before [`Writer::append`] waits itself.
const BACKLOG: usize = 256;

/// Why a writer stopped. Whatever was not yet acknowledged was never shown to anybody.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Stopped {
    /// A later epoch owns the run. The former owner leaves without a trace.
    #[error("epoch {0} owns the run now")]
    Fenced(u32),
    /// The log could not be written for longer than the writer's patience.
    #[error("the log could not be written")]
    Unavailable(#[source] Arc<Unavailable>),
    /// The owner tried to append what cannot stand there, or read what this build cannot follow.
    #[error("the log refuses the event")]
    Invalid(#[from] Invalid),
    /// One event is larger than a segment may be.
    #[error("an event of {0} bytes does not fit a segment")]
    TooLarge(usize),
    /// The writer finished or released the run earlier.
    #[error("the writer has ended")]
    Ended,
}

/// What others told the owner through the log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Signals {
    /// Somebody asked the run to stop.
    pub cancel: Option<CancelReason>,
    /// How many messages people have sent to this run, the first included.
    pub prompts: usize,
    /// The writer stopped; any call tells why.
    pub stopped: bool,
}

impl Signals {
    fn of(state: &State) -> Self {
        Self { cancel: state.cancel, prompts: state.prompts.len(), stopped: false }
    }
}

/// How [`Writer::finish`] ended.
#[derive(Debug)]
pub enum Finish {
    /// The log is closed; this is its state.
    Done(Box<State>),
    /// News came before the log could be closed. The owner decides again; nothing of the terminal was stored.
    Superseded,
}

/// The owner's handle on its run. Dropping it without [`Writer::finish`] releases the lease, so that another
/// process continues at once.
pub struct Writer<S: Storage> {
    commands: mpsc::Sender<Command<S>>,
    signals: watch::Receiver<Signals>,
    why: Arc<std::sync::Mutex<Option<Stopped>>>,
    opening: State,
    epoch: u32,
}

impl<S: Storage> std::fmt::Debug for Writer<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer").field("epoch", &self.epoch).finish_non_exhaustive()
    }
}

impl<S: Storage> Writer<S> {
    pub(crate) fn start(
        storage: S,
        key: LogKey,
        settings: Settings,
        id: WriterId,
        epoch: u32,
        state: State,
        observer: Option<mpsc::UnboundedSender<Arc<Segment>>>,
    ) -> Self {
        let (commands, receiver) = mpsc::channel(BACKLOG);
        let (signals, watcher) = watch::channel(Signals::of(&state));
        let why = Arc::new(std::sync::Mutex::new(None));
        let task = Task::new(storage, key, settings, id, epoch, state.clone(), observer, receiver, signals);
        tokio::spawn(task.run(Arc::clone(&why)));
        Self { commands, signals: watcher, why, opening: state, epoch }
    }

    /// The state of the log when this owner took it.
    #[must_use]
    pub fn opening(&self) -> &State {
        &self.opening
    }

    /// The epoch this owner appends under.
    #[must_use]
    pub fn epoch(&self) -> u32 {
        self.epoch
    }

    /// News from the log, current and to come.
    #[must_use]
    pub fn signals(&self) -> watch::Receiver<Signals> {
        self.signals.clone()
    }

    /// Hands an event to the log. It is stored with the next write; an error may concern an earlier event.
    ///
    /// # Errors
    /// When the writer has stopped.
    pub async fn append(&self, body: Body) -> Result<(), Stopped> {
        self.send(Command::Append(body)).await
    }

    /// Waits until everything appended so far is stored.
    ///
    /// # Errors
    /// When the writer stopped before.
    pub async fn flush(&self) -> Result<(), Stopped> {
        let (reply, done) = oneshot::channel();
        self.send(Command::Flush(reply)).await?;
        done.await.map_err(|_| self.why())
    }

    /// Closes the log: `bodies`, the last of which is terminal, are stored together with whatever is still buffered
    /// and with the companions that `rows` derives from the state they lead to. Done only if the owner has seen all
    /// news: `known` is what it decided on.
    ///
    /// # Errors
    /// When the writer has stopped, or the events cannot stand there.
    pub async fn finish(
        &self,
        known: Signals,
        bodies: Vec<Body>,
        rows: impl Fn(&State) -> S::Companions + Send + 'static,
    ) -> Result<Finish, Stopped> {
        let (reply, done) = oneshot::channel();
        self.send(Command::Finish { known, bodies, rows: Box::new(rows), reply }).await?;
        done.await.map_err(|_| self.why())
    }

    /// Stores what is buffered and gives the lease up, so that another process can continue at once.
    ///
    /// # Errors
    /// When the writer stopped before.
    pub async fn release(self) -> Result<(), Stopped> {
        let (reply, done) = oneshot::channel();
        self.send(Command::Release(reply)).await?;
        done.await.map_err(|_| self.why())
    }

    async fn send(&self, command: Command<S>) -> Result<(), Stopped> {
        self.commands.send(command).await.map_err(|_| self.why())
    }

    fn why(&self) -> Stopped {
        let why = self.why.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        why.clone().unwrap_or(Stopped::Ended)
    }
}
