//! The one origin, in place of CloudFront, API Gateway and function URLs. It listens on loopback and routes
//! by the template.

mod answer;
mod console;
mod event;
mod routes;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::respond::{self, Body};
use crate::runtime::{Function, Refusal, Reply, Runtime};
use crate::template::{Behavior, Distribution, Function as Declared, Target};
use event::Origin;
use routes::{Matched, Routes};

/// API Gateway's limits for an HTTP API.
const HTTP_API_BODY: usize = 10 * 1024 * 1024;
const HTTP_API_TIMEOUT: Duration = Duration::from_secs(30);
/// Lambda's limit for an invocation, and therefore for a function URL.
const FUNCTION_URL_BODY: usize = 6 * 1024 * 1024;

/// Finds the function for each request.
#[derive(Debug)]
pub struct Front {
    distribution: Distribution,
    routes: Routes,
    runtime: Arc<Runtime>,
    /// Folder of the files of the console.
    console: Option<PathBuf>,
}

impl Front {
    /// Creates the routes from a template's functions and distribution.
    pub fn new(distribution: Distribution, functions: &[Declared], runtime: Arc<Runtime>) -> Self {
        Self { distribution, routes: Routes::new(functions), runtime, console: None }
    }

    /// Serves the files of a folder where the distribution leads to a bucket.
    #[must_use]
    pub fn with_console(self, folder: PathBuf) -> Self {
        Self { console: Some(folder), ..self }
    }

    /// Serves connections until the task is aborted, which also closes them.
    pub async fn serve(self: Arc<Self>, listener: TcpListener) {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((stream, peer)) => { connections.spawn(self.clone().connection(stream, peer)); }
                    // Out of file descriptors: give existing connections a moment to end.
                    Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
                },
                Some(_) = connections.join_next() => {}
            }
        }
    }

    async fn connection(self: Arc<Self>, stream: TcpStream, peer: SocketAddr) {
        // Without this, a token could wait for the next one (Nagle's algorithm).
        let _ = stream.set_nodelay(true);
        let service = hyper::service::service_fn(move |request| {
            let front = self.clone();
            async move { Ok::<_, std::convert::Infallible>(front.handle(request, peer).await) }
        });
        // Errors are clients that have left, or bodies that were cut. Both are reported where they occur.
        let _ = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(Duration::from_secs(60))
            .serve_connection(TokioIo::new(stream), service)
            .await;
    }

    async fn handle(&self, mut request: Request<Incoming>, peer: SocketAddr) -> Response<Body> {
        let original = request.uri().path();
        let behavior = self.distribution.behavior(original);
        let path = edge(behavior, original).to_owned();
        if behavior.edge {
            request.headers_mut().insert("x-viewer-ip", viewer(peer));
        }
        match &behavior.target {
            Target::HttpApi => {
                let id = gateway_request_id();
                with_id(self.http_api(request, peer, &id, &path).await, "apigw-requestid", &id)
            }
            // For a function URL, the request and its invocation have one id.
            Target::FunctionUrl(function) => {
                let id = crate::request_id();
                let response = match self.runtime.function(function) {
                    Some(function) => function_url(function, request, peer, &id, &path).await,
                    None => not_found(),
                };
                with_id(response, "x-amzn-requestid", &id)
            }
            Target::Elsewhere(_) => match &self.console {
                Some(folder) => console::file(folder, &path).await,
                None => not_found(),
            },
        }
    }

    async fn http_api(
        &self,
        request: Request<Incoming>,
        peer: SocketAddr,
        request_id: &str,
        path: &str,
    ) -> Response<Body> {
        let Some(matched) = self.routes.find(request.method().as_str(), path) else { return not_found() };
        let Some(function) = self.runtime.function(matched.function) else { return not_found() };
        let Matched { key, parameters, .. } = &matched;
        let (parts, body) = request.into_parts();
        let body = match read(body, HTTP_API_BODY).await {
            Ok(body) => body,
            Err(status) => return unreadable(status),
        };
        let origin = Origin {
            request_id,
            source_ip: peer.ip(),
            route_key: key,
            path_parameters: Some(parameters),
            path,
        };
        let event = event::build(&parts, &body, &origin);
        // If the gateway stops waiting, the invocation itself continues until its own timeout.
        let answered = async {
            match function.invoke(event).await {
                Ok(Reply::Buffered(payload)) => answer::buffered(&payload),
                Ok(Reply::Stream(stream)) => {
                    answer::collected(stream).await.and_then(|all| answer::buffered(&all))
                }
                Ok(Reply::Error(_)) => None,
                Err(Refusal::Throttled | Refusal::Stopping) => Some(failed(StatusCode::SERVICE_UNAVAILABLE)),
            }
        };
        match tokio::time::timeout(HTTP_API_TIMEOUT, answered).await {
            Ok(Some(response)) => response,
            Ok(None) => failed(StatusCode::INTERNAL_SERVER_ERROR),
            Err(_) => failed(StatusCode::SERVICE_UNAVAILABLE),
        }
    }
}

