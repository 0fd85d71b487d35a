//! The owner's handle: buffered appends with group commit, and signals that reach the owner through its log.

mod buffer;
mod task;

use std::sync::Arc;

use sequent_core::Timestamp;
use sequent_event::{Body, CancelReason, InvalidEvent, Seq, State};
use sequent_tables::Cancelled;
use tokio::sync::{mpsc, oneshot, watch};

use crate::{EventsTooLarge, LogKey, Settings, Storage, Unavailable, Waiting, check_size, claim::Ownership};
use task::{Command, WriterTask};

/// Capacity of the queue between the owner and its writer. If the queue is full, [`Writer::append`] waits.
const BACKLOG: usize = 256;

/// The reason why a writer stopped. Events that were not acknowledged were never shown.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Stopped {
    /// A later epoch owns the run. The former owner stops and leaves nothing in the log.
    #[error("the run is owned by epoch {0} now")]
    Fenced(u32),
    /// The log could not be written within [`Settings::patience`].
    #[error("the log could not be written")]
    Unavailable(#[source] Arc<Unavailable>),
    /// The owner appended an event that is not allowed, or read one that this build cannot apply.
    #[error("the event is not allowed at its position in the log")]
    Invalid(#[from] InvalidEvent),
    /// An event is too large for a segment.
    #[error(transparent)]
    TooLarge(#[from] EventsTooLarge),
    /// The writer has finished or released the run.
    #[error("the writer has finished or released the run")]
    Ended,
}

/// Signals of other processes to the owner, read from the log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Signals {
    /// The reason, if cancellation was requested.
    pub cancel: Option<CancelReason>,
    /// The number of user messages sent to this run, the first included.
    pub prompts: usize,
    /// The writer has stopped. Any call returns the reason.
    pub stopped: bool,
}

impl Signals {
    fn of(state: &State) -> Self {
        Self { cancel: state.cancel, prompts: state.prompts.len(), stopped: false }
    }
}

/// The result of [`Writer::finish`].
#[derive(Debug)]
pub enum Finish {
    /// The log is closed and has this state.
    Done(Box<State>),
    /// A signal arrived before the log could be closed. None of the events was stored. The owner has to
    /// decide again.
    Superseded,
    /// The table has refused the rows for good, not the events. Nothing was stored, and the writer continues: the
    /// owner may try again with other rows.
    RowsRefused(Cancelled),
}

/// The owner's handle of its run. Dropping it without [`Writer::finish`] releases the lease, so that another
/// process can continue at once.
pub struct Writer<S: Storage> {
    commands: mpsc::Sender<Command<S>>,
    signals: watch::Receiver<Signals>,
    stop_reason: Arc<std::sync::Mutex<Option<Stopped>>>,
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
        let stop_reason = Arc::new(std::sync::Mutex::new(None));
        let task = WriterTask::new(storage, key, settings, ownership, receiver, signals);
        tokio::spawn(task.run(Arc::clone(&stop_reason)));
        Self { commands, signals: watcher, stop_reason, opening, epoch }
    }

    /// The state of the log at the time of the claim.
    #[must_use]
    pub fn opening(&self) -> &State {
        &self.opening
    }

    /// The epoch of this owner.
    #[must_use]
    pub fn epoch(&self) -> u32 {
        self.epoch
    }

    /// The signals of other processes, with every change.
    #[must_use]
    pub fn signals(&self) -> watch::Receiver<Signals> {
        self.signals.clone()
    }

    /// Appends an event. It is stored with the next write, so an error may concern an earlier event. A long
    /// delta is stored as several events.
    ///
    /// # Errors
    /// If the writer has stopped. [`Stopped::TooLarge`], and [`Stopped::Invalid`] for a claim or a terminal
    /// event (which only [`Writer::finish`] stores), concern this event alone: it was not accepted, and the
    /// writer continues.
    pub async fn append(&self, body: Body) -> Result<(), Stopped> {
        if body.is_terminal() || matches!(body, Body::RunClaimed { .. }) {
            return Err(InvalidEvent::OutOfPlace(body.type_name()).into());
        }
        check_size(std::slice::from_ref(&body))?;
        self.send(Command::Append(body)).await
    }

    /// Waits until all events appended so far are stored. Returns the state of the log at that time.
    ///
    /// # Errors
    /// If the writer has stopped.
    pub async fn flush(&self) -> Result<State, Stopped> {
        let (reply, done) = oneshot::channel();
        self.send(Command::Flush(reply)).await?;
        self.answer(done).await.map(|state| *state)
    }

    /// Closes the log. The last of `bodies` must be terminal. They are stored together with the buffered
    /// events and with the rows that `rows` derives from the final state. `known` are the signals that the
    /// owner based its decision on: if there are others by now, nothing is stored.
    ///
    /// # Errors
    /// If the writer has stopped, or the events are not allowed. If the last of `bodies` is not terminal, or
    /// they are too large for a segment, they were not accepted and the writer continues.
    pub async fn finish(
        &self,
        known: Signals,
        bodies: Vec<Body>,
        rows: impl Fn(&State) -> S::Rows + Send + 'static,
    ) -> Result<Finish, Stopped> {
        if !bodies.last().is_some_and(Body::is_terminal) {
            return Err(InvalidEvent::OutOfPlace(bodies.last().map_or("nothing", Body::type_name)).into());
        }
        check_size(&bodies)?;
        let (reply, done) = oneshot::channel();
        self.send(Command::Finish { known, bodies, rows: Box::new(rows), reply }).await?;
        self.answer(done).await
    }

    /// Appends the events that end a run, but the last one, if they are too many or too large for [`Writer::finish`]. Returns
    /// those that are left for it. The last one must fit by itself.
    ///
    /// # Errors
    /// As [`Writer::append`].
    pub async fn make_room(&self, mut bodies: Vec<Body>) -> Result<Vec<Body>, Stopped> {
        if check_size(&bodies).is_ok() {
            return Ok(bodies);
        }
        let last = bodies.pop();
        for body in bodies {
            self.append(body).await?;
        }
        Ok(last.into_iter().collect())
    }

    /// Stores the buffered events and releases the lease, so that another process can continue at once.
    ///
    /// # Errors
    /// If the writer has stopped.
    pub async fn release(self) -> Result<(), Stopped> {
        let (reply, done) = oneshot::channel();
        self.send(Command::Release(reply)).await?;
        self.answer(done).await
    }

    /// Stores the buffered events and releases the lease of a run that waits for child runs or jobs. Unlike after
    /// [`Writer::release`], nothing claims the run before there is something to continue with, or `until` has come.
    ///
    /// `acted` is the end of the last [`flush`](Self::flush) whose events the owner has acted on. The writer may have read
    /// more of the log since. To the mark of the run, that is something to continue with.
    ///
    /// # Errors
    /// If the writer has stopped.
    pub async fn wait(self, acted: Seq, until: Timestamp) -> Result<Waiting, Stopped> {
        let (reply, done) = oneshot::channel();
        self.send(Command::Wait { acted, until, reply }).await?;
        self.answer(done).await
    }

    async fn send(&self, command: Command<S>) -> Result<(), Stopped> {
        match self.commands.send(command).await {
            Ok(()) => Ok(()),
            Err(_) => Err(self.stop_reason().await),
        }
    }

    async fn answer<T>(&self, reply: oneshot::Receiver<T>) -> Result<T, Stopped> {
        match reply.await {
            Ok(answer) => Ok(answer),
            Err(_) => Err(self.stop_reason().await),
        }
    }

    /// Returns the reason why the writer stopped. The task drops a reply shortly before it records the
    /// reason, so this waits for it.
    async fn stop_reason(&self) -> Stopped {
        let _ = self.signals.clone().wait_for(|signals| signals.stopped).await; // or the task is gone
        let stop_reason = self.stop_reason.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        stop_reason.clone().unwrap_or(Stopped::Ended)
    }
}
