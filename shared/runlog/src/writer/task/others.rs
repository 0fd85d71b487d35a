//! The part of the task that reads what others have stored in the log: a cancel, a message, a newer owner.

use std::sync::Arc;

use tokio::time::Instant;

use super::{WriterTask, check_interval};
use crate::{
    AppendError, Consistency, ReadError, Segment, Storage, Unavailable, claim::advance, writer::Stopped,
};

impl<S: Storage> WriterTask<S> {
    /// Reads new segments and renews the lease, while there is nothing to write.
    pub(super) async fn poll(&mut self) -> Result<(), Stopped> {
        match self.news().await {
            Ok(segments) => segments.into_iter().try_for_each(|segment| self.apply(segment))?,
            // An owner that cannot read is still the owner. The next poll or write reads again.
            Err(ReadError::Unavailable(_)) => {}
            Err(ReadError::Malformed(source)) => return Err(refused(AppendError::Refused(source))),
        }
        if self.sign_of_life.elapsed() >= self.settings.renew {
            let created = Instant::now();
            let until = self.storage.now() + self.settings.lease;
            match self.storage.renew(self.key, self.epoch, Some(until)).await {
                Ok(()) => self.sign_of_life = created,
                Err(error) => {
                    tracing::warn!(
                        run = %self.key.run,
                        %error,
                        "could not renew the lease; the next poll retries"
                    );
                }
            }
        }
        self.next_check = Instant::now() + check_interval(self.settings);
        Ok(())
    }

    /// Returns segments of other processes. A cheap read, which may miss some of them, shows whether there are any.
    async fn news(&self) -> Result<Vec<Segment>, ReadError> {
        let seen = self.storage.read(self.key, self.state.last, Consistency::Eventual).await?;
        if seen.segments.is_empty() {
            return Ok(Vec::new());
        }
        let read = self.storage.read(self.key, self.state.last, Consistency::Strong).await?;
        Ok(read.segments)
    }

    /// Applies the segment that won a position, and those after it. The buffer is then appended after them.
    pub(super) async fn absorb(&mut self, winner: Segment) -> Result<(), Stopped> {
        self.apply(winner)?;
        loop {
            match self.storage.read(self.key, self.state.last, Consistency::Strong).await {
                Ok(page) => {
                    page.segments.into_iter().try_for_each(|segment| self.apply(segment))?;
                    if !page.has_more {
                        return Ok(());
                    }
                }
                // Reading ahead only saves attempts: the next append finds any segment that was not read.
                Err(ReadError::Unavailable(_)) => return Ok(()),
                Err(ReadError::Malformed(source)) => return Err(refused(AppendError::Refused(source))),
            }
        }
    }

    /// Applies a segment of another process.
    fn apply(&mut self, segment: Segment) -> Result<(), Stopped> {
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
}

fn refused(error: AppendError) -> Stopped {
    Stopped::Unavailable(Arc::new(Unavailable(error)))
}
