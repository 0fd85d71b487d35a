//! The preview origin: shows pages that nobody trusts, where they reach nothing.
//!
//! It is another origin than the API's and has no way into it: it takes no cookie, no token and no account, sets
//! nothing, and its role reads objects and nothing else. The address alone says what is shown; the API sealed it. See
//! [`sequent_artifacts::preview`] for what keeps a page in its place.

use std::sync::{Arc, Mutex, PoisonError};

use axum::{
    Router,
    extract::{Path, State},
    response::{IntoResponse, Response},
    routing::get,
};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, header};
use sequent_artifacts::{Bucket, Bundle, Digest, PreviewKeys, Previewed, preview};
use sequent_core::{TenantId, Timestamp};
use sequent_http::Problem;

/// Most bytes of a page that is no archive.
const LARGEST: u64 = 32 << 20;

/// What the handlers share.
#[derive(Clone)]
pub struct Previews {
    bucket: Bucket,
    keys: PreviewKeys,
    policy: HeaderValue,
    /// The archive that was looked into last: a page asks for its files right after each other.
    last: Arc<Mutex<Option<(TenantId, Digest, Bundle)>>>,
}

impl Previews {
    /// Previews of what is in `bucket`, which pages of `app` may show in frames.
    ///
    /// # Errors
    /// When `app` is no origin.
    pub fn new(
        bucket: Bucket,
        keys: PreviewKeys,
        app: &str,
    ) -> Result<Self, http::header::InvalidHeaderValue> {
        let policy = HeaderValue::try_from(preview::policy(app))?;
        Ok(Self { bucket, keys, policy, last: Arc::default() })
    }

    async fn show(&self, token: &str, path: &str) -> Result<Response, Problem> {
        let key = self.keys.get().await.map_err(Problem::unavailable)?;
        let opened = key.open(token, Timestamp::now());
        let previewed = opened.ok_or_else(missing)?;
        let (media_type, bytes) = if previewed.is_bundle() {
            let bundle = self.bundle(&previewed).await?;
            let name = bundle.find(path).ok_or_else(missing)?;
            let bytes = bundle.read(name).map_err(refused)?.ok_or_else(missing)?;
            (preview::type_of(name).to_owned(), Bytes::from(bytes))
        } else if path.is_empty() {
            (previewed.media_type().to_owned(), self.bytes(&previewed, LARGEST).await?)
        } else {
            return Err(missing());
        };
        let media_type = HeaderValue::try_from(media_type).map_err(Problem::internal)?;
        let headers = [
            (header::CONTENT_TYPE, media_type),
            (header::CONTENT_SECURITY_POLICY, self.policy.clone()),
            (header::CACHE_CONTROL, HeaderValue::from_static("private, no-store")),
            (HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin")),
            (HeaderName::from_static("permissions-policy"), HeaderValue::from_static(POWERLESS)),
            (HeaderName::from_static("x-dns-prefetch-control"), HeaderValue::from_static("off")),
            (HeaderName::from_static("x-robots-tag"), HeaderValue::from_static("noindex")),
        ];
        Ok((headers, bytes).into_response())
    }

    async fn bundle(&self, previewed: &Previewed) -> Result<Bundle, Problem> {
        let (tenant, digest) = (previewed.tenant(), *previewed.digest());
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((of, is, bundle)) = last
            && (of, is) == (tenant, digest)
        {
            return Ok(bundle);
        }
        let bundle = Bundle::open(self.bytes(previewed, Bundle::LARGEST).await?).map_err(refused)?;
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some((tenant, digest, bundle.clone()));
        Ok(bundle)
    }

    async fn bytes(&self, previewed: &Previewed, most: u64) -> Result<Bytes, Problem> {
        let got = self.bucket.get(previewed.tenant(), previewed.digest(), most).await;
        got.map_err(Problem::unavailable)?.ok_or_else(missing)
    }
}

/// A page has no use for the machine it is looked at on.
const POWERLESS: &str = "accelerometer=(), camera=(), clipboard-read=(), display-capture=(), geolocation=(), gyroscope=(), \
                         hid=(), microphone=(), midi=(), payment=(), serial=(), usb=()";

/// One answer for all that is not there, forged addresses and those whose time is over included.
fn missing() -> Problem {
    Problem::not_found("There is no preview at this address, or its time is over.")
}

fn refused(why: sequent_artifacts::Refused) -> Problem {
    Problem::invalid(format!("The archive cannot be opened: {why}."))
}

/// The function's routes.
pub fn router(previews: Previews) -> Router {
    // The pipeline takes trailing slashes away; the browser keeps them, and resolves a page's links by them.
    Router::new().route("/{token}", get(whole)).route("/{token}/{*path}", get(file)).with_state(previews)
}

async fn whole(State(previews): State<Previews>, Path(token): Path<String>) -> Result<Response, Problem> {
    previews.show(&token, "").await
}

async fn file(
    State(previews): State<Previews>,
    Path((token, path)): Path<(String, String)>,
) -> Result<Response, Problem> {
    previews.show(&token, &path).await
}
