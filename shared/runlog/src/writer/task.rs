//! The task behind a [`Writer`](super::Writer): the only place that appends for an owner.

use std::{
    mem,
    sync::{Arc, Mutex},
    time::Duration,
};

use sequent_event::{Body, Entry, State};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{Instant, sleep_until},
};

use super::{
    BACKLOG, Finish, Signals, Stopped,
    buffer::{Buffer, Pushed},
};
use crate::{
    AppendError, LogKey, ReadError, Segment, Settings, Storage, Unavailable, WriterId,
    append::{Appended, append},
    claim::{Ownership, advance},
    size,
};

/// Shortest time between two looks, whatever the settings say.
const SHORTEST_CHECK: Duration = Duration::from_millis(10);

type EndRows<S> = Box<dyn Fn(&State) -> <S as Storage>::Rows + Send>;

pub(super) enum Command<S: Storage> {
    Append(Body),
    Flush(oneshot::Sender<Box<State>>),
    Finish { known: Signals, bodies: Vec<Body>, rows: EndRows<S>, reply: oneshot::Sender<Finish> },
    Release(oneshot::Sender<()>),
}

/// Whether the task goes on after a command.
#[derive(Debug, PartialEq, Eq)]
enum Go {
    On,
    End,
}

pub(super) struct Task<S: Storage> {
    storage: S,
    key: LogKey,
    settings: Settings,
    writer: WriterId,
    epoch: u32,
    /// What the stored log says.
    state: State,
    /// `state` with the buffered events applied: what the next event is checked against.
    ahead: State,
    buffer: Buffer,
    observer: Option<mpsc::UnboundedSender<Arc<Segment>>>,
    commands: mpsc::Receiver<Command<S>>,
    signals: watch::Sender<Signals>,
    began: Instant,
    wrote: Option<Instant>,
    /// When the last segment that is stored was made: others judge the owner's life by the time it carries.
    sign_of_life: Instant,
    next_check: Instant,
}

impl<S: Storage> Task<S> {
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

    pub(super) async fn run(mut self, why: Arc<Mutex<Option<Stopped>>>) {
        let stopped = match self.serve().await {
            Ok(()) => Stopped::Ended,
            Err(stopped) => {
                tracing::warn!(run = %self.key.run, epoch = self.epoch, reason = %stopped, "writer stopped");
                stopped
            }
        };
        *why.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(stopped);
        self.signals.send_modify(|signals| signals.stopped = true);
    }

    async fn serve(&mut self) -> Result<(), Stopped> {
        loop {
            if self.is_due() {
                // Whatever came in while the last write was under way joins this one. The count bounds how long a
                // flood of small pieces can hold the write back.
                for _ in 0..BACKLOG {
                    if self.buffer.is_full() {
                        break;
                    }
                    let Ok(command) = self.commands.try_recv() else { break };
                    if self.obey(command).await? == Go::End {
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
                        if self.obey(command).await? == Go::End {
                            return Ok(());
                        }
                    }
                    None => return self.release().await,
                },
                () = sleep_until(due), if !self.buffer.is_empty() => {}
                () = sleep_until(self.next_check), if self.buffer.is_empty() => self.look().await?,
            }
        }
    }

    async fn obey(&mut self, command: Command<S>) -> Result<Go, Stopped> {
        match command {
            Command::Append(body) => self.push(body)?,
            Command::Flush(reply) => {
                self.write_all().await?;
                let _ = reply.send(Box::new(self.state.clone())); // whoever asked may have left
            }
            Command::Finish { known, bodies, rows, reply } => {
                let finish = self.finish(known, bodies, rows).await?;
                let done = matches!(finish, Finish::Done(_));
                let _ = reply.send(finish); // as above
                if done {
                    return Ok(Go::End);
                }
            }
            Command::Release(reply) => {
                self.release().await?;
                let _ = reply.send(()); // as above
                return Ok(Go::End);
            }
        }
        Ok(Go::On)
    }

    fn is_due(&self) -> bool {
        !self.buffer.is_empty() && (self.buffer.is_full() || self.due() <= Instant::now())
    }

    /// When the buffer must be written: a gap after the last write that grows with the length of the answer.
    fn due(&self) -> Instant {
        let gap = (self.began.elapsed() / 4).min(self.settings.linger_max).max(self.settings.linger_min);
        self.wrote.map_or_else(Instant::now, |wrote| wrote + gap)
    }

