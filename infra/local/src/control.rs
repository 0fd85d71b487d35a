//! The control port, on loopback: Lambda's Invoke API (for MiniStack's event sources, the AWS CLI and
//! `cargo lambda invoke`), and a list of the instances, which tests can kill.

mod eventstream;

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::respond::{self, Body, full};
use crate::runtime::{Function, FunctionError, Refusal, Reply, Runtime};

/// Lambda's limit for an event.
const EVENT_LIMIT: usize = 6 * 1024 * 1024;

/// Serves until the task is aborted.
pub async fn serve(listener: TcpListener, runtime: Arc<Runtime>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => if let Ok((stream, _)) = accepted {
                let runtime = runtime.clone();
                connections.spawn(async move {
                    let service = hyper::service::service_fn(move |request| {
                        let runtime = runtime.clone();
                        async move { Ok::<_, std::convert::Infallible>(handle(request, &runtime).await) }
                    });
                    let http = hyper::server::conn::http1::Builder::new();
                    // An error here means that the client has left.
                    let _ = http.serve_connection(TokioIo::new(stream), service).await;
                });
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn handle(request: Request<Incoming>, runtime: &Runtime) -> Response<Body> {
    // Web pages must not use this port.
    if request.headers().contains_key("origin") {
        return respond::message(StatusCode::FORBIDDEN, "The control port does not serve web pages.");
    }
    let path = request.uri().path().to_owned();
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    match (request.method(), parts.as_slice()) {
        (&Method::GET, ["instances"]) => respond::json(StatusCode::OK, &json!(runtime.instances())),
        (&Method::POST, ["instances", pid, "kill"]) => {
            let killed = pid.parse().is_ok_and(|pid| runtime.kill(pid));
            let status = if killed { StatusCode::NO_CONTENT } else { StatusCode::NOT_FOUND };
            respond::message(status, "")
        }
        (&Method::POST, ["2015-03-31", "functions", name, "invocations"]) => match find(runtime, name) {
            Some(function) => invoke(function, request).await,
            None => unknown(name),
        },
        (&Method::POST, ["2021-11-15", "functions", name, "response-streaming-invocations"]) => {
            match find(runtime, name) {
                Some(function) => invoke_streaming(function, request).await,
                None => unknown(name),
            }
        }
        _ => respond::message(StatusCode::NOT_FOUND, "Not Found"),
    }
}

fn find<'a>(runtime: &'a Runtime, name: &str) -> Option<&'a Arc<Function>> {
    // ARNs are percent-encoded in paths.
    runtime.function(&name.replace("%3A", ":").replace("%3a", ":"))
}

fn unknown(name: &str) -> Response<Body> {
    refused(StatusCode::NOT_FOUND, "ResourceNotFoundException", &format!("Function not found: {name}"))
}

async fn invoke(function: &Arc<Function>, request: Request<Incoming>) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let event = match read(body).await {
        Ok(event) => event,
        Err(reason) => return too_large(&reason),
    };
    match header(&parts.headers, "x-amz-invocation-type") {
        "DryRun" => return respond::message(StatusCode::NO_CONTENT, ""),
        "Event" => {
            let function = function.clone();
            tokio::spawn(async move { function.invoke(event).await });
            return respond::message(StatusCode::ACCEPTED, "");
        }
        _ => {}
    }
    let whole = is_from_emulator(&parts.headers) && is_stream_batch(&event);
    let mut response = match function.invoke(event).await {
        // MiniStack treats every answer to a batch of a stream as success. To get the failed part delivered
        // again, the whole batch must fail.
        Ok(Reply::Buffered(payload)) if whole && reports_failures(&payload) => {
            let mut response = Response::new(full(payload));
            *response.status_mut() = StatusCode::BAD_GATEWAY;
            response
        }
        Ok(Reply::Buffered(payload)) => Response::new(full(payload)),
        // Invoke does not stream: the caller gets the whole payload at the end.
        Ok(Reply::Stream(mut stream)) => {
            let mut all = Vec::new();
            while let Some(chunk) = stream.next().await {
                match chunk {
                    Ok(chunk) => all.extend_from_slice(&chunk),
                    Err(cut) => {
                        return refused(StatusCode::BAD_GATEWAY, "ServiceException", &cut.to_string());
                    }
                }
            }
            Response::new(full(all))
        }
        Ok(Reply::Error(error)) => function_error(error, &parts.headers),
        Err(refusal) => return not_accepted(refusal),
    };
    response.headers_mut().insert("x-amz-executed-version", HeaderValue::from_static("$LATEST"));
    response
}

fn function_error(error: FunctionError, headers: &HeaderMap) -> Response<Body> {
    let mut response = Response::new(full(error.payload));
    response.headers_mut().insert("x-amz-function-error", HeaderValue::from_static("Unhandled"));
    // MiniStack recognises failures only by the status. Without it a failed batch of queue messages would
    // count as done.
    if is_from_emulator(headers) {
        *response.status_mut() = StatusCode::BAD_GATEWAY;
    }
    response
}

/// Returns `true` for requests of MiniStack: only it sends this header.
fn is_from_emulator(headers: &HeaderMap) -> bool {
    headers.contains_key("x-amzn-lambda-function-name")
}

fn is_stream_batch(event: &[u8]) -> bool {
    serde_json::from_slice::<Value>(event)
        .is_ok_and(|event| event["Records"][0]["eventSource"] == "aws:dynamodb")
}

fn reports_failures(answer: &[u8]) -> bool {
    serde_json::from_slice::<Value>(answer).is_ok_and(|answer| {
        answer["batchItemFailures"].as_array().is_some_and(|failures| !failures.is_empty())
    })
}

async fn invoke_streaming(function: &Arc<Function>, request: Request<Incoming>) -> Response<Body> {
    let event = match read(request.into_body()).await {
        Ok(event) => event,
        Err(reason) => return too_large(&reason),
    };
    let frames = match function.invoke(event).await {
        Ok(Reply::Buffered(payload)) => eventstream::Frames::of(payload),
        Ok(Reply::Stream(stream)) => eventstream::Frames::from(stream),
        Ok(Reply::Error(error)) => eventstream::Frames::failed(&error),
        Err(refusal) => return not_accepted(refusal),
    };
    let mut response = Response::new(frames.boxed_unsync());
    response
        .headers_mut()
        .insert("content-type", HeaderValue::from_static("application/vnd.amazon.eventstream"));
    response
}

async fn read(body: Incoming) -> Result<Bytes, String> {
    Limited::new(body, EVENT_LIMIT)
        .collect()
        .await
        .map(|body| body.to_bytes())
        .map_err(|error| error.to_string())
}

fn too_large(reason: &str) -> Response<Body> {
    refused(StatusCode::PAYLOAD_TOO_LARGE, "RequestTooLargeException", reason)
}

fn not_accepted(refusal: Refusal) -> Response<Body> {
    match refusal {
        Refusal::Throttled => {
            refused(StatusCode::TOO_MANY_REQUESTS, "TooManyRequestsException", "Rate Exceeded.")
        }
        Refusal::Stopping => {
            refused(StatusCode::SERVICE_UNAVAILABLE, "ServiceException", &refusal.to_string())
        }
    }
}

fn refused(status: StatusCode, kind: &'static str, message: &str) -> Response<Body> {
    let mut response = respond::json(status, &json!({"Type": "User", "message": message}));
    response.headers_mut().insert("x-amzn-errortype", HeaderValue::from_static(kind));
    response
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}
