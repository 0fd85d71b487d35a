//! A real Lambda function for the tests of the execution environment. The query selects its action:
//! `do=echo|fail|exit|gate|leave|call`. A call goes to AWS, with the function's credentials. A gate is a TCP address through which the test controls it line by line, so that
//! no test depends on time. If its name contains `Stream`, it streams.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use lambda_http::http::{Response, StatusCode};
use lambda_http::request::RequestContext;
use lambda_http::{Body, Error, Request, RequestExt, run, run_with_streaming_response, service_fn};
use sequent_local::aws::Endpoint;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

#[tokio::main]
async fn main() -> Result<(), Error> {
    if std::env::var("PROBE_INIT").as_deref() == Ok("fail") {
        eprintln!("asked to fail during init");
        std::process::exit(7);
    }
    if std::env::var("AWS_LAMBDA_FUNCTION_NAME").is_ok_and(|name| name.contains("Stream")) {
        run_with_streaming_response(service_fn(stream)).await
    } else {
        run(service_fn(buffered)).await
    }
}

fn parameter(request: &Request, name: &str) -> Option<String> {
    request.query_string_parameters_ref()?.first(name).map(str::to_owned)
}

/// Returns the request id of the event.
fn gateway_id(request: &Request) -> Option<String> {
    match request.request_context_ref()? {
        RequestContext::ApiGatewayV2(context) => context.request_id.clone(),
        _ => None,
    }
}

async fn buffered(request: Request) -> Result<Response<Body>, Error> {
    match parameter(&request, "do").as_deref() {
        Some("fail") => return Err("asked to fail".into()),
        Some("exit") => std::process::exit(3),
        Some("gate") => {
            let mut gate = Gate::open(&request).await?;
            while gate.line().await.is_some() {}
        }
        Some("call") => {
            let answer = Response::builder().header("content-type", "application/json");
            return Ok(answer.body(Body::from(call(&request).await))?);
        }
        // Leaves a task that goes on after the answer.
        Some("leave") => {
            let mut gate = Gate::open(&request).await?;
            tokio::spawn(async move {
                while gate.acknowledge().await.is_ok() {
                    tokio::time::sleep(std::time::Duration::from_millis(1)).await;
                }
            });
        }
        _ => {}
    }
    let seen = serde_json::json!({
        "pid": std::process::id(),
        "invocation": request.lambda_context_ref().map(|context| &context.request_id),
        "request_id": gateway_id(&request),
        "method": request.method().as_str(),
        "path": request.uri().path(),
        "id": request.path_parameters_ref().and_then(|p| p.first("id")),
        "host": request.headers().get("x-forwarded-host").and_then(|v| v.to_str().ok()),
        "viewer": request.headers().get("x-viewer-ip").and_then(|v| v.to_str().ok()),
        "greeting": std::env::var("GREETING").ok(),
        "home": std::env::var("HOME").ok(),
        "body": String::from_utf8_lossy(request.body()),
    });
    let response = Response::builder().status(StatusCode::OK).header("content-type", "application/json");
    Ok(response.header("set-cookie", "a=1").header("set-cookie", "b=2").body(Body::from(seen.to_string()))?)
}

/// Calls the target with the body of the request. Returns the answer, or `{"code", "message"}` of the refusal.
async fn call(request: &Request) -> String {
    let endpoint = Endpoint::from_env(&std::env::var("AWS_ENDPOINT_URL").unwrap_or_default());
    let service = parameter(request, "service").unwrap_or_default();
    let target = parameter(request, "target").unwrap_or_default();
    let body = serde_json::from_slice(request.body()).unwrap_or_default();
    match endpoint.json(&service, &target, &body).await {
        Ok(answer) => answer.to_string(),
        Err(error) => serde_json::json!({"code": error.code(), "message": error.to_string()}).to_string(),
    }
}

async fn stream(request: Request) -> Result<Response<Chunks>, Error> {
    let mut gate = Gate::open(&request).await?;
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(async move {
        while let Some(line) = gate.line().await {
            if sender.send(line).await.is_err() {
                return;
            }
            // Reports to the test that the chunk was taken.
            if gate.acknowledge().await.is_err() {
                return;
            }
        }
    });
    let response = Response::builder().header("content-type", "text/event-stream");
    let ids = [
        Some(request.lambda_context_ref().map_or("", |context| &context.request_id).to_owned()),
        gateway_id(&request),
    ];
    let response = response.header("x-ids", ids.map(Option::unwrap_or_default).join(" "));
    Ok(response.header("x-pid", std::process::id().to_string()).body(Chunks(receiver))?)
}

struct Chunks(mpsc::Receiver<String>);

impl http_body::Body for Chunks {
    type Data = bytes::Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Self::Data>, Self::Error>>> {
        self.0.poll_recv(cx).map(|line| line.map(|line| Ok(http_body::Frame::data(line.into()))))
    }
}

/// The connection through which the test controls this invocation.
struct Gate(BufReader<TcpStream>);

impl Gate {
    async fn open(request: &Request) -> Result<Self, Error> {
        let address = parameter(request, "gate").ok_or("no gate")?;
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(format!("{}\n", std::process::id()).as_bytes()).await?;
        Ok(Self(BufReader::new(stream)))
    }

    /// Reads the next line. Returns `None` if the test has closed the gate.
    async fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        let read = self.0.read_line(&mut line).await.ok()?;
        (read > 0).then_some(line)
    }

    async fn acknowledge(&mut self) -> std::io::Result<()> {
        self.0.get_mut().write_all(b"+\n").await
    }
}
