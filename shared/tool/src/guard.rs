//! Protection against server-side request forgery: requests to addresses that a model, a tenant or a
//! redirecting page chose reach the public internet only.
//!
//! A request must pass two checks:
//!
//! 1. [`Guard::admit`] checks the URL: scheme, credentials, port, host name, and the address if the host is
//!    one. HTTP clients do not resolve literal addresses, so this is the only check of them. It must see the
//!    first URL and the target of every redirect.
//! 2. The guard is the resolver of the client that [`Guard::configure`] sets up. A name is resolved once,
//!    when the client connects; every address is checked, and the client connects to those addresses. There
//!    is no second look-up that a name server could answer differently (DNS rebinding), and no connection
//!    without a check, also not in a client that lives for days.
//!
//! If one address of a name is not public, the name is refused: an honest name has no such address, and the
//! client might choose it.

mod address;
mod allow;
mod resolve;

use std::{error::Error as _, net::IpAddr, sync::Arc};

use reqwest::{Client, ClientBuilder, redirect};
use sequent_core::setting::{self, InvalidSetting};
use url::{Host, Url};

pub use address::is_public;
pub use allow::{Allow, NotAllowable};
pub use resolve::{Resolve, System};

/// The rules for outgoing requests. Cheap to clone.
#[derive(Clone)]
pub struct Guard(Arc<Inner>);

struct Inner {
    ports: Vec<u16>,
    allow: Vec<Allow>,
    resolver: Box<dyn Resolve>,
}

/// A URL that has passed [`Guard::admit`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admitted(Url);

/// The reason why a request is not sent. Safe to show: it does not reveal the addresses of a name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Not a URL with a host.
    #[error("the address is not a valid URL")]
    Malformed,
    /// Neither `http` nor `https`.
    #[error("only http and https addresses are allowed")]
    Scheme,
    /// The URL contains a user name or a password.
    #[error("the address must not contain credentials")]
    Credentials,
    /// The port is not one of [`Guard::PORTS`].
    #[error("port {0} is not allowed")]
    Port(u16),
    /// The address or name is not on the public internet.
    #[error("the address is not on the public internet")]
    NotPublic,
    /// The name has no address, or the name server does not answer.
    #[error("the host name could not be resolved")]
    Unresolved,
}

impl Guard {
    /// The ports on which web servers are expected.
    pub const PORTS: [u16; 4] = [80, 443, 8080, 8443];

    /// Creates a guard with exceptions and a resolver.
    #[must_use]
    pub fn new(allow: Vec<Allow>, resolver: impl Resolve + 'static) -> Self {
        Self::with_ports(Self::PORTS.into(), allow, resolver)
    }

    /// Creates a guard with other ports.
    #[must_use]
    pub fn with_ports(ports: Vec<u16>, allow: Vec<Allow>, resolver: impl Resolve + 'static) -> Self {
        Self(Arc::new(Inner { ports, allow, resolver: Box::new(resolver) }))
    }

    /// Reads `SSRF_ALLOW`: exceptions for development and tests, separated by commas. The default is none.
    ///
    /// # Errors
    /// If an exception is not valid.
    pub fn from_env() -> Result<Self, InvalidSetting> {
        const ALLOWED: &str = "a list of loopback addresses or host names with ports, such as 127.0.0.1:9999";
        let text = setting::text("SSRF_ALLOW").unwrap_or_default();
        let allow = Allow::parse_list(&text).map_err(|_| InvalidSetting::new("SSRF_ALLOW", text, ALLOWED))?;
        Ok(Self::new(allow, System))
    }

    /// Checks a URL.
    ///
    /// # Errors
    /// If the URL may not be requested.
    pub fn admit(&self, url: &str) -> Result<Admitted, Refusal> {
        self.admit_url(Url::parse(url).map_err(|_| Refusal::Malformed)?)
    }

    /// Checks the target of a redirect from `from`. The `location` may be relative.
    ///
    /// # Errors
    /// If the target may not be requested.
    pub fn admit_redirect(&self, from: &Admitted, location: &str) -> Result<Admitted, Refusal> {
        self.admit_url(from.0.join(location).map_err(|_| Refusal::Malformed)?)
    }

