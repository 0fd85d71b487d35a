//! A versioned S3 bucket that is served in process over a real socket and reached through the real SDK: the
//! operations and conditions that artifacts use.

use std::{
    collections::{BTreeMap, HashMap},
    convert::Infallible,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use http_body_util::{BodyExt, Full};
use hyper::{
    Method, Request, Response, StatusCode, body::Bytes, body::Incoming, server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use sha2::{Digest as _, Sha256};
use tokio::net::TcpListener;

use super::config;
use crate::Bucket;

const NAME: &str = "artifacts";

/// The objects in the bucket.
#[derive(Debug, Clone, Default)]
pub struct Objects(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// The versions of each key, oldest first.
    objects: BTreeMap<String, Vec<Version>>,
    /// Number of versions that were ever put.
    puts: usize,
}

#[derive(Debug, Clone)]
struct Version {
    id: String,
    media_type: String,
    bytes: Bytes,
}

impl Objects {
    /// The keys of all objects, in order.
    #[must_use]
    pub fn keys(&self) -> Vec<String> {
        self.state().objects.keys().cloned().collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (head, body) = request.into_parts();
        let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
        let key = head.uri.path().trim_start_matches('/').trim_start_matches(NAME).trim_start_matches('/');
        let query = query(head.uri.query().unwrap_or_default());
        let header = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok());
        match head.method {
            Method::PUT => {
                let checksum =
                    header("x-amz-checksum-sha256").or(query.get("x-amz-checksum-sha256").map(|v| &**v));
                let is_insert = header("if-none-match") == Some("*");
                self.put(key, checksum, is_insert, header("content-type").unwrap_or_default(), body)
            }
            Method::HEAD => self.get(key, &query, false),
            Method::GET => self.get(key, &query, true),
            Method::DELETE => self.delete(key, query.get("versionId").map(String::as_str)),
            _ => failed(StatusCode::NOT_IMPLEMENTED, "NotImplemented"),
        }
    }

    fn put(
        &self,
        key: &str,
        checksum: Option<&str>,
        is_insert: bool,
        media_type: &str,
        bytes: Bytes,
    ) -> Response<Full<Bytes>> {
        let mut state = self.state();
        if is_insert && state.objects.contains_key(key) {
            return failed(StatusCode::PRECONDITION_FAILED, "PreconditionFailed");
        }
        if checksum.is_some_and(|checksum| checksum != sha256(&bytes)) {
            return failed(StatusCode::BAD_REQUEST, "BadDigest");
        }
        state.puts += 1;
        let version =
            Version { id: format!("version-{}", state.puts), media_type: media_type.to_owned(), bytes };
        let response = Response::builder().header("x-amz-version-id", &version.id);
        state.objects.entry(key.to_owned()).or_default().push(version);
        response.body(Full::default()).expect("the headers are valid")
    }

    fn get(&self, key: &str, query: &HashMap<String, String>, with_body: bool) -> Response<Full<Bytes>> {
        let Some(version) = self.state().objects.get(key).and_then(|versions| versions.last()).cloned()
        else {
            return failed(StatusCode::NOT_FOUND, "NoSuchKey");
        };
        let media_type = query.get("response-content-type").unwrap_or(&version.media_type);
        let mut response = Response::builder()
            .header("content-type", media_type)
            .header("content-length", version.bytes.len())
            .header("x-amz-checksum-sha256", sha256(&version.bytes))
            .header("x-amz-version-id", &version.id);
        if let Some(disposition) = query.get("response-content-disposition") {
            response = response.header("content-disposition", disposition);
        }
        let body = if with_body { Full::new(version.bytes) } else { Full::default() };
        response.body(body).expect("the headers are valid")
    }

    fn delete(&self, key: &str, version: Option<&str>) -> Response<Full<Bytes>> {
        let mut state = self.state();
        if let Some(versions) = state.objects.get_mut(key) {
            versions.retain(|known| Some(known.id.as_str()) != version);
        }
        state.objects.retain(|_, versions| !versions.is_empty());
        Response::builder().status(StatusCode::NO_CONTENT).body(Full::default()).expect("the status is valid")
    }
}

/// Starts an empty bucket that lives as long as the current tokio runtime.
///
/// # Panics
/// Panics if no loopback port is free.
pub async fn bucket() -> (Bucket, Objects) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a loopback port is free");
    let address = listener.local_addr().expect("a bound socket has an address");
    let objects = Objects::default();
    tokio::spawn(serve(listener, objects.clone()));
    (Bucket::new(&config(&format!("http://{address}")), NAME), objects)
}

async fn serve(listener: TcpListener, objects: Objects) {
    while let Ok((stream, _)) = listener.accept().await {
        let objects = objects.clone();
        let service = service_fn(move |request| {
            let objects = objects.clone();
            async move { Ok::<_, Infallible>(objects.answer(request).await) }
        });
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

fn failed(status: StatusCode, code: &str) -> Response<Full<Bytes>> {
    let body = format!("<Error><Code>{code}</Code><Message>{code}</Message></Error>");
    let response = Response::builder().status(status).header("content-type", "application/xml");
    response.body(Full::new(body.into())).expect("the headers are valid")
}

fn sha256(bytes: &[u8]) -> String {
    STANDARD.encode(Sha256::digest(bytes))
}

fn query(text: &str) -> HashMap<String, String> {
    form_urlencoded::parse(text.as_bytes()).into_owned().collect()
}
