//! The process that replaces AWS: DynamoDB by `dynoxide`, one secret, a queue that accepts and drops every
//! message, and a counter of usage.
//!
//! The functions use a single endpoint for all of AWS. Requests to DynamoDB pass through it unchanged unless
//! they are counted. The hop costs a fraction of a millisecond, which the reported time of a storage write
//! includes.

use std::{
    convert::Infallible,
    io::Write,
    net::Ipv4Addr,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioIo},
};
use sequent_tables::testing::with_capacity;
use serde_json::json;
use tokio::{io::AsyncReadExt, net::TcpListener};

use crate::usage::Usage;

/// `POST` begins a count, `GET` ends it.
pub(crate) const USAGE: &str = "/bench/usage";

type Answer = Response<Full<Bytes>>;

struct Endpoint {
    database: String,
    client: Client<HttpConnector, Full<Bytes>>,
    usage: Mutex<Option<Usage>>,
}

/// Prints the endpoint's address and serves until standard input is closed, which happens when the parent
/// ends.
pub(crate) async fn serve() -> anyhow::Result<()> {
    let database = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let front = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let endpoint = Arc::new(Endpoint {
        database: format!("http://{}/", database.local_addr()?),
        client: Client::builder(TokioExecutor::new()).build(connector),
        usage: Mutex::default(),
    });
    let address = front.local_addr()?;
    tokio::spawn(dynoxide::server::serve_on(database, dynoxide::Database::memory()?));
    tokio::spawn(accept(front, endpoint));
    writeln!(std::io::stdout(), "http://{address}")?;
    tokio::io::stdin().read_to_end(&mut Vec::new()).await?;
    Ok(())
}

async fn accept(listener: TcpListener, endpoint: Arc<Endpoint>) {
    while let Ok((stream, _)) = listener.accept().await {
        let _ = stream.set_nodelay(true);
        let endpoint = endpoint.clone();
        let service = hyper::service::service_fn(move |request| {
            let endpoint = endpoint.clone();
            async move {
                let answer = endpoint.answer(request).await;
                Ok::<_, Infallible>(
                    answer.unwrap_or_else(|error| status(StatusCode::BAD_GATEWAY, &error.to_string())),
                )
            }
        });
        // A closed connection is a function that ended.
        tokio::spawn(
            hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service),
        );
    }
}

impl Endpoint {
    async fn answer(&self, request: Request<Incoming>) -> anyhow::Result<Answer> {
        if request.uri().path() == USAGE {
            let counted = std::mem::take(&mut *self.usage());
            if request.method() == http::Method::POST {
                *self.usage() = Some(Usage::default());
            }
            return Ok(status(StatusCode::OK, &serde_json::to_string(&counted.unwrap_or_default())?));
        }
        let target =
            request.headers().get("x-amz-target").and_then(|value| value.to_str().ok()).unwrap_or_default();
        match target.split_once('.') {
            Some(("AmazonSQS", _)) => Ok(status(StatusCode::OK, &taken(request).await?.to_string())),
            Some((_, operation)) => {
                let operation = operation.to_owned();
                self.pass_on(request, &operation).await
            }
            None => Ok(status(StatusCode::NOT_FOUND, "{}")),
        }
    }

    async fn pass_on(&self, request: Request<Incoming>, operation: &str) -> anyhow::Result<Answer> {
        let counting = self.usage().is_some();
        let (mut parts, body) = request.into_parts();
        let mut body = body.collect().await?.to_bytes();
        if counting {
            body = with_capacity(&body).into();
            // The signature does not match any more, but `dynoxide` does not check it.
            parts.headers.remove(header::CONTENT_LENGTH);
        }
        parts.uri = self.database.parse()?;
        let began = Instant::now();
        let answer = self.client.request(Request::from_parts(parts, Full::new(body.clone()))).await?;
        let (mut parts, answer) = answer.into_parts();
        let answer = answer.collect().await?.to_bytes();
        if let Some(usage) = self.usage().as_mut().filter(|_| counting) {
            let took = began.elapsed().as_secs_f64() * 1e3;
            usage.add(operation, &body, parts.status.is_success(), &answer, took);
        }
        parts.headers.remove(header::TRANSFER_ENCODING);
        Ok(Response::from_parts(parts, Full::new(answer)))
    }

    fn usage(&self) -> std::sync::MutexGuard<'_, Option<Usage>> {
        self.usage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The secret that signs webhooks.
pub(crate) const WEBHOOK_SECRET: &str = "whsec_bench";

/// Returns the response to a batch of messages.
async fn taken(request: Request<Incoming>) -> anyhow::Result<serde_json::Value> {
    let batch: serde_json::Value = serde_json::from_slice(&request.into_body().collect().await?.to_bytes())?;
    let entries = batch["Entries"].as_array().into_iter().flatten();
    let taken = entries.map(|entry| json!({"Id": entry["Id"], "MessageId": "bench", "MD5OfMessageBody": ""}));
    Ok(json!({"Successful": taken.collect::<Vec<_>>(), "Failed": []}))
}

fn status(code: StatusCode, body: &str) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(body.to_owned())));
    *answer.status_mut() = code;
    let json = http::HeaderValue::from_static("application/x-amz-json-1.1");
    answer.headers_mut().insert(header::CONTENT_TYPE, json);
    answer
}
