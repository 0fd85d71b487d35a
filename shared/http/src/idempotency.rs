//! `Idempotency-Key`: a retried request has its effect once.
//!
//! A key belongs to a tenant and an operation. The first request claims it together with a hash of its payload. A later
//! request with the same key and payload gets the first response again, one with another payload gets 422, and one that
//! comes while the first is running gets 409. [`sequent_tables::idempotency`] describes the records.
//!
//! [`layer`] around a JSON route stores the whole response. A route that starts a run passes the key on in its request for
//! the run instead, because the run is stored with the record.

mod layer;

use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use http::{HeaderName, HeaderValue, request::Parts};
use sequent_core::{Code, TenantId};
use sequent_tables::idempotency::{PayloadHash, Request};
use serde::Serialize;
use utoipa::{
    IntoParams,
    openapi::{
        ObjectBuilder, Required,
        path::{Parameter, ParameterBuilder, ParameterIn},
        schema::Type,
    },
};

pub use layer::{Quotes, layer, required};

use crate::Problem;

/// Name of the request header.
pub const HEADER: HeaderName = HeaderName::from_static("idempotency-key");

/// The response header that is `true` if the response was stored by an earlier request.
pub const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// The key of a request: 1 to 255 visible ASCII characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    /// Reads a header value.
    ///
    /// # Errors
    /// 400 if the key is malformed.
    pub fn parse(value: &HeaderValue) -> Result<Self, Problem> {
        let text = value.to_str().unwrap_or_default();
        if (1..=255).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic()) {
            return Ok(Self(text.to_owned()));
        }
        let detail = "Idempotency-Key must have 1 to 255 visible ASCII characters.";
        Err(Problem::new(Code::IdempotencyKeyInvalid, detail))
    }

    /// The text of the key.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Identifies a request for a run, if it has a key: a POST of `body` to `path`. The parsed body is hashed, so that a retry
    /// with other white space is the same request.
    ///
    /// # Errors
    /// 500 if the body cannot be written as JSON.
    pub fn of_run(
        key: Option<Self>,
        tenant: TenantId,
        operation: &str,
        path: &str,
        body: &impl Serialize,
    ) -> Result<Option<Request>, Problem> {
        let Some(key) = key else { return Ok(None) };
        let payload = serde_json::to_vec(body).map_err(Problem::internal)?;
        Ok(Some(key.request(tenant, operation, PayloadHash::of("POST", path, &payload))))
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
            Problem::new(Code::IdempotencyKeyRequired, "Send the header Idempotency-Key with a unique value.")
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

/// Describes the header, for the `params(..)` of a route that takes a key.
impl IntoParams for IdempotencyKey {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let schema = ObjectBuilder::new().schema_type(Type::String).pattern(Some("^[!-~]{1,255}$"));
        let description = "Makes it safe to repeat the request: a second one with the same key and content has no effect of its own.";
        let parameter = ParameterBuilder::new()
            .name("Idempotency-Key")
            .parameter_in(ParameterIn::Header)
            .required(Required::False)
            .description(Some(description))
            .schema(Some(schema));
        vec![parameter.build()]
    }
}

#[cfg(test)]
mod tests;
