//! The Lambda Runtime API (2018-06-01), and the part of the Extensions API that `graceful-shutdown` of
//! `lambda_runtime` needs. Each instance has a port of its own.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::net::TcpStream;

use super::config::Config;
use super::instance::{Delivery, Instance};
use super::pool::Pool;
use super::reply::{FunctionError, Pump, Reply, Stream};
use crate::request_id;

/// Lambda's limit for a buffered response.
const RESPONSE_LIMIT: usize = 6 * 1024 * 1024;
/// Error reports are small.
const ERROR_LIMIT: usize = 256 * 1024;

const PREFIX: &str = "/2018-06-01/runtime/";

type Answer = Response<Full<Bytes>>;

/// Serves one connection of the instance until either side closes it.
pub(super) async fn serve(stream: TcpStream, instance: Arc<Instance>, pool: Arc<Pool>) {
    let _ = stream.set_nodelay(true);
    let service = hyper::service::service_fn(move |request| {
        let instance = instance.clone();
        let pool = pool.clone();
        async move { Ok::<_, std::convert::Infallible>(handle(request, &instance, &pool).await) }
    });
    // An error here means that the process has ended, which the supervisor notices itself.
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

async fn handle(request: Request<Incoming>, instance: &Arc<Instance>, pool: &Pool) -> Answer {
    let path = request.uri().path().to_owned();
    let Some(operation) = path.strip_prefix(PREFIX) else {
        return extension(request.method(), &path, pool.config()).await;
    };
    let parts: Vec<&str> = operation.split('/').collect();
    match (request.method(), parts.as_slice()) {
        (&Method::GET, ["invocation", "next"]) => invocation(pool.next(instance).await, pool.config()),
        (&Method::POST, ["invocation", id, "response"]) => response(request, id, instance, pool).await,
        (&Method::POST, ["invocation", id, "error"]) => {
            if !instance.awaits(id) {
                return unknown_request(id);
            }
            let payload = error_payload(request).await;
            pool.finish(instance, id, Some(Reply::Error(FunctionError::reported(payload))));
            accepted()
        }
        (&Method::POST, ["init", "error"]) => {
            instance.init_failed(error_payload(request).await);
            accepted()
        }
        _ => refuse(StatusCode::NOT_FOUND, "NotFound", "no such operation"),
    }
}

fn invocation(delivery: Delivery, config: &Config) -> Answer {
    Response::builder()
        .header("content-type", "application/json")
        .header("lambda-runtime-aws-request-id", delivery.request_id)
        .header("lambda-runtime-deadline-ms", delivery.deadline_ms.to_string())
        .header("lambda-runtime-invoked-function-arn", config.arn())
        .header("lambda-runtime-trace-id", delivery.trace_id)
        .body(Full::new(delivery.event))
        .unwrap_or_else(|e| refuse(StatusCode::INTERNAL_SERVER_ERROR, "Internal", &e.to_string()))
}

async fn response(request: Request<Incoming>, id: &str, instance: &Instance, pool: &Pool) -> Answer {
    if !instance.awaits(id) {
        return unknown_request(id);
    }
    let (parts, body) = request.into_parts();
    let streaming = text(&parts.headers, "lambda-runtime-function-response-mode") == Some("streaming");
    if streaming {
        let content_type = text(&parts.headers, "content-type").unwrap_or("application/octet-stream");
        let (pump, stream) = Stream::new(content_type.to_owned());
        if !instance.begin(id, Reply::Stream(stream)) {
            return unknown_request(id);
        }
        let whole = pass_on(body, &pump).await;
        pool.finish(instance, id, None);
        match whole {
            Ok(()) => pump.complete(),
            Err(reason) => pool.config().logs.line(&pool.config().logical_id, &reason),
        }
        return accepted();
    }
    match Limited::new(body, RESPONSE_LIMIT).collect().await {
        Ok(body) => {
            pool.finish(instance, id, Some(Reply::Buffered(body.to_bytes())));
            accepted()
        }
        Err(error) if error.is::<http_body_util::LengthLimitError>() => {
            let message = format!(
                "Response payload size exceeded maximum allowed payload size ({RESPONSE_LIMIT} bytes)."
            );
            let error = FunctionError::platform("Function.ResponseSizeTooLarge", id, &message);
            pool.finish(instance, id, Some(Reply::Error(error)));
            refuse(StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLarge", &message)
        }
        // The connection broke: the process is ending, and the supervisor will settle the invocation.
        Err(error) => refuse(StatusCode::BAD_REQUEST, "BadRequest", &error.to_string()),
    }
}

/// Forwards a streamed body chunk by chunk, to its end even if its reader has left: as on Lambda, a function
/// does not learn that its client has disconnected.
async fn pass_on(mut body: Incoming, pump: &Pump) -> Result<(), String> {
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| format!("the streamed response broke off: {error}"))?;
        if let Some(trailers) = frame.trailers_ref() {
            // The runtime's report of an error after the response has begun.
            if let Some(kind) = text(trailers, "lambda-runtime-function-error-type") {
                return Err(format!("the streamed response ended with {kind}"));
            }
        }
        if let Ok(data) = frame.into_data() {
            pump.send(data).await;
        }
    }
    Ok(())
}

async fn extension(method: &Method, path: &str, config: &Config) -> Answer {
    match (method, path) {
        (&Method::POST, "/2020-01-01/extension/register") => {
            let body = json!({
                "functionName": config.name,
                "functionVersion": "$LATEST",
                "handler": "bootstrap",
                "accountId": "000000000000",
            });
            let mut answer = Response::new(Full::new(Bytes::from(body.to_string())));
            if let Ok(id) = request_id().parse() {
                answer.headers_mut().insert("lambda-extension-identifier", id);
            }
            answer
        }
        // Internal extensions receive no events. Their end is announced by SIGTERM.
        (&Method::GET, "/2020-01-01/extension/event/next") => std::future::pending().await,
        _ => refuse(StatusCode::NOT_FOUND, "NotFound", "no such operation"),
    }
}

async fn error_payload(request: Request<Incoming>) -> Bytes {
    let fallback =
        || Bytes::from_static(br#"{"errorType":"Runtime.Unknown","errorMessage":"unreadable error report"}"#);
    Limited::new(request.into_body(), ERROR_LIMIT)
        .collect()
        .await
        .map_or_else(|_| fallback(), |body| body.to_bytes())
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn accepted() -> Answer {
    status(StatusCode::ACCEPTED, &json!({"status": "OK"}))
}

fn unknown_request(id: &str) -> Answer {
    refuse(StatusCode::BAD_REQUEST, "InvalidRequestID", &format!("invocation {id} is not running here"))
}

fn refuse(code: StatusCode, kind: &str, message: &str) -> Answer {
    status(code, &json!({"errorType": kind, "errorMessage": message}))
}

fn status(code: StatusCode, body: &serde_json::Value) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(body.to_string())));
    *answer.status_mut() = code;
    answer
}
