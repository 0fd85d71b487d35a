//! One append, retried through throttling and ambiguous outcomes until the result is definite.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::{AppendError, LogKey, ReadError, Segment, Storage};

const FIRST_BACKOFF: Duration = Duration::from_millis(10);
const LONGEST_BACKOFF: Duration = Duration::from_millis(1000);

/// The storage gave no definite result in time, or refused the segment.
#[derive(Debug, thiserror::Error)]
#[error("the log could not be written")]
pub struct Unavailable(#[from] pub AppendError);

impl From<ReadError> for Unavailable {
    fn from(error: ReadError) -> Self {
        Self(match error {
            ReadError::Unavailable(_) => AppendError::Busy,
            ReadError::Malformed(source) => AppendError::Refused(source),
        })
    }
}

/// Pauses between attempts. They grow exponentially, with full jitter, so that writers that failed at the same
/// time do not retry at the same time.
pub(crate) struct Backoff(Duration);

impl Backoff {
    pub(crate) const fn new() -> Self {
        Self(FIRST_BACKOFF)
    }

    pub(crate) fn pause(&mut self) -> Duration {
        let pause = self.0.mul_f64(fastrand::f64());
        self.0 = (self.0 * 2).min(LONGEST_BACKOFF);
        pause
    }
}

/// A definite result of an append.
#[derive(Debug)]
pub(crate) enum Appended {
    /// The segment is stored, by this attempt or an earlier one of the same batch.
    Stored,
    /// Another segment has the position, so this one can never be stored there.
    Lost(Box<Segment>),
}

/// Repeats the append under the same batch id until the result is definite.
///
/// Repeating is safe. While the position is free, at most one of the attempts can take it. Once it is taken,
/// by us or by another process, no delayed attempt can succeed any more.
pub(crate) async fn append<S: Storage>(
    storage: &S,
    key: LogKey,
    segments: &[Segment],
    rows: &S::Rows,
    patience: Duration,
) -> Result<Appended, Unavailable> {
    let batch = segments.first().map(|segment| &segment.batch);
    let deadline = Instant::now() + patience;
    let mut backoff = Backoff::new();
    let mut ambiguous = false;
    loop {
        let error = match storage.append(key, segments, rows).await {
            Ok(()) => return Ok(Appended::Stored),
            Err(AppendError::Conflict(stored)) if Some(&stored.batch) == batch => {
                return Ok(Appended::Stored);
            }
            Err(AppendError::Conflict(stored)) => return Ok(Appended::Lost(stored)),
            Err(error @ (AppendError::Busy | AppendError::Ambiguous)) => error,
            Err(error) => return Err(Unavailable(error)),
        };
        ambiguous |= matches!(error, AppendError::Ambiguous);
        let pause = backoff.pause();
        if Instant::now() + pause >= deadline {
            // One ambiguous attempt is enough: the segment may be stored, or may still arrive.
            return Err(Unavailable(if ambiguous { AppendError::Ambiguous } else { error }));
        }
        sleep(pause).await;
    }
}
