//! The task behind a [`Writer`](super::Writer): the only place that appends for an owner.

use std::{
    collections::VecDeque,
    mem,
    sync::{Arc, Mutex},
};

use sequent_event::{Body, Entry, State};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{Instant, sleep_until},
};

use super::{Finish, Signals, Stopped};
use crate::{
    AppendError, LogKey, MAX_BYTES, MAX_EVENTS, ReadError, Segment, Settings, Storage, Unavailable, WriterId,
    append::{Appended, append},
    claim::advance,
    follow::read_retrying,
};

/// Bytes up to which pieces of one message are merged into one event.
const MERGE_LIMIT: usize = 16_000;
/// Encoded size of an event beyond its text: names, ids, times.
const ENVELOPE: usize = 256;

type Rows<S> = Box<dyn Fn(&State) -> <S as Storage>::Companions + Send>;

pub(super) enum Command<S: Storage> {
    Append(Body),
    Flush(oneshot::Sender<()>),
    Finish { known: Signals, bodies: Vec<Body>, rows: Rows<S>, reply: oneshot::Sender<Finish> },
    Release(oneshot::Sender<()>),
}

pub(super) struct Task<S: Storage> {
    storage: S,
    key: LogKey,
    settings: Settings,
    id: WriterId,
    epoch: u32,
    /// What the stored log says.
    state: State,
    /// `state` with the buffered events applied: what the next event is checked against.
    ahead: State,
    buffer: VecDeque<Entry>,
    buffered_bytes: usize,
    observer: Option<mpsc::UnboundedSender<Arc<Segment>>>,
    commands: mpsc::Receiver<Command<S>>,
    signals: watch::Sender<Signals>,
    began: Instant,
    wrote: Option<Instant>,
    sign_of_life: Instant,
    next_check: Instant,
}

impl<S: Storage> Task<S> {
    #[expect(clippy::too_many_arguments, reason = "called once, by the handle that owns them all")]
    pub(super) fn new(
        storage: S,
        key: LogKey,
        settings: Settings,
        id: WriterId,
        epoch: u32,
        state: State,
        observer: Option<mpsc::UnboundedSender<Arc<Segment>>>,
        commands: mpsc::Receiver<Command<S>>,
        signals: watch::Sender<Signals>,
    ) -> Self {
        let now = Instant::now();
        Self {
            storage,
            key,
            settings,
            id,
            epoch,
            ahead: state.clone(),
            state,
            buffer: VecDeque::new(),
            buffered_bytes: 0,
            observer,
            commands,
            signals,
            began: now,
            wrote: None,
            sign_of_life: now,
            next_check: now + settings.idle_check,
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
            let full = self.is_full();
            let due = if full { Instant::now() } else { self.due() };
            tokio::select! {
                biased; // a due write goes first, or a flood of small pieces could hold it back for ever
                () = sleep_until(due), if !self.buffer.is_empty() => self.write().await?,
                command = self.commands.recv(), if !full => match command {
                    Some(Command::Append(body)) => self.push(body)?,
                    Some(Command::Flush(reply)) => {
                        self.write_all().await?;
                        let _ = reply.send(()); // whoever asked may have left
                    }
                    Some(Command::Finish { known, bodies, rows, reply }) => {
                        let finish = self.finish(known, bodies, rows).await?;
                        let done = matches!(finish, Finish::Done(_));
                        let _ = reply.send(finish); // as above
                        if done {
                            return Ok(());
                        }
                    }
                    Some(Command::Release(reply)) => {
                        self.release().await?;
                        let _ = reply.send(()); // as above
                        return Ok(());
                    }
                    None => return self.release().await,
                },
                () = sleep_until(self.next_check), if self.buffer.is_empty() => self.look().await?,
            }
        }
    }

    fn is_full(&self) -> bool {
        self.buffer.len() >= MAX_EVENTS || self.buffered_bytes >= MAX_BYTES / 2
    }

    /// When the buffer must be written: a gap after the last write that grows with the length of the answer.
    fn due(&self) -> Instant {
        let gap = (self.began.elapsed() / 4).clamp(self.settings.linger_min, self.settings.linger_max);
        self.wrote.map_or_else(Instant::now, |wrote| wrote + gap)
    }

    fn push(&mut self, body: Body) -> Result<(), Stopped> {
        let size = encoded_size(&body)?;
        let entry = Entry::new(self.storage.now(), body);
        self.ahead.apply(&entry.clone().at_seq(self.ahead.next()))?;
        self.buffered_bytes += size;
        let mergeable = self.settings.merge && entry.body().is_some_and(is_piece);
        let Some(Entry { payload: sequent_event::Payload::Known(into), .. }) =
            self.buffer.back_mut().filter(|_| mergeable)
        else {
            self.buffer.push_back(entry);
            return Ok(());
        };
        let Entry { at, payload: sequent_event::Payload::Known(body) } = entry else { return Ok(()) };
        match into.merge(body, MERGE_LIMIT) {
            // The two pieces take one position.
            None => self.ahead.last.0 -= 1,
            Some(body) => self.buffer.push_back(Entry::new(at, body)),
        }
        Ok(())
    }

    async fn write_all(&mut self) -> Result<(), Stopped> {
        while !self.buffer.is_empty() {
            self.write().await?;
        }
        Ok(())
    }

