//! The preview origin. It shows untrusted pages in a place where they can reach nothing.
//!
//! It has another origin than the API and no access to it: it reads no cookies and no tokens, sets nothing,
//! and its role can read objects and the key of its addresses only. The address alone decides what is shown. The
//! API sealed it.
//! [`sequent_artifacts::preview`] explains the measures that isolate a page.

use std::sync::{Arc, Mutex, PoisonError};

use axum::{
    Router,
    extract::{Path, State},
    response::{IntoResponse, Redirect, Response},
    routing::get,
};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use sequent_artifacts::{Bucket, Bundle, Digest, PreviewKeys, Previewed, preview};
use sequent_core::{TenantId, Timestamp};
use sequent_http::Problem;

/// Largest object in bytes that is not an archive.
const LARGEST: u64 = 32 << 20;
/// Denies the page every feature of the visitor's device.
const PERMISSIONS: &str = "accelerometer=(), camera=(), clipboard-read=(), display-capture=(), geolocation=(), gyroscope=(), \
                         hid=(), microphone=(), midi=(), payment=(), serial=(), usb=()";

/// The page around a previewed page.
const SHELL: &str = "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content=\"width=device-width\">\
    <title>Preview</title><style>html,body,iframe{margin:0;border:0;width:100%;height:100%}body{overflow:hidden}\
    iframe{display:block}</style><iframe title=Preview sandbox=allow-scripts referrerpolicy=no-referrer \
    src=\"/content/{token}/\"></iframe>";

/// The state of the handlers.
#[derive(Clone)]
pub struct App {
    bucket: Bucket,
    keys: PreviewKeys,
    /// The archive that was opened last. A page requests its files in quick succession.
    last: Arc<Mutex<Option<OpenBundle>>>,
}

#[derive(Clone)]
struct OpenBundle {
    tenant: TenantId,
    digest: Digest,
    bundle: Bundle,
}

impl App {
    /// Shows objects of `bucket`, at addresses that were sealed with `keys`.
    #[must_use]
    pub fn new(bucket: Bucket, keys: PreviewKeys) -> Self {
        Self { bucket, keys, last: Arc::default() }
    }

    async fn open(&self, token: &str) -> Result<Previewed, Problem> {
        self.keys.get().await?.open(token, Timestamp::now()).ok_or_else(missing)
    }

    /// The page around the previewed one. It is the address that people get.
    async fn shell(&self, token: &str) -> Result<Response, Problem> {
        let previewed = self.open(token).await?;
        let policy = preview::shell_policy(previewed.app());
        // A valid token is safe in HTML: it is base64url.
        let page = SHELL.replace("{token}", token);
        response(policy, "text/html; charset=utf-8", page.into())
    }

    async fn show(&self, token: &str, path: &str, headers: &HeaderMap) -> Result<Response, Problem> {
        let previewed = self.open(token).await?;
        if !is_within_a_page(headers) {
            return Ok(Redirect::to(&format!("/{token}/")).into_response());
        }
        let policy = preview::policy(previewed.app());
        if previewed.is_bundle() {
            let bundle = self.bundle(&previewed).await?;
            let name = bundle.find(path).ok_or_else(missing)?;
            let bytes = bundle.read(name)?.ok_or_else(missing)?;
            response(policy, preview::type_of(name), bytes.into())
        } else if path.is_empty() {
            let bytes = self.bytes(&previewed, LARGEST).await?;
            response(policy, previewed.media_type(), bytes)
        } else {
            Err(missing())
        }
    }

    async fn bundle(&self, previewed: &Previewed) -> Result<Bundle, Problem> {
        let tenant = previewed.tenant();
        let digest = *previewed.digest();
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(last) = last
            && last.tenant == tenant
            && last.digest == digest
        {
            return Ok(last.bundle);
        }
        let bundle = Bundle::open(self.bytes(previewed, Bundle::LARGEST).await?)?;
        let opened = OpenBundle { tenant, digest, bundle: bundle.clone() };
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(opened);
        Ok(bundle)
    }

    async fn bytes(&self, previewed: &Previewed, most: u64) -> Result<Bytes, Problem> {
        let bytes = self.bucket.get(previewed.tenant(), previewed.digest(), most).await;
        bytes.map_err(Problem::unavailable)?.ok_or_else(missing)
    }
}

fn response(policy: String, media_type: &str, bytes: Bytes) -> Result<Response, Problem> {
    let media_type = HeaderValue::try_from(media_type).map_err(Problem::internal)?;
    let policy = HeaderValue::try_from(policy).map_err(Problem::internal)?;
    let headers = [
        (header::CONTENT_TYPE, media_type),
        (header::CONTENT_SECURITY_POLICY, policy),
        (header::CACHE_CONTROL, HeaderValue::from_static("private, no-store")),
        (HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin")),
        (HeaderName::from_static("permissions-policy"), HeaderValue::from_static(PERMISSIONS)),
        (HeaderName::from_static("x-dns-prefetch-control"), HeaderValue::from_static("off")),
        (HeaderName::from_static("x-robots-tag"), HeaderValue::from_static("noindex")),
    ];
    Ok((headers, bytes).into_response())
}

/// Returns `true` if the browser requests a frame of a page, or a file for it. As a document of its own, the page could
/// navigate to any server. A browser that does not say (Fetch Metadata; Safari before 16.4, for example) is sent to the
/// shell as well, whose policy keeps the shell out of its own frame: nothing is shown there.
fn is_within_a_page(headers: &HeaderMap) -> bool {
    headers.get("sec-fetch-dest").is_some_and(|destination| destination != "document")
}

/// The one response for missing files and for forged and expired addresses.
fn missing() -> Problem {
    Problem::not_found("There is no preview at this address, or it has expired.")
}

/// The routes of the function.
pub fn router(app: App) -> Router {
    // The pipeline removes trailing slashes. The browser keeps them and resolves the links of a page against
    // them.
    Router::new()
        .route("/{token}", get(show_shell))
        .route("/content/{token}", get(show_root))
        .route("/content/{token}/{*path}", get(show_file))
        .with_state(app)
}

async fn show_shell(State(app): State<App>, Path(token): Path<String>) -> Result<Response, Problem> {
    app.shell(&token).await
}

async fn show_root(
    State(app): State<App>,
    Path(token): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    app.show(&token, "", &headers).await
}

async fn show_file(
    State(app): State<App>,
    Path((token, path)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    app.show(&token, &path, &headers).await
}
