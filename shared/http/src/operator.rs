//! The operator of the deployment, who sends the admin key.
//!
//! Each use of the key is in the audit trail of [`TenantId::SYSTEM`], and a network address that sends wrong keys has to
//! wait.

use axum::extract::{FromRequestParts, MatchedPath, OptionalFromRequestParts};
use http::{HeaderName, HeaderValue, request::Parts};
use sequent_core::{Code, TenantId, Timestamp};
use sequent_identity::audit::AuditEntry;

use crate::{Caller, Problem, RequestContext, pipeline::Shared, rate_limit::Throttle};

/// The header with the admin key.
pub const ADMIN_KEY: HeaderName = HeaderName::from_static("x-admin-key");

/// A request of the operator, as an extractor. `Option<Operator>` is `None` if no admin key was sent.
#[derive(Debug, Clone, Copy)]
pub struct Operator(());

impl<S: Send + Sync> FromRequestParts<S> for Operator {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        if let Some(operator) =
            <Self as OptionalFromRequestParts<S>>::from_request_parts(parts, state).await?
        {
            return Ok(operator);
        }
        let Caller(_) = <Caller as FromRequestParts<S>>::from_request_parts(parts, state).await?;
        let detail = "Only the operator of the deployment can do this. Send the header `X-Admin-Key`.";
        Err(Problem::new(Code::NotAnAdmin, detail))
    }
}

impl<S: Send + Sync> OptionalFromRequestParts<S> for Operator {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Option<Self>, Problem> {
        let Some(key) = parts.headers.get(ADMIN_KEY).cloned() else { return Ok(None) };
        let shared = Shared::of(parts)?;
        let context = RequestContext::from_request_parts(parts, state).await?;
        verify(&shared, &context, &key).await?;
        let route = parts.extensions.get::<MatchedPath>().map_or("unmatched", MatchedPath::as_str);
        record(&shared, &context, format!("{} {route}", parts.method)).await?;
        Ok(Some(Self(())))
    }
}

async fn verify(shared: &Shared, context: &RequestContext, key: &HeaderValue) -> Result<(), Problem> {
    let throttle = Throttle::new(&shared.limiter, context.client());
    throttle.refuse_guesses()?;
    let vault = shared.vault.as_ref().ok_or_else(|| Problem::internal("the pipeline has no secrets"))?;
    if vault.admin().await?.is(key.as_bytes()) {
        return Ok(());
    }
    throttle.failed().await;
    tracing::warn!("refused a request with a wrong admin key");
    Err(Problem::unauthenticated(true))
}

/// Records the use of the key. A request that cannot be recorded is not served.
async fn record(shared: &Shared, context: &RequestContext, request: String) -> Result<(), Problem> {
    let store = shared.store.as_ref().ok_or_else(|| Problem::internal("the pipeline has no store"))?;
    let entry = AuditEntry {
        address: context.client().map(str::to_owned),
        ..AuditEntry::of_operator(request, Timestamp::now())
    };
    Ok(store.insert(entry.row(TenantId::SYSTEM)?).await?)
}
