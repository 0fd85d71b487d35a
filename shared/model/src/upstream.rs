//! Real providers: requests over HTTP, and their answers as they arrive.

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::OnceLock,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures::{Stream, StreamExt, future::BoxFuture, ready, stream::BoxStream};
use reqwest::Response;
use tokio::time::{Sleep, sleep};

use crate::{
    Config, Error, Request,
    chunk::{Raw, RawStream},
    chunks::Activity,
    config::Endpoint,
    wire::{self, Decoder, Framing, Omitted, Progress, Protocol, Redact},
};

/// The client of real providers. Its HTTP client is created at the first request, because reading the
/// system's certificates takes longer than the rest of a cold start.
#[derive(Debug, Default)]
pub(crate) struct Upstream {
    client: OnceLock<reqwest::Client>,
}

/// A request to one server.
pub(crate) struct Order<'a> {
    pub(crate) protocol: Protocol,
    pub(crate) endpoint: &'a Endpoint,
    /// The provider's name of the model.
    pub(crate) model: &'a str,
    pub(crate) request: &'a Request,
    pub(crate) request_id: Option<&'a str>,
    /// The parameters to leave out, because the model has refused them.
    pub(crate) omitted: &'a Omitted,
}

impl Upstream {
    /// Sends a request and returns the stream of the answer before anything has arrived. Errors are items of
    /// the stream.
    ///
    /// # Errors
    /// If the request cannot be encoded or signed.
    pub(crate) fn open(
        &self,
        config: &Config,
        order: &Order<'_>,
        activity: Activity,
    ) -> Result<RawStream, Error> {
        let call = order.protocol.encode(order.endpoint, order.model, order.request, order.omitted)?;
        let url = order.endpoint.url(&call.path);
        let client = self.client(config)?.clone();
        let mut request = client.post(url).headers(call.headers).json(&call.body);
        if let Some(id) = order.request_id {
            request = request.header("x-client-request-id", id);
        }
        let mut request = request.build().map_err(|error| wire::of_transport(&error))?;
        if let Some(signer) = &order.endpoint.signer {
            signer.sign(&mut request)?;
        }
        let sending = async move {
            let response = client.execute(request).await.map_err(|error| wire::of_transport(&error))?;
            accept(response).await
        };
        let redact = Redact::new(order.endpoint.key.clone());
        Ok(Answering::new(Box::pin(sending), order.protocol, redact, activity).boxed())
    }

    /// Creates the client now. An error is reported by the first request.
    pub(crate) fn warm(&self, config: &Config) {
        let _ = self.client(config);
    }

    fn client(&self, config: &Config) -> Result<&reqwest::Client, Error> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let client = match &config.http {
            Some(http) => http.clone(),
            None => http(config)?,
        };
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
        .tcp_nodelay(true)
        .user_agent(concat!("sequent/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|error| Error::Unavailable(format!("the HTTP client could not be created: {error}")))
}

/// Returns the body of a successful response.
///
/// # Errors
/// The error that another response reports.
async fn accept(response: Response) -> Result<BoxStream<'static, Received>, Error> {
    let status = response.status();
    if status.is_success() {
        return Ok(response.bytes_stream().boxed());
    }
    let headers = response.headers().clone();
    let body = beginning(response).await;
    Err(wire::of_response(status, &headers, &String::from_utf8_lossy(&body)))
}

/// Bytes of the body of an error that are read.
const MAX_ERROR: usize = 64 << 10;

async fn beginning(mut response: Response) -> Vec<u8> {
    let mut body = Vec::new();
    // An error whose body does not arrive is classified by its status.
    while let Ok(Some(bytes)) = response.chunk().await {
        body.extend_from_slice(&bytes);
        if body.len() >= MAX_ERROR {
            break;
        }
    }
    body
}

type Received = Result<Bytes, reqwest::Error>;

/// Time that the usage may come after the reason of the end. Some servers then keep the connection open, silent or with
/// comments.
const GRACE: Duration = Duration::from_secs(1);

/// The stream of an answer.
struct Answering {
    connection: Connection,
    framing: Framing,
    decoder: Decoder,
    redact: Redact,
    activity: Activity,
    queue: VecDeque<Result<Raw, Error>>,
    /// The wait for the usage.
    grace: Option<Pin<Box<Sleep>>>,
}

enum Connection {
    Sending(BoxFuture<'static, Result<BoxStream<'static, Received>, Error>>),
    Open(BoxStream<'static, Received>),
    Closed,
}

impl Answering {
    fn new(
        sending: BoxFuture<'static, Result<BoxStream<'static, Received>, Error>>,
        protocol: Protocol,
        redact: Redact,
        activity: Activity,
    ) -> Self {
        Self {
            connection: Connection::Sending(sending),
            framing: Framing::new(protocol),
            decoder: Decoder::new(protocol),
            redact,
            activity,
            queue: VecDeque::new(),
            grace: None,
        }
    }

