//! The projection of a run's log to the body of an HTTP response.

use std::convert::Infallible;

use bytes::Bytes;
use futures::{FutureExt as _, future::BoxFuture, stream};
use http::{HeaderName, HeaderValue, header};
use sequent_agent::{Live, LiveStream, OnCut, Source, StreamItem};
use sequent_conversation::{OwnedRun, StartedRun};
use sequent_core::{Code, ProjectId, RunId, TenantId, Timestamp};
use sequent_event::{Event, Seq};
use sequent_http::{
    Problem, RequestContext,
    axum::{body::Body, response::Response},
    idempotency::REPLAYED,
};
use sequent_protocol::{native, sse::Frame};
use sequent_runlog::LogKey;
use tokio::time::Instant;

use crate::{App, stream_slot::StreamSlot};

const RUN_ID: HeaderName = HeaderName::from_static("x-run-id");
const PROJECT_ID: HeaderName = HeaderName::from_static("x-project-id");

/// A projection of a log to the frames of one protocol.
pub(crate) trait Projection: Send + 'static {
    /// The behaviour of the protocol's clients when a stream is cut.
    const ON_CUT: OnCut = OnCut::Reconnect;

    /// Returns the frames before those of the first event.
    fn opening(&mut self) -> Vec<Frame> {
        Vec::new()
    }

    /// Returns the frames of the next event.
    fn event(&mut self, event: &Event) -> Vec<Frame>;

    /// Returns the frames after the last event of a closed log.
    fn closed(&mut self) -> Vec<Frame> {
        Vec::new()
    }

    /// Returns the frames at the end of a stream whose log is open.
    fn cut(&mut self) -> Vec<Frame> {
        vec![Frame::comment("the run continues: reconnect to follow it")]
    }

    /// Returns the frames at the end of a stream whose reader is signed in no longer. A client does not reconnect after them.
    fn signed_out(&mut self) -> Vec<Frame>;
}

/// The reason that a client is given in [`Projection::signed_out`]. Its code is that of the response to the next request.
pub(crate) const SIGNED_OUT: Code = Code::InvalidCredential;
pub(crate) const SIGNED_OUT_DETAIL: &str =
    "The session or the API key has ended. The run goes on: sign in again to follow it.";

/// The log itself: one frame for each event.
pub(crate) struct Native;

impl Projection for Native {
    fn event(&mut self, event: &Event) -> Vec<Frame> {
        vec![native::frame(event)]
    }

    fn signed_out(&mut self) -> Vec<Frame> {
        vec![native::refused(&Problem::new(SIGNED_OUT, SIGNED_OUT_DETAIL).to_json())]
    }
}

/// The run of a stream, and the part of its log that is streamed.
pub(crate) struct Watched {
    pub(crate) key: LogKey,
    pub(crate) project: ProjectId,
    /// The stream starts after the event at this position.
    pub(crate) after: Seq,
    pub(crate) source: Source,
    pub(crate) replayed: bool,
    /// This request started the run. The limit of live runs limits such streams.
    pub(crate) is_new: bool,
}

impl Watched {
    /// The whole log of a run that was started for this request.
    pub(crate) fn started(tenant: TenantId, started: StartedRun) -> Self {
        let source = match started.owner {
            Some(OwnedRun { writer, stored }) => Source::Owned(writer, stored),
            None => Source::Elsewhere,
        };
        Self {
            key: LogKey { tenant, run: started.run },
            project: started.project,
            after: Seq::START,
            source,
            replayed: started.replayed,
            is_new: !started.replayed,
        }
    }

    /// The log of a run that another process executes, if any.
    pub(crate) fn elsewhere(key: LogKey, project: ProjectId, after: Seq) -> Self {
        Self { key, project, after, source: Source::Elsewhere, replayed: false, is_new: false }
    }

    /// Returns `true` if the stream counts as an open stream of its tenant.
    fn counts(&self) -> bool {
        !self.is_new && matches!(self.source, Source::Elsewhere)
    }
}

