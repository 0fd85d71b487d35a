//! `Idempotency-Key`: a retried request has its effect once.
//!
//! A key belongs to a tenant and an operation. The first request claims it together with a hash of its payload; the
//! same key with the same payload gets the first answer again, with another payload 422, and while the first is
//! still running 409. Records live 24 hours. The claim ends with the invocation that made it, and completing or
//! giving it up is conditional on still holding it, so an instance that comes back late cannot overwrite what the
//! retry did.
//!
//! [`layer`] around an ordinary JSON route stores the whole response. The records are those of
//! [`sequent_tables::idempotency`].

mod layer;

use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use http::{HeaderName, HeaderValue, request::Parts};
use sequent_core::{Code, TenantId};
use sequent_tables::idempotency::{PayloadHash, Request};

pub use layer::{layer, required};

use crate::Problem;

/// The request header.
pub const HEADER: HeaderName = HeaderName::from_static("idempotency-key");

/// Set to `true` on answers that come from a record.
pub const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

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
        Err(Problem::new(Code::IdempotencyKeyInvalid, detail))
    }

    /// The caller's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Identifies a request of `tenant` with this key and `payload`. Keys of different operations are independent.
    #[must_use]
    pub fn request(&self, tenant: TenantId, operation: &str, payload: PayloadHash) -> Request {
        Request { record: sequent_tables::key::idempotency(tenant, operation, &self.0), payload }
    }
}

impl<S: Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let value = parts.headers.get(HEADER).ok_or_else(|| {
            Problem::new(Code::IdempotencyKeyRequired, "This route needs the header Idempotency-Key.")
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

#[cfg(test)]
mod tests;
