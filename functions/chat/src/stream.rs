//! From a run's log to the frames of an HTTP response.

use std::convert::Infallible;

use bytes::Bytes;
use futures::stream;
use http::{HeaderName, HeaderValue, header};
use sequent_agent::{Engine, Live, Source, StreamItem};
use sequent_core::{ProjectId, RunId, Timestamp};
use sequent_event::{Event, Seq};
use sequent_http::{
    Exchange,
    axum::{body::Body, response::Response},
    idempotency::REPLAYED,
};
use sequent_protocol::sse::Frame;
use sequent_runlog::LogKey;
use tokio::time::Instant;

const RUN_ID: HeaderName = HeaderName::from_static("x-run-id");
const PROJECT_ID: HeaderName = HeaderName::from_static("x-project-id");

/// How one protocol writes a log.
pub(crate) trait Projection: Send + 'static {
    /// The frames of the next event.
    fn event(&mut self, event: &Event) -> Vec<Frame>;

    /// The frames after the last event of a closed log.
    fn closed(&mut self) -> Vec<Frame> {
        Vec::new()
    }
}

/// The log as it is.
pub(crate) struct Native;

impl Projection for Native {
    fn event(&mut self, event: &Event) -> Vec<Frame> {
        vec![sequent_protocol::native::frame(event)]
    }
}

/// What a stream is of.
pub(crate) struct Watched {
    pub(crate) key: LogKey,
    pub(crate) project: ProjectId,
    /// The stream starts at the event behind it.
    pub(crate) after: Seq,
    pub(crate) source: Source,
    pub(crate) replayed: bool,
}

/// A streamed response. A run that this process owns goes on to its end even if nobody reads.
pub(crate) fn respond(
    engine: &Engine,
    exchange: &Exchange,
    watched: Watched,
    projection: impl Projection,
) -> Response {
    let (run, project, replayed) = (watched.key.run, watched.project, watched.replayed);
    let deadline = exchange.deadline().map(|at| Instant::now() + at.since(Timestamp::now()));
    let items = Live::stream(engine.clone(), watched.key, watched.after, watched.source, deadline);
    let frames = stream::unfold(Writing { items, projection, closed: false, ended: false }, Writing::next);
    let mut response = Response::new(Body::from_stream(frames));
    mark(&mut response, run, project, replayed);
    response
}

/// The headers every stream has.
fn mark(response: &mut Response, run: RunId, project: ProjectId, replayed: bool) {
    let id = |text: String| HeaderValue::try_from(text).expect("ids are ASCII");
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    // Proxies such as nginx otherwise hold a stream back until it ends.
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    headers.insert(RUN_ID, id(run.to_string()));
    headers.insert(PROJECT_ID, id(project.to_string()));
    if replayed {
        headers.insert(REPLAYED, HeaderValue::from_static("true"));
    }
}

struct Writing<P> {
    items: tokio::sync::mpsc::Receiver<StreamItem>,
    projection: P,
    /// The last event closed the log.
    closed: bool,
    ended: bool,
}

impl<P: Projection> Writing<P> {
    /// The next bytes: of everything that is ready, so that a replay is not sent frame by frame.
    async fn next(mut self) -> Option<(Result<Bytes, Infallible>, Self)> {
        /// A resumed log is read in megabytes; a response is written in pieces a client can start on.
        const PIECE: usize = 64 * 1024;
        let mut text = String::new();
        while !self.ended {
            let item = if text.is_empty() {
                self.items.recv().await
            } else {
                match self.items.try_recv() {
                    Ok(item) => Some(item),
                    Err(_) => break,
                }
            };
            self.write(item, &mut text);
            if text.len() >= PIECE {
                break;
            }
        }
        (!text.is_empty()).then(|| (Ok(Bytes::from(text)), self))
    }

    fn write(&mut self, item: Option<StreamItem>, text: &mut String) {
        let frames = match item {
            Some(StreamItem::Event(event)) => {
                self.closed = event.leaves_closed();
                self.projection.event(&event)
            }
            Some(StreamItem::Heartbeat) => vec![Frame::heartbeat()],
            Some(StreamItem::Cut) => {
                self.ended = true;
                vec![Frame::comment("the run goes on: reconnect to follow it")]
            }
            None => {
                self.ended = true;
                // A stream that ends without the terminal event was cut, and must not look complete.
                if self.closed { self.projection.closed() } else { Vec::new() }
            }
        };
        frames.iter().for_each(|frame| text.push_str(frame.as_str()));
    }
}
