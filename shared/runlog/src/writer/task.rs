//! The task of a [`Writer`](super::Writer): it appends all that an owner appends after its claim.

mod others;

use std::{
    mem,
    ops::ControlFlow,
    slice,
    sync::{Arc, Mutex},
    time::Duration,
};

use sequent_core::Timestamp;
use sequent_event::{Body, Entry, Seq, State};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{Instant, sleep_until},
};

use super::{
    BACKLOG, Finish, Signals, Stopped,
    buffer::{Buffer, Pushed},
};
use crate::{
    AppendError, LogKey, Segment, Settings, Storage, Unavailable, Waiting, WriterId,
    append::{Appended, append},
    claim::{Ownership, advance},
    size,
};

/// The shortest interval of polls, even if the settings ask for a shorter one.
const SHORTEST_CHECK: Duration = Duration::from_millis(10);

type EndRows<S> = Box<dyn Fn(&State) -> <S as Storage>::Rows + Send>;

pub(super) enum Command<S: Storage> {
    Append(Body),
    Flush(oneshot::Sender<Box<State>>),
    Finish { known: Signals, bodies: Vec<Body>, rows: EndRows<S>, reply: oneshot::Sender<Finish> },
    Release(oneshot::Sender<()>),
    Wait { acted: Seq, until: Timestamp, reply: oneshot::Sender<Waiting> },
}

pub(super) struct WriterTask<S: Storage> {
    storage: S,
    key: LogKey,
    settings: Settings,
    writer: WriterId,
    epoch: u32,
    /// The state of the stored log.
    state: State,
    /// `state` with the buffered events applied. The next event is checked against it.
    ahead: State,
    buffer: Buffer,
    observer: Option<mpsc::Sender<Arc<Segment>>>,
    commands: mpsc::Receiver<Command<S>>,
    signals: watch::Sender<Signals>,
    began: Instant,
    wrote: Option<Instant>,
    /// The time at which the last stored segment was created. Others judge by it whether the owner is alive.
    sign_of_life: Instant,
    next_check: Instant,
}

impl<S: Storage> WriterTask<S> {
    pub(super) fn new(
        storage: S,
        key: LogKey,
        settings: Settings,
        ownership: Ownership,
        commands: mpsc::Receiver<Command<S>>,
        signals: watch::Sender<Signals>,
    ) -> Self {
        let Ownership { writer, epoch, state, since, observer } = ownership;
        let now = Instant::now();
        Self {
            storage,
            key,
            settings,
            writer,
            epoch,
            ahead: state.clone(),
            state,
            buffer: Buffer::default(),
            observer,
            commands,
            signals,
            began: now,
            wrote: None,
            sign_of_life: since,
            next_check: now + check_interval(settings),
        }
    }

    pub(super) async fn run(mut self, stop_reason: Arc<Mutex<Option<Stopped>>>) {
        let stopped = match self.serve().await {
            Ok(()) => Stopped::Ended,
            Err(stopped) => {
                tracing::warn!(
                    run = %self.key.run,
                    epoch = self.epoch,
                    reason = %stopped,
                    "the writer stopped; another process may take over the run"
                );
                stopped
            }
        };
        *stop_reason.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(stopped);
        self.signals.send_modify(|signals| signals.stopped = true);
    }

    async fn serve(&mut self) -> Result<(), Stopped> {
        loop {
            if self.is_due() {
                // Commands that arrived during the last write join this one. The limit bounds how long a
                // flood of small pieces can delay the write.
                for _ in 0..BACKLOG {
                    if self.buffer.is_full() {
                        break;
                    }
                    let Ok(command) = self.commands.try_recv() else { break };
                    if self.execute(command).await?.is_break() {
                        return Ok(());
                    }
                }
                self.write().await?;
            }
            let due = self.due();
            tokio::select! {
                biased;
                command = self.commands.recv() => match command {
                    Some(command) => {
                        if self.execute(command).await?.is_break() {
                            return Ok(());
                        }
                    }
                    None => return self.release().await,
                },
                () = sleep_until(due), if !self.buffer.is_empty() => {}
                () = sleep_until(self.next_check), if self.buffer.is_empty() => self.poll().await?,
            }
        }
    }

