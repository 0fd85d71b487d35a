//! Preview addresses, and the content security policy of previewed pages.
//!
//! The preview origin has no accounts and reads no cookie. Its addresses carry the permission to see an
//! artifact, sealed by the API for a few minutes. The pages are untrusted: a user or a model wrote them.
//! Four measures isolate them: they have another origin than the API, and so none of its cookies and
//! storage; `sandbox` removes even that origin; the policy forbids all connections; and a page is shown only in
//! the frame of a shell page, whose policy keeps the frame on the preview origin. Without the shell, a page
//! could navigate itself to another server and carry its content and address there: no directive of a page's
//! own policy stops that.
//!
//! Two ways out remain. Browsers open a connection for `<link rel=preconnect>` without asking a policy; it carries a
//! host name and nothing else. And a person who opens a link in a new tab by a command of the browser, such as a click
//! with Control, leaves the preview with the address of that link.

use std::{sync::Arc, time::Duration};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use sequent_aws::{Secrets, secret};
use sequent_core::{ExposeSecret, SecretString, TenantId, Timestamp};
use sequent_tables::{SecretName, SecretTable};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use crate::{Artifact, Digest};

/// The validity of an address.
const LIFETIME: Duration = Duration::from_secs(600);
/// Bytes of an HMAC-SHA-256.
const TAG: usize = 32;
/// Longest sealed part of an address.
const LONGEST: usize = 900;

/// The content of an address: an object, its type, the pages that may show it, and the end of the permission.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Previewed {
    #[serde(rename = "t")]
    tenant: TenantId,
    #[serde(rename = "d")]
    digest: Digest,
    #[serde(rename = "m")]
    media_type: String,
    /// The origin whose pages may show the preview in a frame. Without one, none may.
    #[serde(rename = "o", default, skip_serializing_if = "Option::is_none")]
    app: Option<String>,
    /// Seconds since the Unix epoch.
    #[serde(rename = "e")]
    expires: i64,
}

/// The key that seals addresses: any text with at least 128 bits of entropy. It is a secret of its own,
/// because the preview origin can read it and is the most exposed part of the system. Replacing it ends the
/// previews of the last ten minutes.
#[derive(Debug, Clone, Deserialize)]
pub struct PreviewKey {
    key: SecretString,
}

/// The key as it is stored.
#[derive(Serialize)]
struct PreviewDocument {
    key: String,
}

/// The source of the key. Cheap to clone.
#[derive(Clone)]
pub struct PreviewKeys(KeySource);

#[derive(Clone)]
enum KeySource {
    Secret(Secrets<PreviewKey>),
    Fixed(Arc<PreviewKey>),
}

impl PreviewKeys {
    /// The key of a function that opens addresses.
    #[must_use]
    pub fn stored(table: &SecretTable) -> Self {
        Self(KeySource::Secret(Secrets::row(table, SecretName::Preview)))
    }

    /// The key of a function that seals addresses. The first one makes it.
    #[must_use]
    pub fn made(table: &SecretTable) -> Self {
        Self(KeySource::Secret(Secrets::made_row(table, SecretName::Preview, |table| async move {
            let first = PreviewDocument { key: secret::random_key(SecretName::Preview)? };
            secret::store_first(&table, SecretName::Preview, &first).await
        })))
    }

    /// Uses this key instead of a secret.
    #[must_use]
    pub fn fixed(key: SecretString) -> Self {
        Self(KeySource::Fixed(Arc::new(PreviewKey { key })))
    }

    /// Returns the key.
    ///
    /// # Errors
    /// Returns an error if the secret was never read and cannot be read now.
    pub async fn get(&self) -> Result<Arc<PreviewKey>, secret::Error> {
        match &self.0 {
            KeySource::Secret(secrets) => secrets.get().await,
            KeySource::Fixed(key) => Ok(Arc::clone(key)),
        }
    }
}

impl Previewed {
    /// Permits to see an artifact for ten minutes, in frames of the pages of the origin `app`. `tenant` comes from a
    /// verified credential. The preview origin cannot know `app` itself: its requests do not come through the CDN.
    #[must_use]
    pub fn of(tenant: TenantId, artifact: &Artifact, app: Option<&str>, now: Timestamp) -> Self {
        Self {
            tenant,
            digest: artifact.sha256,
            media_type: artifact.media_type.clone(),
            app: app.map(str::to_owned),
            expires: (now + LIFETIME).seconds(),
        }
    }

    /// The end of the permission.
    #[must_use]
    pub fn expires_at(&self) -> Timestamp {
        Timestamp::from_millis(self.expires.saturating_mul(1000))
    }

    /// The tenant that owns the object.
    #[must_use]
    pub const fn tenant(&self) -> TenantId {
        self.tenant
    }

    /// The origin whose pages may show the preview in a frame.
    #[must_use]
    pub fn app(&self) -> Option<&str> {
        self.app.as_deref()
    }

    /// The digest of the object.
    #[must_use]
    pub const fn digest(&self) -> &Digest {
        &self.digest
    }

    /// The media type of the artifact.
    #[must_use]
    pub fn media_type(&self) -> &str {
        &self.media_type
    }

    /// Returns `true` for an archive of a website.
    #[must_use]
    pub fn is_bundle(&self) -> bool {
        self.media_type == "application/zip"
    }
}

impl PreviewKey {
    /// Seals a permission into the first segment of an address.
    #[must_use]
    pub fn seal(&self, previewed: &Previewed) -> String {
        let text = serde_json::to_vec(previewed).expect("ids, text and a number are JSON");
        let mut bytes = self.mac(&text).finalize().into_bytes().to_vec();
        bytes.extend_from_slice(&text);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Opens a sealed segment. Returns `None` if it was not sealed with this key or has expired.
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

/// The content security policy of the shell, which has no scripts. Its frame shows the preview origin and nothing else,
/// wherever the page in the frame navigates. Only pages of the origin `app` may show the shell in a frame.
#[must_use]
pub fn shell_policy(app: Option<&str>) -> String {
    let app = app.unwrap_or("'none'");
    format!(
        "default-src 'none'; frame-src 'self'; style-src 'unsafe-inline'; form-action 'none'; base-uri 'none'; \
         frame-ancestors {app}"
    )
}

/// The content security policy of every previewed page. Scripts run, because generated pages contain them, but without an
/// origin. The page is shown in a frame of the shell, which may be in a frame of the origin `app`.
#[must_use]
pub fn policy(app: Option<&str>) -> String {
    let app = app.map(|app| format!(" {app}")).unwrap_or_default();
    format!(
        "sandbox allow-scripts; default-src 'none'; script-src 'unsafe-inline' 'self'; style-src 'unsafe-inline' 'self'; \
         img-src 'self' data: blob:; font-src 'self' data:; media-src 'self' data: blob:; connect-src 'none'; \
         frame-src 'none'; worker-src 'none'; object-src 'none'; form-action 'none'; base-uri 'none'; webrtc 'block'; \
         frame-ancestors 'self'{app}"
    )
}

/// The media type of a file of a bundle, derived from its name.
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
        Previewed { tenant: TenantId::new(), digest, media_type: "text/html".into(), app: None, expires }
    }

    #[test]
    fn an_address_opens_until_it_expires() {
        let page = previewed(100);
        let token = key().seal(&page);
        assert_eq!(key().open(&token, Timestamp::from_millis(99_999)), Some(page.clone()));
        assert_eq!(key().open(&token, Timestamp::from_millis(100_000)), None);
        let other = PreviewKey { key: "another key".into() };
        assert_eq!(other.open(&token, Timestamp::from_millis(0)), None);
        // A changed expiry does not match the seal.
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
