//! The owner of a simulated run: it answers, reads signals, and closes the log.

use std::time::Duration;

use sequent_core::MessageId;
use sequent_event::{Body, Phase, Role, RunOutcome, Usage};
use sequent_runlog::{Finish, Stopped, Writer};
use tokio::time::sleep;

use super::world::World;
use crate::{
    memory::{Closed, Rows, finished, started},
    process::Process,
};

/// The end of an ownership without an error.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ended {
    Finished,
    Left,
}

pub(super) async fn work(world: &World, writer: Writer<Process>, epoch: u32) -> Result<Ended, Stopped> {
    let owner = Owner { world, epoch };
    let opening = writer.opening().clone();
    let signals = writer.signals();
    if opening.phase == Phase::Pending {
        owner.append(&writer, started()).await?;
    }
    if let Some(open) = opening.open {
        owner.append(&writer, Body::MessageAbandoned { message_id: open.id }).await?;
    }
    let lazy = fastrand::u8(..) < 30;
    let mut parts = fastrand::u8(1..6);
    loop {
        parts = parts.saturating_sub(1);
        let answered = signals.borrow().prompts;
        let message_id = MessageId::from_bits(fastrand::u128(..));
        owner.append(&writer, Body::TextMessageStart { message_id, role: Role::Assistant }).await?;
        for _ in 0..fastrand::usize(1..60) {
            if signals.borrow().cancel.is_some() {
                break;
            }
            if world.table.faulty() && fastrand::u8(..) < 2 {
                return owner.leave(writer).await;
            }
            owner.append(&writer, Body::TextMessageContent { message_id, delta: words() }).await?;
            if fastrand::u8(..) < 20 {
                owner.flush(&writer).await?;
            }
            if lazy || fastrand::bool() {
                sleep(Duration::from_millis(fastrand::u64(0..if lazy { 400 } else { 40 }))).await;
            }
        }
        owner.append(&writer, Body::TextMessageEnd { message_id }).await?;
        loop {
            let known = *signals.borrow();
            let outcome = if known.cancel.is_some() { RunOutcome::Cancelled } else { RunOutcome::Success };
            if known.cancel.is_none() && (known.prompts > answered || parts > 0) {
                break; // there is more to answer
            }
            match owner.finish(&writer, known, vec![usage(), finished(outcome)]).await? {
                Finish::Done(_) => return Ok(Ended::Finished),
                Finish::Superseded | Finish::RowsRefused(_) => {}
            }
        }
    }
}

struct Owner<'a> {
    world: &'a World,
    epoch: u32,
}

impl Owner<'_> {
    /// Appends an event. It is recorded first, because it may be stored even if the call fails.
    async fn append(&self, writer: &Writer<Process>, body: Body) -> Result<(), Stopped> {
        self.note(|sent| sent.push(body.clone()));
        writer.append(body).await
    }

    async fn flush(&self, writer: &Writer<Process>) -> Result<(), Stopped> {
        self.world.count("flush", writer.flush().await)?;
        self.acknowledge();
        Ok(())
    }

    async fn finish(
        &self,
        writer: &Writer<Process>,
        known: sequent_runlog::Signals,
        bodies: Vec<Body>,
    ) -> Result<Finish, Stopped> {
        let count = bodies.len();
        self.note(|sent| sent.extend(bodies.iter().cloned()));
        let rows = |state: &_| Rows { close: Some(Closed::of(state)), ..Rows::default() };
        let finish = self.world.count("finish", writer.finish(known, bodies, rows).await)?;
        match &finish {
            Finish::Superseded | Finish::RowsRefused(_) => {
                self.note(|sent| sent.truncate(sent.len() - count));
            }
            Finish::Done(_) => self.acknowledge(),
        }
        Ok(finish)
    }

    /// Releases the run, or drops the writer.
    async fn leave(&self, writer: Writer<Process>) -> Result<Ended, Stopped> {
        if fastrand::bool() {
            self.world.count("release", writer.release().await)?;
            self.acknowledge();
        }
        Ok(Ended::Left)
    }

    fn note(&self, change: impl FnOnce(&mut Vec<Body>)) {
        let mut history = self.world.history.lock().unwrap();
        change(&mut history.owners.entry(self.epoch).or_default().sent);
    }

    fn acknowledge(&self) {
        let mut history = self.world.history.lock().unwrap();
        let owner = history.owners.entry(self.epoch).or_default();
        owner.acknowledged = owner.sent.len();
    }
}

fn words() -> String {
    let unit = fastrand::choice(["a", "é ", "語", "🦀", "\n\"", "word "]).unwrap();
    let often = if fastrand::u16(..) < 60 { fastrand::usize(4000..9000) } else { fastrand::usize(1..6) };
    format!("{}{}", fastrand::u16(..), unit.repeat(often))
}

fn usage() -> Body {
    Body::UsageRecorded(Usage { output_tokens: 2, latency_ms: 3, ..sequent_event::testing::usage() })
}