    /// Returns `Break` if the task is done.
    async fn execute(&mut self, command: Command<S>) -> Result<ControlFlow<()>, Stopped> {
        match command {
            Command::Append(body) => self.push(body)?,
            Command::Flush(reply) => {
                self.write_all().await?;
                let _ = reply.send(Box::new(self.state.clone())); // the caller may have left
            }
            Command::Finish { known, bodies, rows, reply } => {
                let finish = self.finish(known, bodies, rows).await?;
                let done = matches!(finish, Finish::Done(_));
                let _ = reply.send(finish); // as above
                if done {
                    return Ok(ControlFlow::Break(()));
                }
            }
            Command::Release(reply) => {
                self.release().await?;
                let _ = reply.send(()); // as above
                return Ok(ControlFlow::Break(()));
            }
            Command::Wait { acted, until, reply } => {
                let waiting = self.wait(acted, until).await?;
                let _ = reply.send(waiting); // as above
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    fn is_due(&self) -> bool {
        !self.buffer.is_empty() && (self.buffer.is_full() || self.due() <= Instant::now())
    }

    /// Returns the time of the next write: after a gap that grows with the length of the answer.
    fn due(&self) -> Instant {
        let gap = (self.began.elapsed() / 4).min(self.settings.linger_max).max(self.settings.linger_min);
        self.wrote.map_or_else(Instant::now, |wrote| wrote + gap)
    }

    fn push(&mut self, body: Body) -> Result<(), Stopped> {
        let at = self.storage.now();
        for part in size::cut(body) {
            self.ahead.apply(&Entry::new(at, part.clone()).at_seq(self.ahead.next()))?;
            if self.buffer.push(at, part, self.settings.merge) == Pushed::Merged {
                self.ahead.last.0 -= 1; // the merged pieces take one position
            }
        }
        Ok(())
    }

    async fn write_all(&mut self) -> Result<(), Stopped> {
        while !self.buffer.is_empty() {
            self.write().await?;
        }
        Ok(())
    }

    /// Stores one segment from the front of the buffer, after the segments that others have stored in the
    /// meantime. Does nothing if the buffer is empty. All attempts share one batch id: the writer leaves a
    /// position only after another segment has taken it.
    async fn write(&mut self) -> Result<(), Stopped> {
        let entries = self.buffer.front();
        if entries.is_empty() {
            return Ok(());
        }
        let batch = WriterId::new().0;
        self.wrote = Some(Instant::now());
        loop {
            let created = Instant::now();
            let segment = self.segment(&batch, entries.clone());
            let appended = self.store(&segment, &S::Rows::default()).await;
            match appended.map_err(|error| Stopped::Unavailable(Arc::new(error)))? {
                Appended::Stored => {
                    self.buffer.drop_front(entries.len());
                    return self.stored(segment, created);
                }
                Appended::Lost(winner) => self.absorb(*winner).await?,
            }
        }
    }

    async fn finish(
        &mut self,
        known: Signals,
        bodies: Vec<Body>,
        rows: EndRows<S>,
    ) -> Result<Finish, Stopped> {
        while !self.buffer.is_empty() && !self.buffer.leaves_room_for(bodies.len()) {
            self.write().await?;
        }
        let batch = WriterId::new().0;
        loop {
            if Signals::of(&self.state) != known {
                return Ok(Finish::Superseded);
            }
            let created = Instant::now();
            let at = self.storage.now();
            let mut entries: Vec<Entry> = self.buffer.iter().cloned().collect();
            let mut end = self.ahead.clone();
            for body in &bodies {
                let entry = Entry::new(at, body.clone());
                end.apply(&entry.clone().at_seq(end.next()))?;
                entries.push(entry);
            }
            let segment = self.segment(&batch, entries);
            match self.store(&segment, &rows(&end)).await {
                Ok(Appended::Stored) => return self.finished(segment, created),
                // An earlier end of this owner, whose outcome was unknown, was stored after all.
                Ok(Appended::Lost(winner)) if winner.writer == self.writer => {
                    return self.finished(*winner, created);
                }
                Ok(Appended::Lost(winner)) => self.absorb(*winner).await?,
                Err(Unavailable(AppendError::RowsRefused(cancelled))) => {
                    return Ok(Finish::RowsRefused(cancelled));
                }
                Err(error) => return Err(Stopped::Unavailable(Arc::new(error))),
            }
        }
    }

    fn finished(&mut self, end: Segment, created: Instant) -> Result<Finish, Stopped> {
        self.buffer = Buffer::default();
        self.stored(end, created)?;
        Ok(Finish::Done(Box::new(self.state.clone())))
    }

    async fn release(&mut self) -> Result<(), Stopped> {
        self.write_all().await?;
        self.log_release(self.storage.renew(self.key, self.epoch, None).await);
        Ok(())
    }

    async fn wait(&mut self, acted: Seq, until: Timestamp) -> Result<Waiting, Stopped> {
        self.write_all().await?;
        let waiting = Waiting::of(&self.state, acted, until);
        self.log_release(self.storage.wait(self.key, self.epoch, &waiting).await);
        Ok(waiting)
    }

    fn log_release(&self, released: Result<(), AppendError>) {
        if let Err(error) = released {
            tracing::warn!(
                run = %self.key.run,
                %error,
                "could not release the lease; the run continues after it expires"
            );
        }
    }

    async fn store(&self, segment: &Segment, rows: &S::Rows) -> Result<Appended, Unavailable> {
        append(&self.storage, self.key, slice::from_ref(segment), rows, self.settings.patience).await
    }

    /// Applies a segment of our own that is stored now and may be shown.
    fn stored(&mut self, segment: Segment, created: Instant) -> Result<(), Stopped> {
        advance(&mut self.state, &segment)?;
        self.signal();
        self.sign_of_life = created;
        self.next_check = Instant::now() + check_interval(self.settings);
        self.observe(segment);
        Ok(())
    }

    /// Publishes the signals in the present log, including those of our own events: `finish` compares with
    /// them.
    fn signal(&self) {
        self.signals.send_if_modified(|signals| mem::replace(signals, Signals::of(&self.state)) != *signals);
    }

    fn observe(&self, segment: Segment) {
        if let Some(observer) = &self.observer {
            // A reader may have left, or be too slow: it reads from the log what there was no room for.
            let _ = observer.try_send(Arc::new(segment));
        }
    }

    fn segment(&self, batch: &str, entries: Vec<Entry>) -> Segment {
        Segment {
            first: self.state.next(),
            writer: self.writer.clone(),
            batch: batch.to_owned(),
            epoch: self.epoch,
            at: self.storage.now(),
            entries,
        }
    }
}

/// The lease is renewed in a poll, so the interval of polls is at most the interval of renewals.
fn check_interval(settings: Settings) -> Duration {
    settings.idle_check.min(settings.renew).max(SHORTEST_CHECK)
}