async fn function_url(
    function: &Arc<Function>,
    request: Request<Incoming>,
    peer: SocketAddr,
    request_id: &str,
    path: &str,
) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let body = match read(body, FUNCTION_URL_BODY).await {
        Ok(body) => body,
        Err(status) => return unreadable(status),
    };
    let origin =
        Origin { request_id, source_ip: peer.ip(), route_key: "$default", path_parameters: None, path };
    let event = event::build(&parts, &body, &origin);
    let response = match function.invoke_as(request_id.to_owned(), event).await {
        Ok(Reply::Buffered(payload)) => answer::buffered(&payload),
        Ok(Reply::Stream(stream)) => answer::streamed(stream).await,
        Ok(Reply::Error(_)) => None,
        Err(Refusal::Throttled) => Some(respond::json(
            StatusCode::TOO_MANY_REQUESTS,
            &json!({"Reason": "ReservedFunctionConcurrentInvocationLimitExceeded", "Type": "User", "message": "Rate Exceeded."}),
        )),
        Err(Refusal::Stopping) => Some(failed(StatusCode::SERVICE_UNAVAILABLE)),
    };
    response.unwrap_or_else(|| failed(StatusCode::BAD_GATEWAY))
}

fn with_id(mut response: Response<Body>, name: &'static str, id: &str) -> Response<Body> {
    if let Ok(id) = id.parse() {
        response.headers_mut().insert(name, id);
    }
    response
}

/// Creates a request id in API Gateway's form. It is not a UUID and not the id of an invocation.
fn gateway_request_id() -> String {
    use base64::Engine as _;

    let bytes: [u8; 11] = std::array::from_fn(|_| fastrand::u8(..));
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

/// Returns the address of the client as a header, with which the distribution's viewer-request function replaces
/// the one that a client sends.
fn viewer(peer: SocketAddr) -> HeaderValue {
    HeaderValue::try_from(peer.ip().to_string()).unwrap_or(HeaderValue::from_static("unknown"))
}

/// Removes a trailing slash, as the distribution's viewer-request function does. (That function also adds
/// `x-forwarded-host`, which every event has here.)
fn edge<'a>(behavior: &Behavior, path: &'a str) -> &'a str {
    if !behavior.edge {
        return path;
    }
    match path.trim_end_matches('/') {
        "" => "/",
        trimmed => trimmed,
    }
}

async fn read(body: Incoming, limit: usize) -> Result<Bytes, StatusCode> {
    match Limited::new(body, limit).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(StatusCode::PAYLOAD_TOO_LARGE),
        Err(_) => Err(StatusCode::BAD_REQUEST),
    }
}

fn unreadable(status: StatusCode) -> Response<Body> {
    // API Gateway's wording, which is older than the present name of this status.
    let text =
        if status == StatusCode::PAYLOAD_TOO_LARGE { "Request Entity Too Large" } else { "Bad Request" };
    respond::message(status, text)
}

fn not_found() -> Response<Body> {
    respond::message(StatusCode::NOT_FOUND, "Not Found")
}

/// Creates the platform's response for a function that failed.
fn failed(status: StatusCode) -> Response<Body> {
    respond::message(status, status.canonical_reason().unwrap_or_default())
}

/// Listens on loopback. `port` 0 takes any free port.
pub async fn listen(port: u16) -> std::io::Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await
}
