//! Cold starts: the time from starting a function's process to its first request for work, including its
//! warming calls. A minimal Runtime API with two responses is used, so that nothing else is timed.

use std::{
    convert::Infallible,
    net::Ipv4Addr,
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::Context;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::{net::TcpListener, process::Command, sync::mpsc};

use crate::{
    process,
    report::{Report, Row},
    sample::Sample,
    stack::{Stack, name},
};

const TARGET_MS: f64 = 15.0;
const TARGET_MB: f64 = 25.0;
/// Time limit for a start.
const GIVE_UP: Duration = Duration::from_secs(20);

struct Start {
    wall: Duration,
    cpu: Duration,
    memory: process::Memory,
}

/// Adds two rows for each function that has been built.
pub(crate) async fn measure(stack: &Stack, quick: bool, report: &mut Report) -> anyhow::Result<()> {
    for function in &stack.functions {
        let binary = stack.bin_dir.join(&function.binary);
        if !binary.exists() {
            report.skipped(&format!("{}: no binary", function.logical_id));
            continue;
        }
        let mut starts = Vec::new();
        for _ in 0..if quick { 5 } else { 21 } {
            let start = start(&binary, &stack.environment).await;
            starts.push(start.with_context(|| function.binary.clone())?);
        }
        let wall = Sample::new(starts.iter().map(|start| start.wall));
        let cpu = Sample::new(starts.iter().map(|start| start.cpu)).median();
        let memory = starts.last().map(|start| start.memory).unwrap_or_default();
        let name = name(function);
        report.add(
            Row::new(format!("cold start, {name}"), wall.median(), "ms")
                .at_most(TARGET_MS)
                .note(format!("{}; {cpu:.1} ms of it on the processor", wall.summary())),
        );
        let resident = mb(memory.resident);
        let anonymous = mb(memory.anonymous);
        report.add(
            Row::new(format!("resident when ready, {name}"), resident, "MB")
                .at_most(TARGET_MB)
                .note(format!("{anonymous:.1} MB allocated, the rest is the executable's pages")),
        );
    }
    Ok(())
}

/// Converts bytes to megabytes.
pub(crate) fn mb(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

async fn start(binary: &std::path::Path, environment: &[(String, String)]) -> anyhow::Result<Start> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?.to_string();
    let (ready, mut readies) = mpsc::channel(1);
    let serving = tokio::spawn(serve(listener, ready));
    let began = Instant::now();
    let mut child = Command::new(binary)
        .env_clear()
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .env("AWS_LAMBDA_RUNTIME_API", address)
        .env("AWS_LAMBDA_FUNCTION_NAME", "bench")
        .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
        .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "512")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    let pid = child.id().context("it ended at once")?;
    let at = tokio::select! {
        at = readies.recv() => at.context("the runtime API ended")?,
        status = child.wait() => anyhow::bail!("it ended before it asked for work: {}", status?),
        () = tokio::time::sleep(GIVE_UP) => anyhow::bail!("it never asked for work"),
    };
    let start = Start { wall: at - began, cpu: process::cpu(pid), memory: process::memory(pid) };
    child.kill().await?;
    serving.abort();
    Ok(start)
}

async fn serve(listener: TcpListener, ready: mpsc::Sender<Instant>) {
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let _ = stream.set_nodelay(true);
        let ready = ready.clone();
        let service = hyper::service::service_fn(move |request| answer(request, ready.clone()));
        let builder = hyper::server::conn::http1::Builder::new();
        connections.spawn(async move { builder.serve_connection(TokioIo::new(stream), service).await });
    }
}

async fn answer(
    request: Request<Incoming>,
    ready: mpsc::Sender<Instant>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let path = request.uri().path();
    if path.ends_with("/invocation/next") {
        let _ = ready.try_send(Instant::now());
        return std::future::pending().await;
    }
    if path.ends_with("/extension/event/next") {
        return std::future::pending().await;
    }
    // The response to the registration of an internal extension, which the shutdown handler needs.
    let registered = br#"{"functionName":"bench","functionVersion":"$LATEST","handler":"bootstrap"}"#;
    let mut response = Response::new(Full::new(Bytes::from_static(registered)));
    response.headers_mut().insert("lambda-extension-identifier", http::HeaderValue::from_static("bench"));
    Ok(response)
}
