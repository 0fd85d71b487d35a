//! The layers around every router, from the outside in: trailing slashes, CORS, the boundary, and the state of extractors.
//!
//! The boundary makes the request id and the log line, checks the origin and the limits, and renders problems and security
//! headers. Credentials and rate limits are checked by the extractor [`Caller`](crate::Caller) of a handler.

mod boundary;
mod service;

use std::sync::Arc;

use axum::{Extension, Router, extract::DefaultBodyLimit, middleware};
use http::request::Parts;
use sequent_core::InvalidSetting;
use sequent_identity::{Identity, Vault};
use sequent_tables::Store;

pub use service::App;

use crate::{
    BodyLimit, Config, Problem, authenticate::Authenticator, cors, notify::Notifier, rate_limit::RateLimiter,
};

/// A pipeline that is being configured. [`Pipeline::around`] puts it around a router.
pub struct Pipeline {
    function: &'static str,
    config: Config,
    store: Option<Store>,
    authenticator: Option<Authenticator>,
    vault: Option<Vault>,
}

/// The state that the layers and extractors of one process share.
pub(crate) struct Shared {
    pub(crate) function: &'static str,
    pub(crate) config: Config,
    pub(crate) store: Option<Store>,
    pub(crate) authenticator: Option<Authenticator>,
    pub(crate) vault: Option<Vault>,
    pub(crate) limiter: Arc<RateLimiter>,
    pub(crate) notifier: Notifier,
}

impl Pipeline {
    /// A pipeline for the function with this name, with the settings in the environment.
    ///
    /// # Errors
    /// [`InvalidSetting`] if a setting is not allowed.
    pub fn new(function: &'static str) -> Result<Self, InvalidSetting> {
        Ok(Self::with_config(function, Config::from_env()?))
    }

    /// A pipeline with these settings.
    #[must_use]
    pub fn with_config(function: &'static str, config: Config) -> Self {
        Self { function, config, store: None, authenticator: None, vault: None }
    }

    /// Keeps rate limits and idempotency records in this store. Without a store, there are none.
    #[must_use]
    pub fn store(mut self, store: Store) -> Self {
        self.store = Some(store);
        self
    }

    /// Verifies credentials with this identity, and CSRF tokens and the CDN's secret with its vault. A function
    /// without an identity cannot have routes with a [`Caller`](crate::Caller), and checks neither.
    #[must_use]
    pub fn identity(mut self, identity: impl Into<Arc<Identity>>) -> Self {
        let identity = identity.into();
        self.vault = Some(identity.vault().clone());
        self.authenticator = Some(Authenticator::Identity(identity));
        self
    }

    /// Accepts these tokens and API keys in place of an identity, for tests.
    #[cfg(any(test, feature = "testing"))]
    #[must_use]
    pub fn callers<T: Into<String>>(
        mut self,
        vault: Vault,
        callers: impl IntoIterator<Item = (T, sequent_core::Principal)>,
    ) -> Self {
        let callers = callers.into_iter().map(|(token, caller)| (token.into(), caller));
        self.vault = Some(vault);
        self.authenticator = Some(Authenticator::Fixed(callers.collect()));
        self
    }

    /// Puts the pipeline around a router. The paths of its routes have no trailing slash.
    #[must_use]
    pub fn around(self, router: Router) -> App {
        let limiter =
            Arc::new(RateLimiter::new(self.store.clone(), self.config.limits, self.config.stack.clone()));
        let shared = Arc::new(Shared {
            function: self.function,
            notifier: Notifier::new(self.config.notify.clone()),
            config: self.config,
            store: self.store,
            authenticator: self.authenticator,
            vault: self.vault,
            limiter,
        });
        let router = router
            .fallback(|| async { Problem::of_status(http::StatusCode::NOT_FOUND) })
            .method_not_allowed_fallback(|| async {
                Problem::of_status(http::StatusCode::METHOD_NOT_ALLOWED)
            })
            .layer(Extension(BodyLimit(shared.config.max_body)))
            .layer(DefaultBodyLimit::max(shared.config.max_body)) // for handlers that take plain bytes
            .layer(middleware::from_fn_with_state(Arc::clone(&shared), boundary::boundary))
            .layer(cors::layer(&shared.config));
        App::new(router)
    }
}

impl Shared {
    pub(crate) fn of(parts: &Parts) -> Result<Arc<Self>, Problem> {
        let found = parts.extensions.get::<Arc<Self>>().cloned();
        found.ok_or_else(|| Problem::internal("the router is not wrapped in the HTTP pipeline"))
    }
}

#[cfg(test)]
mod tests;
