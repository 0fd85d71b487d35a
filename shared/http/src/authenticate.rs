//! From a credential to a principal: where the identity crate plugs in, and the extractor every handler uses.

use std::sync::Arc;

use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use futures::future::BoxFuture;
use http::request::Parts;

use crate::{Credential, Exchange, Principal, Problem, csrf, pipeline::Shared, rate_limit::Class};

/// Verifies credentials. The answer to one that is wrong in any way is `Problem::unauthenticated(true)`.
pub trait Authenticator: Send + Sync + 'static {
    /// The caller the credential proves.
    fn authenticate(&self, credential: Credential) -> BoxFuture<'_, Result<Principal, Problem>>;
}

impl<A: Authenticator + ?Sized> Authenticator for Arc<A> {
    fn authenticate(&self, credential: Credential) -> BoxFuture<'_, Result<Principal, Problem>> {
        (**self).authenticate(credential)
    }
}

impl<S: Sync> FromRequestParts<S> for Principal {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        <Self as OptionalFromRequestParts<S>>::from_request_parts(parts, state)
            .await?
            .ok_or_else(|| Problem::unauthenticated(false))
    }
}

impl<S: Sync> OptionalFromRequestParts<S> for Principal {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Option<Self>, Problem> {
        if let Some(principal) = parts.extensions.get::<Self>() {
            return Ok(Some(principal.clone())); // a layer before the handler has asked already
        }
        let shared = Shared::of(parts)?;
        let exchange = Exchange::from_request_parts(parts, state).await?;
        let Some(credential) = Credential::find(&parts.headers, shared.config.plain_http())? else {
            return Ok(None);
        };
        let authenticator = shared.authenticator.as_ref().ok_or_else(|| {
            Problem::internal("the pipeline has no authenticator, but a route asks for a principal")
        })?;
        let principal = authenticator.authenticate(credential).await?;
        exchange.set_principal(principal.clone());
        csrf::check(&shared, parts, &principal).await?;
        let class = parts.extensions.get::<Class>().copied().unwrap_or_else(|| Class::of(&parts.method));
        shared.limiter.take(principal.tenant, class).await?;
        parts.extensions.insert(principal.clone());
        Ok(Some(principal))
    }
}
