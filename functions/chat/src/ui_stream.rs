//! The response with the AI SDK's UI message stream, version 1.

use http::{HeaderName, HeaderValue};
use sequent_agent::OnCut;
use sequent_core::RunId;
use sequent_event::Event;
use sequent_http::{Problem, RequestContext, axum::response::Response};
use sequent_protocol::{
    sse::Frame,
    ui_message::{self, Chunk, Projector},
};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use crate::{
    App,
    stream::{Projection, SIGNED_OUT, SIGNED_OUT_DETAIL, Watched, stream_response},
};

/// The major version of a client's AI SDK.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
pub(crate) enum SdkVersion {
    #[serde(rename = "5")]
    V5,
    #[serde(rename = "6")]
    V6,
    #[default]
    #[serde(rename = "7")]
    V7,
}

/// The form of a stream.
#[derive(Debug, Default, Clone, Copy, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct StreamForm {
    /// The major version of the client's SDK. Version 5 knows no approvals: with `5`, they are sent only as the events
    /// `CLARIFICATION_NEEDED` and `CLARIFICATION_ANSWERED`, and answered with `POST /api/runs/{id}/resume`.
    #[serde(default)]
    #[param(inline)]
    v: SdkVersion,
}

impl SdkVersion {
    /// Creates the projector of a run's log for the version.
    pub(crate) fn projector(self, run: RunId) -> Projector {
        match self {
            Self::V5 => Projector::new(run).without_approvals(),
            Self::V6 | Self::V7 => Projector::new(run),
        }
    }
}

impl StreamForm {
    /// Creates the projector of a run's log for the form.
    pub(crate) fn projector(self, run: RunId) -> Projector {
        self.v.projector(run)
    }
}

/// The chunks of a run's answer, without those that the client has received.
pub(crate) struct UiMessages {
    pub(crate) projector: Projector,
    pub(crate) skip: u64,
    /// The client counts chunks and requests the rest of a stream that ends without `finish`.
    pub(crate) counts: bool,
    /// Chunks of events before the first one that the stream reads.
    pub(crate) opening: Vec<Chunk>,
}

impl UiMessages {
    /// The chunks of the events that follow those which the projector has read.
    pub(crate) fn new(projector: Projector) -> Self {
        Self { projector, skip: 0, counts: false, opening: Vec::new() }
    }
}

impl Projection for UiMessages {
    /// The SDK's default transport takes the end of a stream for the end of the answer.
    const ON_CUT: OnCut = OnCut::GiveUp;

    fn opening(&mut self) -> Vec<Frame> {
        std::mem::take(&mut self.opening).iter().map(Chunk::frame).collect()
    }

    fn event(&mut self, event: &Event) -> Vec<Frame> {
        self.projector.push_after(self.skip, event).iter().map(Chunk::frame).collect()
    }

    fn closed(&mut self) -> Vec<Frame> {
        vec![ui_message::done()]
    }

    fn cut(&mut self) -> Vec<Frame> {
        if self.counts { Vec::new() } else { vec![ui_message::cut()] }
    }

    fn signed_out(&mut self) -> Vec<Frame> {
        ui_message::refused(SIGNED_OUT.as_str(), SIGNED_OUT_DETAIL)
    }
}

/// Builds the streamed response.
pub(crate) async fn stream(
    app: &App,
    context: &RequestContext,
    watched: Watched,
    projection: UiMessages,
) -> Result<Response, Problem> {
    let run = watched.key.run;
    let mut response = stream_response(app, context, watched, projection).await?;
    let headers = response.headers_mut();
    for (name, value) in ui_message::HEADERS {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    let id = HeaderValue::try_from(run.to_string()).expect("ids are ASCII");
    headers.insert(HeaderName::from_static("x-workflow-run-id"), id);
    Ok(response)
}
