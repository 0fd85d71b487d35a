//! One append, ridden through throttling and ambiguous outcomes to a definite answer.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::{AppendError, LogKey, Segment, Storage};

const FIRST_BACKOFF: Duration = Duration::from_millis(10);
const LONGEST_BACKOFF: Duration = Duration::from_millis(1000);

/// The storage gave no definite answer in time, or refused for good.
#[derive(Debug, thiserror::Error)]
#[error("the log could not be written")]
pub struct Unavailable(#[source] pub AppendError);

/// A definite answer.
#[derive(Debug)]
pub(crate) enum Appended {
    /// The segment is stored, by this attempt or an earlier one of the same batch.
    Stored,
    /// Another segment has the position, and this one never will.
    Lost(Box<Segment>),
}

/// Repeats the append under the same batch id until the answer is definite.
///
/// Why repeating is safe: while the position is free, at most one of the attempts can take it; once it is taken, by
/// us or by another, no delayed attempt can succeed any more.
pub(crate) async fn append<S: Storage>(
    storage: &S,
    key: LogKey,
    segment: &Segment,
    rows: &S::Rows,
    patience: Duration,
) -> Result<Appended, Unavailable> {
    let give_up = Instant::now() + patience;
    let mut backoff = FIRST_BACKOFF;
    let mut doubtful = false;
    loop {
        let error = match storage.append(key, segment, rows).await {
            Ok(()) => return Ok(Appended::Stored),
            Err(AppendError::Conflict(stored)) if stored.batch == segment.batch => {
                return Ok(Appended::Stored);
            }
            Err(AppendError::Conflict(stored)) => return Ok(Appended::Lost(stored)),
            Err(error @ (AppendError::Busy | AppendError::Ambiguous)) => error,
            Err(error) => return Err(Unavailable(error)),
        };
        doubtful |= matches!(error, AppendError::Ambiguous);
        // Full jitter, so that writers that failed together do not return together.
        let pause = backoff.mul_f64(fastrand::f64());
        if Instant::now() + pause >= give_up {
            // One attempt of unknown outcome is enough: the segment may stand, or land yet.
            return Err(Unavailable(if doubtful { AppendError::Ambiguous } else { error }));
        }
        sleep(pause).await;
        backoff = (backoff * 2).min(LONGEST_BACKOFF);
    }
}