    /// Stores one segment from the front of the buffer, after whatever others stored meanwhile.
    async fn write(&mut self) -> Result<(), Stopped> {
        let batch = WriterId::new().0;
        self.wrote = Some(Instant::now());
        loop {
            let segment = self.segment(&batch, self.take_front());
            match self.store(&segment, &S::Companions::default()).await? {
                Appended::Stored => {
                    self.buffer.drain(..segment.entries.len());
                    self.buffered_bytes =
                        self.buffer.iter().filter_map(Entry::body).map(approximate_size).sum();
                    return self.stored(segment);
                }
                Appended::Lost(winner) => self.absorb(*winner).await?,
            }
        }
    }

    async fn finish(&mut self, known: Signals, bodies: Vec<Body>, rows: Rows<S>) -> Result<Finish, Stopped> {
        while self.buffer.len() + bodies.len() > MAX_EVENTS || self.buffered_bytes > MAX_BYTES / 2 {
            self.write().await?;
        }
        let batch = WriterId::new().0;
        loop {
            if Signals::of(&self.state) != known {
                return Ok(Finish::Superseded);
            }
            let at = self.storage.now();
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
                    self.buffer.clear();
                    self.stored(segment)?;
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
        match read_retrying(&self.storage, self.key, self.state.last).await {
            Ok(segments) => segments.into_iter().try_for_each(|segment| self.take(segment))?,
            // The next write decides; an owner that cannot read is still the owner.
            Err(ReadError::Unavailable(_)) => {}
            Err(ReadError::Malformed(source)) => return Err(refused(AppendError::Refused(source))),
        }
        if self.sign_of_life.elapsed() >= self.settings.renew {
            let until = self.storage.now() + self.settings.lease;
            match self.storage.renew(self.key, self.epoch, Some(until)).await {
                Ok(()) => self.sign_of_life = Instant::now(),
                Err(error) => tracing::warn!(run = %self.key.run, %error, "the lease could not be renewed"),
            }
        }
        self.next_check = Instant::now() + self.settings.idle_check;
        Ok(())
    }

    async fn store(&self, segment: &Segment, companions: &S::Companions) -> Result<Appended, Stopped> {
        append(&self.storage, self.key, segment, companions, self.settings.patience)
            .await
            .map_err(|error| Stopped::Unavailable(Arc::new(error)))
    }

    /// After losing a position: take in the winner and all that follows it, then place the buffer behind.
    async fn absorb(&mut self, winner: Segment) -> Result<(), Stopped> {
        self.take(winner)?;
        loop {
            let more =
                read_retrying(&self.storage, self.key, self.state.last).await.map_err(
                    |error| match error {
                        ReadError::Unavailable(_) => refused(AppendError::Busy),
                        ReadError::Malformed(source) => refused(AppendError::Refused(source)),
                    },
                )?;
            if more.is_empty() {
                return Ok(());
            }
            more.into_iter().try_for_each(|segment| self.take(segment))?;
        }
    }

    /// Takes in a segment that somebody else stored.
    fn take(&mut self, segment: Segment) -> Result<(), Stopped> {
        advance(&mut self.state, &segment)?;
        self.observe(segment);
        if self.state.epoch > self.epoch {
            return Err(Stopped::Fenced(self.state.epoch));
        }
        self.signals.send_if_modified(|signals| mem::replace(signals, Signals::of(&self.state)) != *signals);
        self.ahead = self.state.clone();
        for entry in &self.buffer {
            self.ahead.apply(&entry.clone().at_seq(self.ahead.next()))?;
        }
        Ok(())
    }

    /// Our own segment is stored: now it may be shown.
    fn stored(&mut self, segment: Segment) -> Result<(), Stopped> {
        advance(&mut self.state, &segment)?;
        self.sign_of_life = Instant::now();
        self.next_check = self.sign_of_life + self.settings.idle_check;
        self.observe(segment);
        Ok(())
    }

    fn observe(&self, segment: Segment) {
        if let Some(observer) = &self.observer {
            let _ = observer.send(Arc::new(segment)); // a follower that left is nobody's business
        }
    }

    fn take_front(&self) -> Vec<Entry> {
        let mut bytes = 0;
        let fits = |entry: &&Entry| {
            bytes += entry.body().map_or(ENVELOPE, approximate_size);
            bytes <= MAX_BYTES
        };
        let front: Vec<Entry> = self.buffer.iter().take(MAX_EVENTS).take_while(fits).cloned().collect();
        // One event always fits: `encoded_size` refused what does not.
        if front.is_empty() { self.buffer.iter().take(1).cloned().collect() } else { front }
    }

    fn segment(&self, batch: &str, entries: Vec<Entry>) -> Segment {
        Segment {
            first: self.state.next(),
            writer: self.id.clone(),
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

fn is_piece(body: &Body) -> bool {
    matches!(
        body,
        Body::TextMessageContent { .. } | Body::ReasoningMessageContent { .. } | Body::ToolCallArgs { .. }
    )
}

/// Upper estimate for the frequent types, exact for the others.
fn approximate_size(body: &Body) -> usize {
    match body {
        Body::TextMessageContent { delta, .. }
        | Body::ReasoningMessageContent { delta, .. }
        | Body::ToolCallArgs { delta, .. } => delta.len() + ENVELOPE,
        other => serde_json::to_vec(other).map_or(MAX_BYTES, |text| text.len() + ENVELOPE),
    }
}

fn encoded_size(body: &Body) -> Result<usize, Stopped> {
    match approximate_size(body) {
        size if size > MAX_BYTES / 2 => Err(Stopped::TooLarge(size)),
        size => Ok(size),
    }
}