/// Builds the streamed response. A run that this process owns is executed to its end even if the client leaves or its
/// credential ends.
///
/// # Errors
/// If the tenant has as many open streams as it may have.
pub(crate) async fn stream_response<P: Projection>(
    app: &App,
    context: &RequestContext,
    watched: Watched,
    mut projection: P,
) -> Result<Response, Problem> {
    let slot = match watched.counts() {
        true => StreamSlot::open(app, context, watched.key.tenant, P::ON_CUT).await?,
        false => StreamSlot::NONE,
    };
    let Watched { key, project, after, source, replayed, .. } = watched;
    let deadline = context.deadline().map(|at| Instant::now() + at.since(Timestamp::now()));
    let items = Live::stream(app.engine.clone(), key, after, source, P::ON_CUT, deadline);
    let opening = projection.opening();
    let credential_end = context.credential_end().boxed();
    let state = WritingState::Open;
    let writing = Writing { items, projection, opening, closed: false, state, slot, credential_end };
    let mut response = event_stream(Body::from_stream(stream::unfold(writing, Writing::next)));
    add_headers(&mut response, key.run, project, replayed);
    Ok(response)
}

/// Builds the response of an event stream.
pub(crate) fn event_stream(body: Body) -> Response {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // Without this header, proxies such as nginx buffer a stream until it ends.
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    response
}

/// Adds the headers that every stream of a run has.
fn add_headers(response: &mut Response, run: RunId, project: ProjectId, replayed: bool) {
    let id = |text: String| HeaderValue::try_from(text).expect("ids are ASCII");
    let headers = response.headers_mut();
    headers.insert(RUN_ID, id(run.to_string()));
    headers.insert(PROJECT_ID, id(project.to_string()));
    if replayed {
        headers.insert(REPLAYED, HeaderValue::from_static("true"));
    }
}

struct Writing<P> {
    items: LiveStream,
    projection: P,
    opening: Vec<Frame>,
    /// The last event closed the log.
    closed: bool,
    state: WritingState,
    slot: StreamSlot,
    /// Is ready when the credential of the request has ended.
    credential_end: BoxFuture<'static, ()>,
}

/// The state of a response.
#[derive(Clone, Copy, PartialEq, Eq)]
enum WritingState {
    Open,
    /// The credential has ended. The client has been told so and receives nothing more.
    SignedOut,
    Ended,
}

impl<P: Projection> Writing<P> {
    /// Returns the next bytes: all items that are ready, so that a replay is not sent frame by frame.
    async fn next(mut self) -> Option<(Result<Bytes, Infallible>, Self)> {
        /// A resumed log is read in megabytes. The response is written in smaller pieces, so that the client can start.
        const PIECE: usize = 64 * 1024;
        let mut text: String = std::mem::take(&mut self.opening).iter().map(Frame::as_str).collect();
        if self.state == WritingState::SignedOut {
            // The response ends with the work for the run, because Lambda freezes the process then.
            self.items.abandon().await;
            self.state = WritingState::Ended;
        }
        while self.state == WritingState::Open && text.len() < PIECE {
            if text.is_empty() {
                tokio::select! {
                    biased;
                    // A client that has received the end of the run has nothing to sign in for.
                    () = &mut self.credential_end, if !self.closed => self.sign_out(&mut text),
                    item = self.items.recv() => self.write(item, &mut text),
                }
            } else if let Some(item) = self.items.try_recv() {
                self.write(Some(item), &mut text);
            } else {
                break;
            }
        }
        if self.state == WritingState::Ended {
            // Lambda freezes the process when the response ends.
            self.slot.close().await;
        }
        (!text.is_empty()).then(|| (Ok(Bytes::from(text)), self))
    }

    fn sign_out(&mut self, text: &mut String) {
        self.state = WritingState::SignedOut;
        self.projection.signed_out().iter().for_each(|frame| text.push_str(frame.as_str()));
    }

    fn write(&mut self, item: Option<StreamItem>, text: &mut String) {
        let frames = match item {
            Some(StreamItem::Event(event)) => {
                self.closed = event.leaves_closed();
                self.projection.event(&event)
            }
            Some(StreamItem::Heartbeat) => vec![Frame::heartbeat()],
            Some(StreamItem::Cut) => self.projection.cut(),
            None => {
                self.state = WritingState::Ended;
                // A stream that ends without the terminal event was cut, so it must not be mistaken for a complete one.
                if self.closed { self.projection.closed() } else { Vec::new() }
            }
        };
        frames.iter().for_each(|frame| text.push_str(frame.as_str()));
    }
}
