//! The extractor of the caller, and the verification of credentials that it uses.

#[cfg(any(test, feature = "testing"))]
use std::collections::HashMap;
use std::{sync::Arc, time::Duration};

use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use http::{StatusCode, request::Parts};
use sequent_core::{Principal, Timestamp};
use sequent_identity::{Credential, Identity};

use crate::{
    Problem, RequestContext, credential,
    credential_watch::CredentialWatch,
    csrf,
    pipeline::Shared,
    rate_limit::{Class, RateSubject, Throttle},
};

/// Verifies the credentials of requests.
pub(crate) enum Authenticator {
    Identity(Arc<Identity>),
    /// Callers by their token or API key.
    #[cfg(any(test, feature = "testing"))]
    Fixed(HashMap<String, Principal>),
}

impl Authenticator {
    /// Verifies a credential. An address that has sent too many wrong ones is refused before another is looked up.
    async fn verify(&self, credential: &Credential, throttle: &Throttle) -> Result<Principal, Problem> {
        if self.needs_lookup(credential) {
            throttle.refuse_guesses()?;
        }
        let verified = self.authenticate(credential).await;
        if let (Err(problem), Credential::ApiKey(_)) = (&verified, credential)
            && problem.status() == StatusCode::UNAUTHORIZED
        {
            throttle.failed().await;
        }
        verified
    }

    fn needs_lookup(&self, credential: &Credential) -> bool {
        match self {
            Self::Identity(identity) => identity.needs_lookup(credential),
            #[cfg(any(test, feature = "testing"))]
            Self::Fixed(_) => matches!(credential, Credential::ApiKey(_)),
        }
    }

    async fn authenticate(&self, credential: &Credential) -> Result<Principal, Problem> {
        match self {
            Self::Identity(identity) => Ok(identity.authenticate(credential).await?),
            #[cfg(any(test, feature = "testing"))]
            Self::Fixed(callers) => fixed(callers, credential),
        }
    }

    /// Returns the watch of a verified credential, for a response that lasts. Callers that a test has made up have none.
    fn watch(&self, credential: &Credential, caller: &Principal, pause: Duration) -> Option<CredentialWatch> {
        match self {
            Self::Identity(identity) => CredentialWatch::of(identity, credential, caller, pause),
            #[cfg(any(test, feature = "testing"))]
            Self::Fixed(_) => None,
        }
    }

    async fn require_recent(&self, caller: &Principal) -> Result<(), Problem> {
        match self {
            Self::Identity(identity) => Ok(identity.require_recent(caller, Timestamp::now()).await?),
            #[cfg(any(test, feature = "testing"))]
            Self::Fixed(_) => Ok(()),
        }
    }
}

#[cfg(any(test, feature = "testing"))]
fn fixed(callers: &HashMap<String, Principal>, credential: &Credential) -> Result<Principal, Problem> {
    use sequent_core::{ExposeSecret as _, Via};

    let (secret, via) = match credential {
        Credential::AccessToken { token, via } => (token, *via),
        Credential::ApiKey(key) => (key, Via::ApiKey),
    };
    let caller = callers.get(secret.expose_secret()).ok_or_else(|| Problem::unauthenticated(true))?;
    let session = caller.session.filter(|_| via != Via::ApiKey);
    Ok(Principal { session, via, ..caller.clone() })
}

/// The verified caller of the request. Handlers take it as an argument: `Caller(caller): Caller`.
///
/// The extractor verifies the credential, refuses a cookie-authenticated write without a CSRF token, and takes a
/// permit from the tenant's rate limit. `Option<Caller>` is `None` if no credential was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller(pub Principal);

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        <Self as OptionalFromRequestParts<S>>::from_request_parts(parts, state)
            .await?
            .ok_or_else(|| Problem::unauthenticated(false))
    }
}

impl<S: Sync> OptionalFromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Option<Self>, Problem> {
        if let Some(caller) = parts.extensions.get::<Self>() {
            return Ok(Some(caller.clone())); // a layer before the handler verified the credential
        }
        let shared = Shared::of(parts)?;
        let context = RequestContext::from_request_parts(parts, state).await?;
        let Some(credential) = credential::find(&parts.headers, shared.config.plain_http())? else {
            return Ok(None);
        };
        let authenticator = shared.authenticator.as_ref().ok_or_else(|| {
            Problem::internal("the pipeline has no identity, but the route needs the caller")
        })?;
        let throttle = Throttle::new(&shared.limiter, context.client());
        let caller = authenticator.verify(&credential, &throttle).await?;
        let watch = authenticator.watch(&credential, &caller, shared.config.credential_check);
        context.set_caller(caller.clone(), watch);
        csrf::check(&shared, parts, &caller).await?;
        let class = parts.extensions.get::<Class>().copied().unwrap_or_else(|| Class::of(&parts.method));
        shared.limiter.take(&RateSubject::Tenant(caller.tenant), class).await?;
        let caller = Self(caller);
        parts.extensions.insert(caller.clone());
        Ok(Some(caller))
    }
}

/// The verified caller of a request that changes credentials or the account. A session must have presented its password
/// within the last minutes, so that an open browser or a copied session is not enough. An API key has no password: its
/// scopes alone decide.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reauthenticated(pub Principal);

impl<S: Sync> FromRequestParts<S> for Reauthenticated {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Caller(caller) = <Caller as FromRequestParts<S>>::from_request_parts(parts, state).await?;
        if let Some(authenticator) = &Shared::of(parts)?.authenticator {
            authenticator.require_recent(&caller).await?;
        }
        Ok(Self(caller))
    }
}