    fn admit_url(&self, mut url: Url) -> Result<Admitted, Refusal> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Refusal::Scheme);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Refusal::Credentials);
        }
        let port = url.port_or_known_default().ok_or(Refusal::Malformed)?;
        // The parser has normalized the host: case, IDNA, and every way to write an IPv4 address.
        let host = url.host().ok_or(Refusal::Malformed)?.to_owned();
        if let Host::Domain(name) = &host {
            let bare = name.trim_end_matches('.');
            if bare.len() != name.len() {
                // `example.com.` is checked as `example.com`: the rules and certificates have no final dot.
                let bare = bare.to_owned();
                url.set_host(Some(&bare)).map_err(|_| Refusal::Malformed)?;
                return self.admit_url(url);
            }
        }
        let is_exception = self.0.allow.iter().any(|allow| allow.covers(&host, port));
        if !is_exception && !self.0.ports.contains(&port) {
            return Err(Refusal::Port(port));
        }
        let admitted = match host {
            Host::Domain(name) => is_exception || is_public_name(&name),
            Host::Ipv4(ip) => is_allowed(ip.into(), is_exception),
            Host::Ipv6(ip) => is_allowed(ip.into(), is_exception),
        };
        if admitted { Ok(Admitted(url)) } else { Err(Refusal::NotPublic) }
    }

    /// Configures a client to resolve every name through this guard. The client follows no redirects, because
    /// each must be admitted, and uses no proxy, because a proxy would resolve names itself.
    ///
    /// The client must only get admitted URLs: a literal address is not resolved.
    pub fn configure(&self, client: ClientBuilder) -> ClientBuilder {
        client.dns_resolver(self.clone()).redirect(redirect::Policy::none()).no_proxy().referer(false)
    }

    /// A client that is configured like this, for a process that is frozen between requests. It reads the system's
    /// certificates when it is built, which takes time.
    pub fn client(&self, user_agent: &str) -> ClientBuilder {
        // An error means that the program has chosen a provider already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        self.configure(Client::builder())
            .user_agent(user_agent)
            // No decompression, because a small compressed body could expand beyond a limit.
            .no_gzip()
            .no_brotli()
            .no_deflate()
            .no_zstd()
            // No pool: the connections of a frozen process are dead when it resumes.
            .pool_max_idle_per_host(0)
    }

    /// Resolves a name.
    ///
    /// # Errors
    /// If the name has no address, or one that a client may not connect to.
    pub async fn resolve(&self, name: &str) -> Result<Vec<IpAddr>, Refusal> {
        // The port is not known here; `admit` has checked it.
        let is_exception = self.0.allow.iter().any(|allow| allow.names(name));
        if !is_exception && !is_public_name(name) {
            return Err(Refusal::NotPublic);
        }
        let addresses = self.0.resolver.resolve(name).await.map_err(|_| Refusal::Unresolved)?;
        if addresses.is_empty() {
            return Err(Refusal::Unresolved);
        }
        if addresses.iter().all(|ip| is_allowed(*ip, is_exception)) {
            Ok(addresses)
        } else {
            Err(Refusal::NotPublic)
        }
    }
}

/// Returns `true` if a client may connect to `ip`. An exception allows loopback and nothing else, so that no
/// setting lets a request reach a metadata service.
fn is_allowed(ip: IpAddr, is_exception: bool) -> bool {
    is_public(ip) || (is_exception && ip.is_loopback())
}

/// Returns `true` if the name can be a public one. Its addresses are checked as well; this check keeps
/// private names from being resolved at all.
fn is_public_name(name: &str) -> bool {
    // Reserved for private networks by RFC 6761, 6762, 8375 and 9476 and by ICANN (`internal`), or in common
    // use there.
    const PRIVATE: [&str; 10] =
        ["localhost", "local", "internal", "localdomain", "arpa", "alt", "lan", "intranet", "corp", "home"];
    match name.trim_end_matches('.').to_ascii_lowercase().rsplit_once('.') {
        Some((_, top)) => !PRIVATE.contains(&top) && top.parse::<u32>().is_err(),
        // A single label, such as `localhost` or `metadata`, is a name of a private network.
        None => false,
    }
}

impl Default for Guard {
    fn default() -> Self {
        Self::new(Vec::new(), System)
    }
}

impl std::fmt::Debug for Guard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Inner { ports, allow, resolver: _ } = &*self.0;
        f.debug_struct("Guard").field("ports", ports).field("allow", allow).finish_non_exhaustive()
    }
}

impl Admitted {
    /// The normalized URL to request.
    #[must_use]
    pub const fn url(&self) -> &Url {
        &self.0
    }

    /// Returns the host, with its port if that is not the usual one.
    #[must_use]
    pub fn host(&self) -> String {
        let host = self.0.host_str().unwrap_or_default();
        match self.0.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        }
    }

    /// Returns `true` if a secret cannot be read on the way: over TLS, or on the local machine, which only an exception for
    /// development allows.
    #[must_use]
    pub fn keeps_secrets(&self) -> bool {
        let host = self.0.host_str().unwrap_or_default();
        let ip = host.trim_matches(['[', ']']).parse::<IpAddr>();
        self.0.scheme() == "https" || host == "localhost" || ip.is_ok_and(|ip| ip.is_loopback())
    }
}

impl Refusal {
    /// Returns the refusal that made a request of a guarded client fail.
    #[must_use]
    pub fn in_error(error: &reqwest::Error) -> Option<&Self> {
        let mut source = error.source();
        while let Some(cause) = source {
            if let Some(refusal) = cause.downcast_ref() {
                return Some(refusal);
            }
            source = cause.source();
        }
        None
    }
}

#[cfg(test)]
mod tests;
