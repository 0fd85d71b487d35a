//! The owner's handle: buffered appends with group commit, and the news that reaches an owner through its log.

mod buffer;
mod task;

use std::sync::Arc;

use sequent_event::{Body, CancelReason, Invalid, State};
use tokio::sync::{mpsc, oneshot, watch};

use crate::{
    LogKey, MAX_EVENTS, Settings, Storage, Unavailable,
    claim::Ownership,
    size::{self, LARGEST},
};
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
    pub(crate) fn start(storage: S, key: LogKey, settings: Settings, ownership: Ownership) -> Self {
        let epoch = ownership.epoch;
        let opening = ownership.state.clone();
        let (commands, receiver) = mpsc::channel(BACKLOG);
        let (signals, watcher) = watch::channel(Signals::of(&opening));
        let why = Arc::new(std::sync::Mutex::new(None));
        let task = Task::new(storage, key, settings, ownership, receiver, signals);
        tokio::spawn(task.run(Arc::clone(&why)));
        Self { commands, signals: watcher, why, opening, epoch }
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

    /// Hands an event to the log. It is stored with the next write; an error may concern an earlier event. The text
    /// of a long delta is stored as several events.
    ///
    /// # Errors
    /// When the writer has stopped. [`Stopped::TooLarge`], and [`Stopped::Invalid`] for a terminal event (which only
    /// [`Writer::finish`] stores) or a claim, concern this event alone: it was not taken, the writer goes on.
    pub async fn append(&self, body: Body) -> Result<(), Stopped> {
        if body.is_terminal() || matches!(body, Body::RunClaimed { .. }) {
            return Err(Invalid::OutOfPlace(body.type_name()).into());
        }
        check_size(std::slice::from_ref(&body))?;
        self.send(Command::Append(body)).await
    }

    /// Waits until everything appended so far is stored. Gives what the log says then.
    ///
    /// # Errors
    /// When the writer stopped before.
    pub async fn flush(&self) -> Result<State, Stopped> {
        let (reply, done) = oneshot::channel();
        self.send(Command::Flush(reply)).await?;
        self.answer(done).await.map(|state| *state)
    }

    /// Closes the log: `bodies`, the last of which is terminal, are stored together with whatever is still buffered
    /// and with the rows that `rows` derives from the state they lead to. Done only if the owner has seen all
    /// news: `known` is what it decided on.
    ///
    /// # Errors
    /// When the writer has stopped, or the events cannot stand there. When the last of `bodies` is not terminal, or
    /// they do not fit a segment, they were not taken and the writer goes on.
    pub async fn finish(
        &self,
        known: Signals,
        bodies: Vec<Body>,
        rows: impl Fn(&State) -> S::Rows + Send + 'static,
    ) -> Result<Finish, Stopped> {
        if !bodies.last().is_some_and(Body::is_terminal) {
            return Err(Invalid::OutOfPlace(bodies.last().map_or("nothing", Body::type_name)).into());
        }
        check_size(&bodies)?;
        let (reply, done) = oneshot::channel();
        self.send(Command::Finish { known, bodies, rows: Box::new(rows), reply }).await?;
        self.answer(done).await
    }

    /// Stores what is buffered and gives the lease up, so that another process can continue at once.
    ///
    /// # Errors
    /// When the writer stopped before.
    pub async fn release(self) -> Result<(), Stopped> {
        let (reply, done) = oneshot::channel();
        self.send(Command::Release(reply)).await?;
        self.answer(done).await
    }

    async fn send(&self, command: Command<S>) -> Result<(), Stopped> {
        match self.commands.send(command).await {
            Ok(()) => Ok(()),
            Err(_) => Err(self.why().await),
        }
    }

    async fn answer<T>(&self, reply: oneshot::Receiver<T>) -> Result<T, Stopped> {
        match reply.await {
            Ok(answer) => Ok(answer),
            Err(_) => Err(self.why().await),
        }
    }

    /// Why the writer stopped. The task drops a reply a moment before it has written down why, so wait for that.
    async fn why(&self) -> Stopped {
        let _ = self.signals.clone().wait_for(|signals| signals.stopped).await; // or the task is gone
        let why = self.why.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        why.clone().unwrap_or(Stopped::Ended)
    }
}

/// Whether the events, their longest texts cut, fit half a segment.
fn check_size(bodies: &[Body]) -> Result<(), Stopped> {
    let bytes = match bodies {
        [one] => size::cut(one.clone()).iter().map(size::of).max().unwrap_or(0),
        several => several.iter().map(size::of).sum(),
    };
    if bytes > LARGEST || bodies.len() > MAX_EVENTS { Err(Stopped::TooLarge(bytes)) } else { Ok(()) }
}
