//! A proxy in front of an emulator of DynamoDB. It adds what emulators leave out: conflicts, throttling, lost answers,
//! late index entries, and the limits that they do not enforce.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header, request::Parts, response};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioIo},
};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};

use super::{
    AnsweredRequest, CapacityObserver, Fault, Faults,
    late::{self, Entry, Late},
    limits,
    operation::Operation,
    refusal::{self, Refusal},
    with_capacity,
};

/// Time for which a request stays open without an answer, longer than any caller waits.
const SILENCE: Duration = Duration::from_secs(30);

type Answer = Response<Full<Bytes>>;

/// The connection ends without an answer.
#[derive(Debug, thiserror::Error)]
#[error("the request gets no answer")]
struct Unanswered;

struct Proxy {
    database: String,
    client: Client<HttpConnector, Full<Bytes>>,
    faults: Faults,
    late: Late,
    observer: CapacityObserver,
}

/// Starts the proxy in front of the database at this URL, for as long as the tokio runtime lives. Returns its address. The
/// observer receives the requests that reach the database.
///
/// # Errors
/// If no loopback port is free.
pub async fn serve(
    database: &str,
    faults: Faults,
    observer: CapacityObserver,
) -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let proxy = Arc::new(Proxy {
        database: database.trim_end_matches('/').to_owned(),
        client: Client::builder(TokioExecutor::new()).build(connector),
        faults,
        late: Late::default(),
        observer,
    });
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(connection(client, proxy.clone()));
        }
    });
    Ok(address)
}

async fn connection(client: TcpStream, proxy: Arc<Proxy>) {
    // Without the option answers only wait longer.
    let _ = client.set_nodelay(true);
    let service = service_fn(move |request: Request<Incoming>| {
        let proxy = proxy.clone();
        async move {
            let (parts, body) = request.into_parts();
            let body = body.collect().await.map_err(|_| Unanswered)?.to_bytes();
            // In a task of its own, because DynamoDB completes what it has received also if its client leaves.
            let answer = tokio::spawn(async move { proxy.answer(parts, body).await });
            answer.await.unwrap_or(Err(Unanswered))
        }
    });
    // The end of the connection is a lost answer to the client.
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(client), service).await;
}

impl Proxy {
    async fn answer(&self, parts: Parts, body: Bytes) -> Result<Answer, Unanswered> {
        let operation = Operation::of(&parts.headers);
        let fault = self.faults.next(operation);
        let refused = match fault {
            Fault::LostRequest => return Err(Unanswered),
            Fault::Contention => Some(refusal::contention(operation, &parsed(&body))),
            Fault::Throttled => Some(refusal::throttled(operation, &parsed(&body))),
            _ if operation == Operation::Transaction => limits::check_transaction(&body),
            _ => None,
        };
        if let Some(refusal) = refused {
            return Ok(refused_as(refusal));
        }
        let answer = match operation {
            Operation::BatchRead => self.read_batch(&parts, body, fault).await?,
            _ => self.execute(&parts, body).await?,
        };
        match fault {
            Fault::LostAnswer => Err(Unanswered),
            Fault::InternalError => Ok(refused_as(refusal::internal_error())),
            Fault::Silence => {
                tokio::time::sleep(SILENCE).await;
                Err(Unanswered)
            }
            _ => Ok(answer),
        }
    }

    /// Reads a batch. Leaves some of its keys if that is the fault, or if the answer would be too large.
    async fn read_batch(&self, parts: &Parts, body: Bytes, fault: Fault) -> Result<Answer, Unanswered> {
        let mut answer = None;
        if fault != Fault::Unprocessed {
            let whole = self.forward(parts, body.clone()).await?;
            if !limits::is_too_large(&whole.1) {
                return Ok(answered(whole));
            }
            answer = Some(whole);
        }
        let mut request = parsed(&body);
        let mut left = Vec::new();
        while answer.as_ref().is_none_or(|(_, body)| limits::is_too_large(body)) {
            let Some((first, rest)) = limits::split(&request) else { break };
            left.push(rest);
            request = first;
            answer = Some(self.forward(parts, request.to_string().into()).await?);
        }
        let (head, answer) = match answer {
            Some(answer) => answer,
            None => self.forward(parts, body).await?,
        };
        let mut answer = parsed(&answer);
        left.into_iter().for_each(|rest| limits::leave(&mut answer, rest));
        Ok(answered((head, answer.to_string().into())))
    }

