//! Requests over the network.

use std::{
    fmt,
    sync::{Arc, OnceLock},
    time::Duration,
};

use futures::{FutureExt, future::BoxFuture};
use sequent_core::{ExposeSecret, setting};
use sequent_tables::SecretTable;
use serde_json::Value;
use url::Url;

use crate::{Answer, ApiKey, Method, Request, Transport, Unsent, VERSION};

/// Base URL of Stripe's API.
const BASE: &str = "https://api.stripe.com";
/// Timeout of a single request. Stripe's own libraries wait 80 s, but our callers have less time.
const TIMEOUT: Duration = Duration::from_secs(15);
const CONNECT: Duration = Duration::from_secs(5);

/// Sends requests over the network, with a key that is read at the first request.
pub struct Web {
    base: Url,
    key: Arc<ApiKey>,
    /// Built at the first request, because loading the system's certificates takes longer than the rest of a cold start.
    http: OnceLock<reqwest::Client>,
}

/// The base URL is not acceptable.
#[derive(Debug, thiserror::Error)]
#[error("STRIPE_API_BASE must be an https URL without a path, or an http one of this machine")]
pub struct InvalidBase;

impl Web {
    /// Returns a transport to `base` that authenticates with `key`.
    ///
    /// # Errors
    /// Fails if the key would be sent in plain text: only loopback addresses are allowed without TLS.
    pub fn new(base: &str, key: ApiKey) -> Result<Self, InvalidBase> {
        let base: Url = base.parse().map_err(|_| InvalidBase)?;
        let loopback = match base.host() {
            Some(url::Host::Ipv4(address)) => address.is_loopback(),
            Some(url::Host::Ipv6(address)) => address.is_loopback(),
            Some(url::Host::Domain(name)) => name == "localhost",
            None => false,
        };
        let secure = base.scheme() == "https" || (base.scheme() == "http" && loopback);
        if !secure || base.path() != "/" || base.query().is_some() {
            return Err(InvalidBase);
        }
        Ok(Self { base, key: Arc::new(key), http: OnceLock::new() })
    }

    /// Returns a transport to `STRIPE_API_BASE` (default: Stripe itself) with the stored key.
    ///
    /// # Errors
    /// See [`InvalidBase`].
    pub fn from_env(secrets: &SecretTable) -> Result<Self, InvalidBase> {
        let base = setting::text("STRIPE_API_BASE").unwrap_or_else(|| BASE.to_owned());
        Self::new(&base, ApiKey::new(secrets))
    }

    fn http(&self) -> Result<&reqwest::Client, String> {
        if let Some(http) = self.http.get() {
            return Ok(http);
        }
        // An error means that the process has installed a provider already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .user_agent(concat!("sequent/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT)
            .timeout(TIMEOUT)
            // Lambda freezes a process between invocations, and its idle connections are dead when it thaws.
            .pool_idle_timeout(Duration::from_secs(5))
            .build()
            .map_err(|error| error.without_url().to_string())?;
        Ok(self.http.get_or_init(|| http))
    }

    async fn sent(&self, request: &Request) -> Result<Answer, Unsent> {
        let key = self.key.get().await.map_err(|error| Unsent::NoKey(error.to_string()))?;
        let mut url = self.base.join(&request.path).map_err(|error| Unsent::Lost(error.to_string()))?;
        let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(&request.form).finish();
        let http = self.http().map_err(Unsent::Lost)?;
        let sent = match request.method {
            Method::Get => {
                url.set_query((!form.is_empty()).then_some(&form));
                http.get(url)
            }
            Method::Post => {
                http.post(url).header("content-type", "application/x-www-form-urlencoded").body(form)
            }
        };
        let sent = sent.bearer_auth(key.expose_secret()).header("stripe-version", VERSION);
        let sent = match &request.idempotency_key {
            Some(key) => sent.header("idempotency-key", key),
            None => sent,
        };
        let answer = sent.send().await.map_err(lost)?;
        let header =
            |name| answer.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let status = answer.status().as_u16();
        let should_retry = header("stripe-should-retry");
        let request_id = header("request-id");
        let body = answer.bytes().await.map_err(lost)?;
        Ok(Answer {
            status,
            body: serde_json::from_slice(&body).unwrap_or(Value::Null),
            should_retry: should_retry.and_then(|text| text.parse().ok()),
            request_id,
        })
    }
}

fn lost(error: reqwest::Error) -> Unsent {
    Unsent::Lost(error.without_url().to_string())
}

impl Transport for Web {
    fn send<'a>(&'a self, request: &'a Request) -> BoxFuture<'a, Result<Answer, Unsent>> {
        self.sent(request).boxed()
    }
}

impl fmt::Debug for Web {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Web").field("base", &self.base.as_str()).finish_non_exhaustive()
    }
}
