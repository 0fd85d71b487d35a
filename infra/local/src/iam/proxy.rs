//! The proxy between the functions and the emulator. It carries out what the caller's role allows.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::answer;
use super::denials::Denials;
use super::request::{Need, Signed, Unknown, World, to_know_that_it_is_missing};
use super::roles::{Role, Roles};
use super::used::Used;
use crate::aws::Endpoint;
use crate::respond::{Body, full};
use crate::runtime::Cut;

/// Longest time for which a connection is kept. The emulator closes it after 75 seconds, maybe just when it is used again.
const IDLE: Duration = Duration::from_secs(60);

type Upload = UnsyncBoxBody<Bytes, hyper::Error>;

/// The connection ends without an answer, as the database in front of which this stands may do.
#[derive(Debug, thiserror::Error)]
#[error("the request gets no answer")]
struct Unanswered;

/// A proxy in front of an emulator.
pub(super) struct Proxy {
    emulator: String,
    database: String,
    /// The access key of the emulator's owner, whose requests are not judged.
    root: String,
    roles: Roles,
    world: World,
    /// Logical ids of functions by access key.
    functions: BTreeMap<String, String>,
    client: Client<HttpConnector, Upload>,
    denials: Denials,
    used: Used,
}

/// A function whose request is judged.
#[derive(Clone, Copy)]
struct Judged<'a> {
    role: &'a Role,
    by_link: bool,
}

impl Proxy {
    pub(super) fn new(
        emulator: &Endpoint,
        roles: Roles,
        world: World,
        functions: BTreeMap<String, String>,
        denials: Denials,
        used: Used,
    ) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        Self {
            emulator: emulator.url().to_owned(),
            database: emulator.database_url().to_owned(),
            root: emulator.key_id().to_owned(),
            roles,
            world,
            functions,
            client: Client::builder(TokioExecutor::new())
                .pool_timer(TokioTimer::new())
                .pool_idle_timeout(IDLE)
                .build(connector),
            denials,
            used,
        }
    }

    /// Serves until the task is aborted, which also closes the connections.
    pub(super) async fn serve(self, listener: TcpListener) {
        let proxy = Arc::new(self);
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                accepted = listener.accept() => if let Ok((stream, _)) = accepted {
                    connections.spawn(connection(stream, proxy.clone()));
                },
                Some(_) = connections.join_next() => {}
            }
        }
    }

    async fn answer(&self, request: Request<Incoming>) -> Result<Response<Body>, Unanswered> {
        let (parts, body) = request.into_parts();
        // Browsers ask S3 for its CORS rules without credentials.
        if parts.method == Method::OPTIONS {
            return self.forward("s3", &parts, body.boxed_unsync()).await;
        }
        // Functions sign their requests, so others are no fault of a role.
        let Some(signed) = Signed::of(&parts) else { return Ok(answer::unsigned()) };
        let service = signed.service.as_str();
        if signed.key_id == self.root {
            return self.forward(service, &parts, body.boxed_unsync()).await;
        }
        let function = self.functions.get(&signed.key_id);
        let Some(role) = function.and_then(|function| self.roles.of(function)) else {
            return Ok(answer::unrecognized(service));
        };
        let caller = Judged { role, by_link: signed.by_link };
        // What a request to S3 needs is in its head, and its body may be large.
        if service == "s3" {
            return match self.judge(caller, service, &parts, &Bytes::new()) {
                Ok(()) => self.object(caller, &parts, body.boxed_unsync()).await,
                Err(message) => Ok(without_body(&parts.method, answer::denied(service, &message))),
            };
        }
        let body = body.collect().await.map_err(|_| Unanswered)?.to_bytes();
        match self.judge(caller, service, &parts, &body) {
            Ok(()) => self.forward(service, &parts, whole(body)).await,
            Err(message) => Ok(answer::denied(service, &message)),
        }
    }

    /// Returns the message of a denial if the role does not allow everything that the request needs.
    fn judge(&self, caller: Judged<'_>, service: &str, parts: &Parts, body: &Bytes) -> Result<(), String> {
        match self.world.needs(service, parts, body) {
            Ok(needs) => needs.iter().try_for_each(|need| self.allow(caller, need)),
            Err(Unknown { action, reason }) => {
                let why = format!("{reason}; name what it needs in infra/local/src/iam/request");
                self.note_denial(caller, format!("{action}: {why}"));
                Err(format!("User: {} is not authorized to perform: {action} ({why})", caller.role.caller))
            }
        }
    }

    fn allow(&self, caller: Judged<'_>, need: &Need) -> Result<(), String> {
        match self.roles.decide(caller.role, need) {
            Ok(permissions) => {
                self.used.note(permissions);
                Ok(())
            }
            Err(reason) => {
                self.note_denial(caller, format!("{need} {:?}", need.circumstances));
                Err(answer::message(&caller.role.caller, &need.action, &need.resource, reason))
            }
        }
    }

    /// Notes a denial as a fault of the role. The holder of a link may have changed it, so its denial is no such fault.
    fn note_denial(&self, caller: Judged<'_>, what: String) {
        if !caller.by_link {
            self.denials.add(format!("{} {what}", caller.role.function));
        }
    }

    /// Carries out a request to S3. A caller that may not list the bucket does not learn that an object is missing.
    async fn object(
        &self,
        caller: Judged<'_>,
        parts: &Parts,
        body: Upload,
    ) -> Result<Response<Body>, Unanswered> {
        let response = self.forward("s3", parts, body).await?;
        let missing = response.status() == StatusCode::NOT_FOUND;
        let need = missing.then(|| to_know_that_it_is_missing(parts)).flatten();
        match need.map(|need| self.allow(caller, &need)) {
            Some(Err(message)) => Ok(without_body(&parts.method, answer::denied("s3", &message))),
            _ => Ok(response),
        }
    }

    async fn forward(
        &self,
        service: &str,
        parts: &Parts,
        body: Upload,
    ) -> Result<Response<Body>, Unanswered> {
        let to = if service == "dynamodb" { &self.database } else { &self.emulator };
        let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
        let mut request = Request::builder().method(parts.method.clone()).uri(format!("{to}{path}"));
        if let Some(headers) = request.headers_mut() {
            // The host too, because the signature of a link covers it.
            *headers = parts.headers.clone();
            headers.remove(header::CONNECTION);
        }
        let request = request.body(body).map_err(|_| Unanswered)?;
        let (mut head, body) = self.client.request(request).await.map_err(|_| Unanswered)?.into_parts();
        remove_hop_by_hop(&mut head.headers);
        Ok(Response::from_parts(head, body.map_err(|_| Cut).boxed_unsync()))
    }
}

async fn connection(stream: TcpStream, proxy: Arc<Proxy>) {
    // Without the option answers only wait longer.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request: Request<Incoming>| {
        let proxy = proxy.clone();
        // In a task of its own, because AWS completes what it has received also if its client leaves.
        let answer = tokio::spawn(async move { proxy.answer(request).await });
        async move { answer.await.unwrap_or(Err(Unanswered)) }
    });
    // The end of the connection is a lost answer to the client.
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

fn whole(body: Bytes) -> Upload {
    Full::new(body).map_err(|never| match never {}).boxed_unsync()
}

/// S3 answers a refused HEAD request with the status alone.
fn without_body(method: &Method, mut response: Response<Body>) -> Response<Body> {
    if method == Method::HEAD {
        *response.body_mut() = full(Bytes::new());
    }
    response
}

fn remove_hop_by_hop(headers: &mut HeaderMap) {
    headers.remove(header::CONNECTION);
    headers.remove(header::TRANSFER_ENCODING);
}
