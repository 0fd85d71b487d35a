//! The entry of an open stream of a tenant, which is removed when the stream ends.

use std::time::Duration;

use sequent_agent::OnCut;
use sequent_billing::OpenStream;
use sequent_core::{TenantId, Timestamp, pace::scaled};
use sequent_http::{Problem, RequestContext};
use tokio::runtime::Handle;

use crate::App;

/// Time after which a stream of a client that reconnects no longer counts, if its process was killed: twice the time after
/// which such a stream is cut.
const RECONNECTING: Duration = Duration::from_secs(120);
/// As [`RECONNECTING`], for a stream that lasts as long as the invocation.
const LASTING: Duration = Duration::from_secs(900);

/// The place of a stream among the open streams of its tenant.
pub(crate) struct StreamSlot(Option<OpenStream>);

impl StreamSlot {
    /// The place of a stream that does not count.
    pub(crate) const NONE: Self = Self(None);

    /// Takes a place.
    ///
    /// # Errors
    /// If the tenant has as many open streams as it may have.
    pub(crate) async fn open(
        app: &App,
        context: &RequestContext,
        tenant: TenantId,
        on_cut: OnCut,
    ) -> Result<Self, Problem> {
        let longest = match on_cut {
            OnCut::Reconnect => RECONNECTING,
            OnCut::GiveUp => LASTING,
        };
        let until = Timestamp::now() + scaled(longest);
        let until = context.deadline().map_or(until, |deadline| until.min(deadline));
        // Boxed, because the futures of the tables are large.
        let opened = Box::pin(app.starter.credits().open_stream(tenant, until)).await;
        Ok(Self(opened.map_err(sequent_conversation::Error::from)?))
    }

    /// Gives the place back.
    pub(crate) async fn close(&mut self) {
        if let Some(stream) = self.0.take() {
            close(stream).await;
        }
    }
}

impl Drop for StreamSlot {
    /// Gives back the place of a stream whose client has left.
    fn drop(&mut self) {
        if let Some(stream) = self.0.take()
            && let Ok(runtime) = Handle::try_current()
        {
            runtime.spawn(close(stream));
        }
    }
}

async fn close(stream: OpenStream) {
    if let Err(error) = Box::pin(stream.close()).await {
        tracing::warn!(%error, "could not remove an open stream of the tenant; it counts until it expires");
    }
}
