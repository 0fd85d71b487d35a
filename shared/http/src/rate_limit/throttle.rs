//! The limits on requests without a verified caller, by network address or by hook.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use http::request::Parts;
use sequent_core::{HookId, TenantId};
use sequent_identity::network;

use super::{Class, RateLimiter, RateSubject};
use crate::{Problem, RequestContext, pipeline::Shared};

/// The limits of one network address, as an extractor. If the address is unknown, as in a unit test, requests pass.
#[derive(Debug, Clone)]
pub struct Throttle {
    limiter: Arc<RateLimiter>,
    subject: Option<RateSubject>,
}

impl Throttle {
    pub(crate) fn new(limiter: &Arc<RateLimiter>, client: Option<&str>) -> Self {
        Self { limiter: Arc::clone(limiter), subject: client.map(network).map(RateSubject::Address) }
    }

    /// Takes a permit for an attempt to sign up or in.
    ///
    /// # Errors
    /// 429 with `Retry-After`, and 503 if the table cannot count the attempt.
    pub async fn by_address(&self) -> Result<(), Problem> {
        match &self.subject {
            Some(subject) => self.limiter.take(subject, Class::Auth).await,
            None => Ok(()),
        }
    }

    /// Takes a permit for a call of a hook, which has as many as a tenant has for messages. The address does not count: many
    /// customers of a provider get its requests from the same one.
    ///
    /// # Errors
    /// 429 with `Retry-After`, and 503 if the table cannot count the call.
    pub async fn by_hook(&self, tenant: TenantId, hook: HookId) -> Result<(), Problem> {
        self.limiter.take(&RateSubject::Hook(tenant, hook), Class::Chat).await
    }

    /// Refuses an address that has sent too many wrong credentials, before one more is looked up. It reads no table:
    /// an instance knows what [`failed`](Self::failed) has told it.
    ///
    /// # Errors
    /// 429 with `Retry-After`.
    pub fn refuse_guesses(&self) -> Result<(), Problem> {
        self.subject.as_ref().map_or(Ok(()), |subject| self.limiter.check(subject, Class::Failure))
    }

    /// Counts a wrong credential of the address.
    pub async fn failed(&self) {
        if let Some(subject) = &self.subject
            && let Err(problem) = self.limiter.take(subject, Class::Failure).await
        {
            tracing::debug!(code = problem.code().as_str(), "an address sent a wrong credential too often");
        }
    }
}

impl<S: Sync> FromRequestParts<S> for Throttle {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let context = RequestContext::from_request_parts(parts, state).await?;
        Ok(Self::new(&Shared::of(parts)?.limiter, context.client()))
    }
}