    /// Executes a request. While index entries are late, notes what it writes and corrects what it reads.
    async fn execute(&self, parts: &Parts, body: Bytes) -> Result<Answer, Unanswered> {
        let delay = self.faults.index_delay();
        if delay.is_zero() {
            self.late.clear();
            return Ok(answered(self.forward(parts, body).await?));
        }
        let operation = Operation::of(&parts.headers);
        if operation == Operation::Other {
            return Ok(answered(self.forward(parts, body).await?));
        }
        let request = parsed(&body);
        if operation == Operation::Read {
            let (head, answer) = self.forward(parts, body).await?;
            if !request["IndexName"].is_string() || head.status != StatusCode::OK {
                return Ok(answered((head, answer)));
            }
            let mut answer = parsed(&answer);
            self.late.correct(&request, &mut answer);
            return Ok(answered((head, answer.to_string().into())));
        }
        let keys = late::written(&request);
        let before = self.entries(parts, &keys).await?;
        let answer = self.forward(parts, body).await?;
        let after = self.entries(parts, &keys).await?;
        for (((_, key), before), after) in keys.iter().zip(before).zip(after) {
            self.late.note(key, before, &after, delay);
        }
        Ok(answered(answer))
    }

    /// Reads the index entries of items.
    async fn entries(&self, parts: &Parts, keys: &[(Value, Value)]) -> Result<Vec<Entry>, Unanswered> {
        let Some((table, _)) = keys.first() else { return Ok(Vec::new()) };
        let mut parts = parts.clone();
        parts.headers.insert("x-amz-target", HeaderValue::from_static("DynamoDB_20120810.BatchGetItem"));
        let wanted: Vec<&Value> = keys.iter().map(|(_, key)| key).collect();
        let table = table.as_str().unwrap_or_default();
        let get = json!({"RequestItems": {table: {"Keys": wanted, "ConsistentRead": true}}});
        let (_, answer) = self.forward(&parts, get.to_string().into()).await?;
        let found = parsed(&answer);
        let items = found["Responses"][table].as_array().cloned().unwrap_or_default();
        let is_at = |item: &Value, key: &Value| item["pk"] == key["pk"] && item["sk"] == key["sk"];
        let entry = |(_, key): &(Value, Value)| {
            late::entry_of(items.iter().find(|item| is_at(item, key)).unwrap_or(&Value::Null))
        };
        Ok(keys.iter().map(entry).collect())
    }

    /// Sends a request to the database, and shows it to the observer with its answer.
    async fn forward(&self, parts: &Parts, body: Bytes) -> Result<(response::Parts, Bytes), Unanswered> {
        if !self.observer.is_active() {
            return self.send(parts, body).await;
        }
        let sent = Instant::now();
        let (head, answer) = self.send(parts, with_capacity(&body).into()).await?;
        let target = parts.headers.get("x-amz-target").and_then(|target| target.to_str().ok());
        self.observer.observe(AnsweredRequest {
            operation: target.and_then(|target| target.split_once('.')).map_or("", |(_, name)| name),
            request: &body,
            is_ok: head.status.is_success(),
            answer: &answer,
            took: sent.elapsed(),
        });
        Ok((head, answer))
    }

    async fn send(&self, parts: &Parts, body: Bytes) -> Result<(response::Parts, Bytes), Unanswered> {
        let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
        let mut request =
            Request::builder().method(parts.method.clone()).uri(format!("{}{path}", self.database));
        if let Some(headers) = request.headers_mut() {
            *headers = parts.headers.clone();
            // The body may be another one. Emulators do not check signatures.
            headers.remove(header::CONTENT_LENGTH);
        }
        let request = request.body(Full::new(body)).map_err(|_| Unanswered)?;
        let answer = self.client.request(request).await.map_err(|_| Unanswered)?;
        let (head, body) = answer.into_parts();
        let body = body.collect().await.map_err(|_| Unanswered)?.to_bytes();
        Ok((head, body))
    }
}

fn parsed(body: &Bytes) -> Value {
    serde_json::from_slice(body).unwrap_or_default()
}

/// The answer of the database, whose body may have been corrected.
fn answered((mut head, body): (response::Parts, Bytes)) -> Answer {
    for name in ["transfer-encoding", "content-length", "x-amz-crc32"] {
        head.headers.remove(name);
    }
    Response::from_parts(head, Full::new(body))
}

fn refused_as((status, body): Refusal) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(body.to_string())));
    *answer.status_mut() = status;
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-amz-json-1.0"));
    answer
}
