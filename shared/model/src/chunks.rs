//! Enforces the contract of a stream: limited waiting, exactly one end, and a usage for every answer.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use futures::{Stream, StreamExt};
use tokio::time::{Instant, Sleep};

use crate::{
    Chunk, Error, FinishReason, Phase, Usage,
    chunk::{Raw, RawStream},
    meter::Meter,
};

/// The stream of an answer. It ends with [`Chunk::Finished`] or with one `Err`. Dropping it cancels the
/// request. An answer that is clearly longer than the request allows is ended here, because not every server
/// keeps to `max_output_tokens`.
pub struct Chunks {
    state: State,
    /// The first chunk, which was read to know that the answer has started.
    first: Option<Chunk>,
    meter: Meter,
    /// The provider's last report.
    reported: Option<Usage>,
    /// The usage of the answer once it has ended.
    usage: Option<Usage>,
    limits: Limits,
    timer: Pin<Box<Sleep>>,
    phase: Phase,
    activity: Activity,
    /// The activity count when the timer was set.
    last_activity: u64,
}

enum State {
    Open(RawStream),
    Closed,
}

/// The time limits of an answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) first_token: Duration,
    pub(crate) idle: Duration,
    pub(crate) deadline: Instant,
}

/// Counts everything that the provider sends, including events that give no chunk, so that a model that works
/// without output does not time out.
#[derive(Clone, Debug, Default)]
pub(crate) struct Activity(Arc<AtomicU64>);

impl Activity {
    pub(crate) fn note(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Limit of an answer: more than any model gives. A provider that sends more is faulty.
const MAX_OUTPUT_BYTES: u64 = 16 << 20;

impl Chunks {
    pub(crate) fn new(raw: RawStream, meter: Meter, limits: Limits, activity: Activity) -> Self {
        Self {
            state: State::Open(raw),
            first: None,
            meter,
            reported: None,
            usage: None,
            limits,
            timer: Box::pin(tokio::time::sleep_until(limits.deadline)),
            phase: Phase::FirstToken,
            last_activity: activity.count(),
            activity,
        }
        .armed(Phase::FirstToken)
    }

    /// Waits for the first chunk. An error before it can be retried, because nothing has been generated.
    pub(crate) async fn started(mut self) -> Result<Self, Error> {
        match self.next().await {
            Some(Ok(chunk)) => {
                self.first = Some(chunk);
                Ok(self)
            }
            Some(Err(error)) => Err(error),
            None => Err(Error::Truncated),
        }
    }

    /// Returns the tokens used so far. After [`Chunk::Finished`], these are the provider's. During the stream or after an error,
    /// the input is the provider's if it has reported one, and what it has not reported is an estimate.
    pub fn usage(&self) -> Usage {
        self.usage.unwrap_or_else(|| so_far(self.reported, self.meter.usage()))
    }

    fn armed(mut self, phase: Phase) -> Self {
        self.arm(phase);
        self
    }

    fn arm(&mut self, phase: Phase) {
        let limit = match phase {
            Phase::FirstToken => self.limits.first_token,
            _ => self.limits.idle,
        };
        let until = Instant::now() + limit;
        self.phase = if until < self.limits.deadline { phase } else { Phase::Total };
        self.timer.as_mut().reset(until.min(self.limits.deadline));
        self.last_activity = self.activity.count();
    }

    /// Returns an error if the stream is pending and the timer has expired. A server that sends anything is at work, so
    /// only silence counts, before the first chunk as well: a model may reason for minutes while its server sends comments.
    fn timeout(&mut self, cx: &mut Context<'_>) -> Option<Error> {
        while self.timer.as_mut().poll(cx).is_ready() {
            if self.phase == Phase::Total || self.activity.count() == self.last_activity {
                return Some(Error::Timeout(self.phase));
            }
            self.arm(self.phase);
        }
        None
    }

    fn finish(&mut self, reported: Option<Usage>) -> Usage {
        let estimate = self.meter.usage();
        // Some servers report zeros although there is an answer.
        let whole = reported.filter(|usage| usage.output_tokens > 0 || estimate.output_tokens == 0);
        let usage = match whole {
            Some(usage) => with_input(usage, estimate),
            None => so_far(self.reported, estimate),
        };
        self.usage = Some(usage);
        usage
    }
}

/// Returns the usage of an answer that has not ended: the provider has not counted the output after its last report.
fn so_far(reported: Option<Usage>, estimate: Usage) -> Usage {
    let reported = reported.map_or(estimate, |usage| with_input(usage, estimate));
    Usage {
        output_tokens: reported.output_tokens.max(estimate.output_tokens),
        reasoning_tokens: reported.reasoning_tokens.max(estimate.reasoning_tokens),
        estimated: reported.estimated || estimate.output_tokens > reported.output_tokens,
        ..reported
    }
}

/// Returns a report with the estimated input if it has none. Some servers report no input that is in their cache.
fn with_input(reported: Usage, estimate: Usage) -> Usage {
    if reported.input_tokens > 0 || estimate.input_tokens == 0 {
        return reported;
    }
    Usage { input_tokens: estimate.input_tokens, estimated: true, ..reported }
}

impl Stream for Chunks {
    type Item = Result<Chunk, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if let Some(chunk) = this.first.take() {
            return Poll::Ready(Some(Ok(chunk)));
        }
        let State::Open(raw) = &mut this.state else {
            return Poll::Ready(None);
        };
        if this.meter.exceeds_limit() {
            this.state = State::Closed;
            let usage = this.finish(None);
            return Poll::Ready(Some(Ok(Chunk::Finished { finish_reason: FinishReason::Length, usage })));
        }
        let result = match raw.as_mut().poll_next(cx) {
            Poll::Ready(Some(Ok(Raw::Usage(usage)))) => {
                this.reported = Some(usage);
                match this.timeout(cx) {
                    Some(error) => Err(error),
                    None => {
                        cx.waker().wake_by_ref(); // a report is no item of the stream
                        return Poll::Pending;
                    }
                }
            }
            Poll::Ready(Some(Ok(Raw::Chunk(chunk)))) => {
                this.meter.add(&chunk);
                if this.meter.size() <= MAX_OUTPUT_BYTES {
                    this.arm(Phase::Idle);
                    return Poll::Ready(Some(Ok(chunk)));
                }
                Err(Error::InvalidAnswer("the answer is too long".into()))
            }
            Poll::Ready(Some(Ok(Raw::Finished { finish_reason, usage }))) => {
                Ok(Chunk::Finished { finish_reason, usage: this.finish(usage) })
            }
            Poll::Ready(Some(Err(error))) => Err(error),
            Poll::Ready(None) => Err(Error::Truncated),
            Poll::Pending => match this.timeout(cx) {
                Some(error) => Err(error),
                None => return Poll::Pending,
            },
        };
        // Dropping the stream closes the connection.
        this.state = State::Closed;
        Poll::Ready(Some(result))
    }
}

impl std::fmt::Debug for Chunks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Chunks")
            .field("phase", &self.phase)
            .field("usage", &self.usage())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
