//! Real providers, through the crate `genai`.
//!
//! The modules correct its faults: [`frames`] finds ends that it hides, [`events`] unifies its tool calls and
//! suppresses its logging, and [`failure`] classifies its errors.

mod events;
mod failure;
mod frames;
mod outgoing;

use std::sync::{Arc, OnceLock};

use futures::StreamExt;
use genai::{
    ModelIden, ServiceTarget,
    adapter::AdapterKind,
    chat::{ChatOptions, ToolChoice},
    resolver::{AuthData, Endpoint as Address},
};
use secrecy::ExposeSecret;

use crate::{Config, Error, Provider, Request, chunk::RawStream, chunks::Activity, config::Endpoint};
use events::Events;
use failure::Redact;
use frames::Frames;

/// The client of real providers. Its HTTP client is created at the first request, because reading the
/// system's certificates takes longer than the rest of a cold start.
#[derive(Debug, Default)]
pub(crate) struct Upstream {
    client: OnceLock<genai::Client>,
}

impl Upstream {
    /// Sends `request` and returns the stream of the answer before anything has arrived. Errors are items of
    /// the stream.
    pub(crate) async fn open(
        &self,
        config: &Config,
        provider: Provider,
        model: &str,
        request: &Request,
        request_id: Option<&str>,
        activity: Activity,
    ) -> Result<RawStream, Error> {
        let kind = match provider {
            Provider::OpenAi => AdapterKind::OpenAI,
            Provider::Anthropic => AdapterKind::Anthropic,
            Provider::Demo => return Err(Error::NotConfigured(provider.as_str())),
        };
        let endpoint = config.endpoint(provider).ok_or(Error::NotConfigured(provider.as_str()))?;
        let frames = Arc::new(Frames::new(kind, activity));
        let redact = Redact::new(endpoint.key.clone());
        let options = options(kind, request, request_id).with_raw_frame_sink_arc(frames.clone());
        let response = self
            .client(config)?
            .exec_chat_stream(target(kind, model, endpoint), outgoing::chat_request(request), Some(&options))
            .await
            .map_err(|error| failure::classify(error, &redact))?;
        Ok(Events::new(response.stream, kind, frames, redact).boxed())
    }

    /// Creates the client now. An error is reported by the first request.
    pub(crate) fn warm(&self, config: &Config) {
        let _ = self.client(config);
    }

    fn client(&self, config: &Config) -> Result<&genai::Client, Error> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let http = match &config.http {
            Some(http) => http.clone(),
            None => http(config)?,
        };
        let client = genai::Client::builder().with_reqwest(http).build().map_err(|_| {
            Error::Unavailable("the client of the model provider could not be created".into())
        })?;
        Ok(self.client.get_or_init(|| client))
    }
}

/// Creates the HTTP client: TLS by ring, no redirects (they would send the key elsewhere), and no compression
/// (it would delay small frames).
fn http(config: &Config) -> Result<reqwest::Client, Error> {
    // An error means that the program has chosen a provider already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .connect_timeout(config.timeouts.connect)
        .redirect(reqwest::redirect::Policy::none())
        .no_gzip()
        .tcp_nodelay(true)
        .user_agent(concat!("sequent/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|error| Error::Unavailable(format!("the HTTP client could not be created: {error}")))
}

fn target(kind: AdapterKind, model: &str, endpoint: &Endpoint) -> ServiceTarget {
    // The crate requires a key. Servers that need none ignore it.
    let key = endpoint.key.as_ref().map_or("none", |key| key.expose_secret());
    ServiceTarget {
        endpoint: Address::from_owned(endpoint.base_url.as_str()),
        auth: AuthData::from_single(key),
        model: ModelIden::new(kind, model),
    }
}

fn options(kind: AdapterKind, request: &Request, request_id: Option<&str>) -> ChatOptions {
    let mut options = ChatOptions::default().with_capture_usage(true);
    options.max_tokens = request.max_output_tokens;
    options.temperature = request.temperature;
    options.tool_choice = (request.must_call && !request.tools.is_empty()).then_some(ToolChoice::Required);
    if kind == AdapterKind::OpenAI {
        // Without an effort, the crate takes `-max`, `-high` or `-low` at the end of a model's name for one
        // and cuts it off (`qwen-max`). A budget is an effort that OpenAI's protocol has no field for: it is
        // not sent, and the name stays whole.
        options.reasoning_effort = Some(genai::chat::ReasoningEffort::Budget(0));
    }
    if let Some(id) = request_id {
        options.extra_headers = Some(("x-client-request-id", id.to_owned()).into());
    }
    options
}
