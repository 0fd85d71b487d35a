//! `Idempotency-Key`: a retried request has its effect once.
//!
//! A key belongs to a tenant and an operation. The first request claims it together with a hash of its payload; the
//! same key with the same payload gets the first answer again, with another payload 422, and while the first is
//! still running 409. Records live 24 hours. The claim ends with the invocation that made it, and completing or
//! giving it up is conditional on still holding it, so an instance that comes back late cannot overwrite what the
//! retry did.
//!
//! Two ways to use it:
//!
//! * [`layer`] around an ordinary JSON route stores the whole answer. If the instance dies between the effect and
//!   the record, the retry runs again once the claim is over: use it where running again is harmless.
//! * [`lookup`] and [`Record::for_run`] for an effect that is a transaction of its own: the record is one of the
//!   rows the transaction inserts, so key and effect happen together or not at all.

mod claim;
mod layer;
mod record;

use std::time::Duration;

use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use http::{HeaderName, HeaderValue, Method, request::Parts};
use sequent_core::TenantId;
use sequent_tables::Key;
use sha2::{Digest as _, Sha256};

pub use claim::{Claim, Claimed, Outcome, claim, lookup};
pub use layer::{layer, required};
pub use record::{Effect, Record, Stored};

use crate::Problem;

/// The request header.
pub const HEADER: HeaderName = HeaderName::from_static("idempotency-key");

/// Set to `true` on answers that come from a record.
pub const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// How long a record answers for its key.
pub const LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

/// The caller's key: 1 to 255 visible ASCII characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    /// Reads a header value.
    ///
    /// # Errors
    /// 400 for another form.
    pub fn parse(value: &HeaderValue) -> Result<Self, Problem> {
        let text = value.to_str().unwrap_or_default();
        if (1..=255).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic()) {
            return Ok(Self(text.to_owned()));
        }
        let detail = "Idempotency-Key must have 1 to 255 visible ASCII characters.";
        Err(Problem::bad_request("idempotency_key_invalid", detail))
    }

    /// The caller's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Key of the record of this operation.
    #[must_use]
    pub fn row(&self, tenant: TenantId, operation: &str) -> Key {
        sequent_tables::key::idempotency(tenant, operation, &self.0)
    }
}

impl<S: Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let value = parts.headers.get(HEADER).ok_or_else(|| {
            Problem::bad_request("idempotency_key_required", "This route needs the header Idempotency-Key.")
        })?;
        Self::parse(value)
    }
}

impl<S: Sync> OptionalFromRequestParts<S> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Problem> {
        parts.headers.get(HEADER).map(Self::parse).transpose()
    }
}

/// SHA-256 over everything that makes two requests the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PayloadHash(String);

impl PayloadHash {
    /// Of a method, a path with its query, and a body.
    #[must_use]
    pub fn of(method: &Method, path: &str, body: &[u8]) -> Self {
        use std::fmt::Write as _;

        let mut sha = Sha256::new();
        for part in [method.as_str().as_bytes(), path.as_bytes(), body] {
            sha.update((part.len() as u64).to_be_bytes()); // so that no part can run into the next
            sha.update(part);
        }
        let digest = sha.finalize();
        Self(digest.iter().fold(String::with_capacity(64), |mut text, byte| {
            let _ = write!(text, "{byte:02x}"); // writing to a String cannot fail
            text
        }))
    }

    /// Lower-case hexadecimal.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// 422: the key was used for something else.
#[must_use]
pub fn mismatch() -> Problem {
    let detail = "This Idempotency-Key was used with another payload; use a new key.";
    Problem::new(http::StatusCode::UNPROCESSABLE_ENTITY, "idempotency_key_reused", detail)
}

/// 409: the first request with the key is not finished.
#[must_use]
pub fn in_progress(retry_after: Duration) -> Problem {
    let detail = "A request with this Idempotency-Key is still running.";
    Problem::conflict("idempotency_key_in_progress", detail).retry_after(retry_after)
}

#[cfg(test)]
mod tests;