    fn push(&mut self, body: Body) -> Result<(), Stopped> {
        let at = self.storage.now();
        for part in size::cut(body) {
            self.ahead.apply(&Entry::new(at, part.clone()).at_seq(self.ahead.next()))?;
            if self.buffer.push(at, part, self.settings.merge) == Pushed::Merged {
                self.ahead.last.0 -= 1; // the two pieces take one position
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

    /// Stores one segment from the front of the buffer, if there is anything in it, after whatever others stored
    /// meanwhile. One batch id serves all positions it is tried at: a position is left only when another segment
    /// has it for good.
    async fn write(&mut self) -> Result<(), Stopped> {
        let entries = self.buffer.front();
        if entries.is_empty() {
            return Ok(());
        }
        let batch = WriterId::new().0;
        self.wrote = Some(Instant::now());
        loop {
            let made = Instant::now();
            let segment = self.segment(&batch, entries.clone());
            match self.store(&segment, &S::Rows::default()).await? {
                Appended::Stored => {
                    self.buffer.drop_front(entries.len());
                    return self.stored(segment, made);
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
            let (at, made) = (self.storage.now(), Instant::now());
            let mut entries: Vec<Entry> = self.buffer.iter().cloned().collect();
            let mut end = self.ahead.clone();
            for body in &bodies {
                let entry = Entry::new(at, body.clone());
                end.apply(&entry.clone().at_seq(end.next()))?;
                entries.push(entry);
            }
            let segment = self.segment(&batch, entries);
            match self.store(&segment, &rows(&end)).await? {
                Appended::Stored => {
                    self.buffer = Buffer::default();
                    self.stored(segment, made)?;
                    return Ok(Finish::Done(Box::new(self.state.clone())));
                }
                Appended::Lost(winner) => self.absorb(*winner).await?,
            }
        }
    }

    async fn release(&mut self) -> Result<(), Stopped> {
        self.write_all().await?;
        if let Err(error) = self.storage.renew(self.key, self.epoch, None).await {
            tracing::warn!(run = %self.key.run, %error, "the lease could not be given up and will run out");
        }
        Ok(())
    }

    /// An owner with nothing to write looks for news, and shows that it lives.
    async fn look(&mut self) -> Result<(), Stopped> {
        match self.storage.read(self.key, self.state.last).await {
            Ok(segments) => segments.into_iter().try_for_each(|segment| self.take(segment))?,
            // The next look or write finds out; an owner that cannot read is still the owner.
            Err(ReadError::Unavailable(_)) => {}
            Err(ReadError::Malformed(source)) => return Err(refused(AppendError::Refused(source))),
        }
        if self.sign_of_life.elapsed() >= self.settings.renew {
            let (now, made) = (self.storage.now(), Instant::now());
            match self.storage.renew(self.key, self.epoch, Some(now + self.settings.lease)).await {
                Ok(()) => self.sign_of_life = made,
                Err(error) => tracing::warn!(run = %self.key.run, %error, "the lease could not be renewed"),
            }
        }
        self.next_check = Instant::now() + check_interval(self.settings);
        Ok(())
    }

    async fn store(&self, segment: &Segment, rows: &S::Rows) -> Result<Appended, Stopped> {
        append(&self.storage, self.key, segment, rows, self.settings.patience)
            .await
            .map_err(|error| Stopped::Unavailable(Arc::new(error)))
    }

    /// After losing a position: take in the winner and all that follows it, then place the buffer behind.
    async fn absorb(&mut self, winner: Segment) -> Result<(), Stopped> {
        self.take(winner)?;
        loop {
            match self.storage.read(self.key, self.state.last).await {
                Ok(more) if more.is_empty() => return Ok(()),
                Ok(more) => more.into_iter().try_for_each(|segment| self.take(segment))?,
                // Reading ahead only saves attempts: whatever else stands there, the next append meets it.
                Err(ReadError::Unavailable(_)) => return Ok(()),
                Err(ReadError::Malformed(source)) => return Err(refused(AppendError::Refused(source))),
            }
        }
    }

    /// Takes in a segment that somebody else stored.
    fn take(&mut self, segment: Segment) -> Result<(), Stopped> {
        advance(&mut self.state, &segment)?;
        self.observe(segment);
        if self.state.epoch > self.epoch {
            return Err(Stopped::Fenced(self.state.epoch));
        }
        self.signal();
        self.ahead = self.state.clone();
        for entry in self.buffer.iter() {
            self.ahead.apply(&entry.clone().at_seq(self.ahead.next()))?;
        }
        Ok(())
    }

    /// Our own segment is stored: now it may be shown.
    fn stored(&mut self, segment: Segment, made: Instant) -> Result<(), Stopped> {
        advance(&mut self.state, &segment)?;
        self.signal();
        self.sign_of_life = made;
        self.next_check = Instant::now() + check_interval(self.settings);
        self.observe(segment);
        Ok(())
    }

    /// Tells the owner what the log says now, its own events included: `finish` compares with just that.
    fn signal(&self) {
        self.signals.send_if_modified(|signals| mem::replace(signals, Signals::of(&self.state)) != *signals);
    }

    fn observe(&self, segment: Segment) {
        if let Some(observer) = &self.observer {
            let _ = observer.send(Arc::new(segment)); // a follower that left is nobody's business
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

fn refused(error: AppendError) -> Stopped {
    Stopped::Unavailable(Arc::new(Unavailable(error)))
}

/// An owner that renews more often than it looks would not.
fn check_interval(settings: Settings) -> Duration {
    settings.idle_check.min(settings.renew).max(SHORTEST_CHECK)
}