    fn feed(&mut self, bytes: &[u8]) {
        let Self { framing, decoder, .. } = self;
        let mut out = Vec::new();
        let fed = framing.push(bytes, &mut |frame| decoder.push(frame, &mut out));
        self.queue.extend(out.into_iter().map(Ok));
        match fed {
            Ok(()) => {}
            Err(error) if self.decoder.progress() == Progress::Open => self.fail(error),
            // An answer that has ended is complete, whatever follows.
            Err(_) => self.finish(),
        }
    }

    /// Handles the end of the connection. An answer whose reason of the end has arrived is complete, even if the
    /// connection was cut then.
    fn close(&mut self, cut: Option<Error>) {
        let Self { framing, decoder, .. } = self;
        let mut out = Vec::new();
        let ended = framing.end(&mut |frame| decoder.push(frame, &mut out));
        self.queue.extend(out.into_iter().map(Ok));
        match (ended, cut) {
            (Err(error), _) if self.decoder.progress() == Progress::Open => self.fail(error),
            (_, Some(error)) if self.decoder.progress() == Progress::Open => self.fail(error),
            _ if self.framing.is_only_noise() => {
                self.fail(Error::InvalidAnswer("the answer contains no event".into()));
            }
            _ => self.finish(),
        }
    }

    fn finish(&mut self) {
        let mut out = Vec::new();
        let finished = self.decoder.finish(&mut out);
        self.queue.extend(out.into_iter().map(Ok));
        self.connection = Connection::Closed;
        if let Err(error) = finished {
            self.fail(error);
        }
    }

    fn fail(&mut self, error: Error) {
        self.queue.push_back(Err(self.redact.error(error)));
        self.connection = Connection::Closed;
    }

    /// Takes what has arrived. Returns `Pending` if the next bytes have to be waited for.
    fn poll_connection(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.connection {
            Connection::Sending(sending) => match ready!(sending.as_mut().poll(cx)) {
                Ok(body) => {
                    self.activity.note();
                    self.connection = Connection::Open(body);
                }
                Err(error) => self.fail(error),
            },
            Connection::Open(body) => match body.poll_next_unpin(cx) {
                Poll::Ready(Some(Ok(bytes))) => {
                    self.activity.note();
                    self.feed(&bytes);
                    if self.decoder.progress() == Progress::Stopped {
                        self.end_after_grace(cx); // a server may send comments for ever
                    }
                }
                Poll::Ready(Some(Err(error))) => self.close(Some(wire::of_transport(&error))),
                Poll::Ready(None) => self.close(None),
                Poll::Pending => {
                    self.end_after_grace(cx);
                    if matches!(self.connection, Connection::Open(_)) {
                        return Poll::Pending;
                    }
                }
            },
            Connection::Closed => {}
        }
        Poll::Ready(())
    }

    /// Ends an answer to which nothing can be added, or whose usage does not come. Everything that has arrived is read
    /// before, because a connection whose body was read to its end can be used again.
    fn end_after_grace(&mut self, cx: &mut Context<'_>) {
        if !matches!(self.connection, Connection::Open(_)) {
            return;
        }
        let is_over = match self.decoder.progress() {
            Progress::Open => false,
            Progress::Stopped => {
                let grace = self.grace.get_or_insert_with(|| Box::pin(sleep(GRACE)));
                grace.as_mut().poll(cx).is_ready()
            }
            Progress::Complete => true,
        };
        if is_over {
            self.finish();
        }
    }
}

impl Stream for Answering {
    type Item = Result<Raw, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(item) = self.queue.pop_front() {
                return Poll::Ready(Some(item));
            }
            if matches!(self.connection, Connection::Closed) {
                return Poll::Ready(None);
            }
            ready!(self.poll_connection(cx));
        }
    }
}
