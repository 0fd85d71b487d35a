//! The feed as an event stream.

use std::{convert::Infallible, time::Duration};

use bytes::Bytes;
use futures::{FutureExt as _, future::BoxFuture, stream};
use sequent_agent::OnCut;
use sequent_core::{TenantId, Timestamp, pace::scaled};
use sequent_feed::{Error, FeedEntry, FollowFeed};
use sequent_http::{
    Problem, RequestContext,
    axum::{body::Body, response::Response},
};
use sequent_protocol::{native, sse::Frame};
use tokio::time::{Instant, sleep_until};

use super::{Visible, shown};
use crate::{
    App,
    stream::{SIGNED_OUT, event_stream},
    stream_slot::StreamSlot,
};

/// Time after which a stream is cut. A function does not learn that a client has left, so the client shows that it is there
/// by reconnecting.
const LONGEST: Duration = Duration::from_secs(60);
/// Time between two signs of life of a silent stream, which keep proxies from closing it.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// Follows the feed of a tenant.
///
/// # Errors
/// If the tenant has as many open streams as it may have.
pub(super) async fn follow(
    app: &App,
    context: &RequestContext,
    tenant: TenantId,
    visible: Visible,
    after: u64,
) -> Result<Response, Problem> {
    let slot = StreamSlot::open(app, context, tenant, OnCut::Reconnect).await?;
    let now = Instant::now();
    let longest = now + scaled(LONGEST);
    let deadline = context.deadline().map(|at| now + at.since(Timestamp::now()));
    let following = Following {
        app: app.clone(),
        tenant,
        visible,
        reader: FollowFeed::new(app.feed(), tenant, after),
        cut_at: deadline.map_or(longest, |deadline| longest.min(deadline)),
        credential_end: context.credential_end().boxed(),
        slot,
        has_begun: false,
        has_ended: false,
    };
    Ok(event_stream(Body::from_stream(stream::unfold(following, Following::next))))
}

/// A stream that lasts.
struct Following {
    app: App,
    tenant: TenantId,
    visible: Visible,
    reader: FollowFeed,
    cut_at: Instant,
    /// Is ready when the credential of the request has ended.
    credential_end: BoxFuture<'static, ()>,
    slot: StreamSlot,
    has_begun: bool,
    has_ended: bool,
}

impl Following {
    /// Returns the next bytes, or ends the stream.
    async fn next(mut self) -> Option<(Result<Bytes, Infallible>, Self)> {
        if self.has_ended {
            // Lambda freezes the process when the response ends.
            self.slot.close().await;
            return None;
        }
        if !self.has_begun {
            // The client learns at once that it is connected, although nothing may happen for long.
            self.has_begun = true;
            return Some((Ok(Bytes::from(String::from(Frame::comment("the feed")))), self));
        }
        let text = self.wait().await;
        Some((Ok(Bytes::from(text)), self))
    }

    /// Waits for entries, a heartbeat or the end.
    async fn wait(&mut self) -> String {
        let heartbeat = Instant::now() + HEARTBEAT;
        loop {
            let read = tokio::select! {
                biased;
                () = &mut self.credential_end => {
                    let detail = "The session or the API key has ended. Sign in again to follow the feed.";
                    return self.end_with(native::refused(&Problem::new(SIGNED_OUT, detail).to_json()));
                }
                () = sleep_until(self.cut_at) => {
                    return self.end_with(Frame::comment("reconnect to follow the feed"));
                }
                () = sleep_until(heartbeat) => return Frame::heartbeat().into(),
                read = self.reader.next() => read,
            };
            match self.frames(read).await {
                Ok(text) if text.is_empty() => {}
                Ok(text) => return text,
                Err(problem) => return self.end_with(native::refused(&problem.to_json())),
            }
        }
    }

    async fn frames(&mut self, read: Result<Vec<FeedEntry>, Error>) -> Result<String, Problem> {
        let read = read?;
        let last = read.last().filter(|last| !self.visible.shows(last)).map(|last| last.seq);
        let entries = read.into_iter().filter(|entry| self.visible.shows(entry)).collect();
        let entries = shown(self.app.engine.store(), self.tenant, entries).await?;
        let frames = entries.iter().map(|shown| {
            let kind = shown.entry.change.kind();
            Frame::json(Some(&shown.entry.seq), Some(kind.as_str()), shown)
        });
        // A reader that reconnects goes on after what it does not want to see.
        let cursor = last.map(|seq| Frame::cursor(&seq));
        Ok(frames.chain(cursor).map(String::from).collect())
    }

    fn end_with(&mut self, frame: Frame) -> String {
        self.has_ended = true;
        frame.into()
    }
}
