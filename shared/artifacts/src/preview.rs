//! What the preview origin may show, and how it is shown.
//!
//! The origin has no accounts and reads no cookie: who may see what is in the address, sealed by the API for a few
//! minutes. What it shows is somebody's, or some model's, page. Three things keep that from reaching anything: it
//! comes from another origin than the API, so no cookie and no storage of the API is there; `sandbox` takes even that
//! origin from it; and the policy lets it connect to nothing.

use std::{sync::Arc, time::Duration};

use aws_sdk_secretsmanager::Client;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use sequent_aws::Secrets;
use sequent_core::{ExposeSecret, SecretString, TenantId, Timestamp};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use crate::{Artifact, Digest};

/// How long an address works.
const LIFETIME: Duration = Duration::from_secs(600);
const TAG: usize = 32;
const LONGEST: usize = 600;

/// What an address shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Previewed {
    #[serde(rename = "t")]
    tenant: TenantId,
    #[serde(rename = "d")]
    digest: Digest,
    #[serde(rename = "m")]
    media_type: String,
    /// Seconds since the Unix epoch.
    #[serde(rename = "e")]
    expires: i64,
}

/// The key that addresses are sealed with: any text with at least 128 bits of entropy. A secret of its own, because the
/// origin that opens the addresses is open to anyone, and what it can read it might be made to tell.
#[derive(Debug, Clone, Deserialize)]
pub struct PreviewKey {
    key: SecretString,
}

/// Where the key is kept. Cheap to clone.
#[derive(Clone)]
pub struct PreviewKeys(Arc<Secrets<PreviewKey>>);

impl PreviewKeys {
    /// The secret that `PREVIEW_SECRET_ID` names: `{"key":"..."}`.
    ///
    /// # Errors
    /// When the environment does not name one.
    pub fn from_env(client: &Client) -> Result<Self, String> {
        let id = std::env::var("PREVIEW_SECRET_ID").map_err(|_| "PREVIEW_SECRET_ID is not set".to_owned())?;
        Ok(Self(Arc::new(Secrets::new(client.clone(), id))))
    }

    /// The key.
    ///
    /// # Errors
    /// When it was never read, and cannot be.
    pub async fn get(&self) -> Result<Arc<PreviewKey>, sequent_aws::secret::Error> {
        self.0.get().await
    }
}

impl Previewed {
    /// An artifact of `tenant`, which comes from a verified credential.
    #[must_use]
    pub fn of(tenant: TenantId, artifact: &Artifact, now: Timestamp) -> Self {
        let (digest, media_type) = (artifact.sha256, artifact.media_type.clone());
        Self { tenant, digest, media_type, expires: (now + LIFETIME).seconds() }
    }

    /// Until when the address works.
    #[must_use]
    pub fn expires_at(&self) -> Timestamp {
        Timestamp::from_millis(self.expires.saturating_mul(1000))
    }

    /// Whose bytes they are.
    #[must_use]
    pub const fn tenant(&self) -> TenantId {
        self.tenant
    }

    /// Which bytes they are.
    #[must_use]
    pub const fn digest(&self) -> &Digest {
        &self.digest
    }

    /// What they are.
    #[must_use]
    pub fn media_type(&self) -> &str {
        &self.media_type
    }

    /// Whether it is an archive of files.
    #[must_use]
    pub fn is_bundle(&self) -> bool {
        self.media_type == "application/zip"
    }
}

impl PreviewKey {
    /// The part of an address that stands for `previewed`.
    #[must_use]
    pub fn seal(&self, previewed: &Previewed) -> String {
        let text = serde_json::to_vec(previewed).expect("ids, text and a number are JSON");
        let mut bytes = self.mac(&text).finalize().into_bytes().to_vec();
        bytes.extend_from_slice(&text);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// What a part of an address stands for, if it was sealed with this key and its time is not over.
    #[must_use]
    pub fn open(&self, token: &str, now: Timestamp) -> Option<Previewed> {
        let bytes = URL_SAFE_NO_PAD.decode(token.get(..LONGEST.min(token.len()))?).ok()?;
        let (tag, text) = bytes.split_at_checked(TAG)?;
        self.mac(text).verify_slice(tag).ok()?; // in constant time
        let previewed: Previewed = serde_json::from_slice(text).ok()?;
        (now < previewed.expires_at()).then_some(previewed)
    }

    fn mac(&self, text: &[u8]) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.key.expose_secret().as_bytes())
            .expect("HMAC takes a key of any length");
        mac.update(text);
        mac
    }
}

/// The policy of everything that is shown. Scripts run, for generated pages have them, but without an origin; `app` may
/// put the page into a frame.
#[must_use]
pub fn policy(app: &str) -> String {
    let app = if app.is_empty() { "'none'" } else { app };
    format!(
        "sandbox allow-scripts; default-src 'none'; script-src 'unsafe-inline' 'self'; style-src 'unsafe-inline' 'self'; \
         img-src 'self' data: blob:; font-src 'self' data:; media-src 'self' data: blob:; connect-src 'none'; \
         frame-src 'none'; worker-src 'none'; object-src 'none'; form-action 'none'; base-uri 'none'; webrtc 'block'; \
         frame-ancestors {app}"
    )
}

/// The type that a file of a bundle is shown as, by its name.
#[must_use]
pub fn type_of(name: &str) -> &'static str {
    match name.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase()).as_deref() {
        Some("html" | "htm") => "text/html; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("js" | "mjs") => "text/javascript; charset=utf-8",
        Some("json" | "map") => "application/json",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("jpg" | "jpeg") => "image/jpeg",
        Some("gif") => "image/gif",
        Some("webp") => "image/webp",
        Some("avif") => "image/avif",
        Some("ico") => "image/x-icon",
        Some("woff") => "font/woff",
        Some("woff2") => "font/woff2",
        Some("mp4") => "video/mp4",
        Some("webm") => "video/webm",
        Some("mp3") => "audio/mpeg",
        Some("txt" | "md" | "csv") => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key() -> PreviewKey {
        PreviewKey { key: "a key for tests".into() }
    }

    fn previewed(expires: i64) -> Previewed {
        let digest = Digest::of(b"<html>");
        Previewed { tenant: TenantId::new(), digest, media_type: "text/html".into(), expires }
    }

    #[test]
    fn an_address_opens_until_its_time_is_over() {
        let page = previewed(100);
        let token = key().seal(&page);
        assert_eq!(key().open(&token, Timestamp::from_millis(99_999)), Some(page.clone()));
        assert_eq!(key().open(&token, Timestamp::from_millis(100_000)), None);
        let other = PreviewKey { key: "another key".into() };
        assert_eq!(other.open(&token, Timestamp::from_millis(0)), None);
        // Whoever changes what it says has to seal it anew.
        let mut bytes = URL_SAFE_NO_PAD.decode(&token).unwrap();
        let at = bytes.windows(4).position(|four| four == b":100").unwrap() + 1;
        bytes[at] = b'9';
        assert_eq!(key().open(&URL_SAFE_NO_PAD.encode(bytes), Timestamp::from_millis(0)), None);
    }

    proptest! {
        #[test]
        fn garbage_is_refused_without_a_panic(text in ".{0,700}") {
            prop_assert_eq!(key().open(&text, Timestamp::from_millis(0)), None);
        }
    }
}
