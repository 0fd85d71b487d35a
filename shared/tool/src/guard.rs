//! Requests to addresses that somebody else chose (a model, a tenant, a page that redirects) reach the public internet
//! and nothing else. Guards against server-side request forgery.
//!
//! A request passes two gates, and needs both:
//!
//! 1. [`Guard::admit`] looks at the URL: scheme, credentials, port, the host's name, and the address if the host is one.
//!    HTTP clients do not ask a resolver about literal addresses, so these are judged here or never. It must see the
//!    first URL and the target of every redirect.
//! 2. The guard is the resolver of the client that [`Guard::configure`] sets up. A name is resolved once, when the
//!    connection is made; every address is judged, and the connection goes to those very addresses. There is no second
//!    look-up that a name server could answer differently (DNS rebinding), and no connection without a judgement, also
//!    not in a client that lives for days.
//!
//! One address that is not public refuses the whole name: an honest name has no such addresses, and a client might
//! choose it.

mod address;
mod allow;
mod resolve;

use std::{net::IpAddr, sync::Arc};

use reqwest::{ClientBuilder, redirect};
use url::{Host, Url};

pub use address::is_public;
pub use allow::{Allow, NotAllowable};
pub use resolve::{Resolve, System};

/// Decides where requests may go. Cheap to clone.
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

/// Why a request does not go out. Safe to show: says nothing about what a name resolves to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Not a URL with a host.
    #[error("that is not a valid address")]
    Malformed,
    /// Not `http` or `https`.
    #[error("only http and https addresses can be reached")]
    Scheme,
    /// A name or a password in the URL.
    #[error("the address must not contain credentials")]
    Credentials,
    /// A port where no web server is expected.
    #[error("port {0} cannot be reached")]
    Port(u16),
    /// Not on the public internet.
    #[error("the address is not on the public internet")]
    NotPublic,
    /// The name has no address, or the name server does not answer.
    #[error("the host name could not be resolved")]
    Unresolved,
}

impl Guard {
    /// Where web servers are.
    pub const PORTS: [u16; 4] = [80, 443, 8080, 8443];

    /// A guard with exceptions, see [`Allow`], and its own resolver.
    #[must_use]
    pub fn new(allow: Vec<Allow>, resolver: impl Resolve + 'static) -> Self {
        Self::with_ports(Self::PORTS.into(), allow, resolver)
    }

    /// As [`Guard::new`], with other ports.
    #[must_use]
    pub fn with_ports(ports: Vec<u16>, allow: Vec<Allow>, resolver: impl Resolve + 'static) -> Self {
        Self(Arc::new(Inner { ports, allow, resolver: Box::new(resolver) }))
    }

    /// From `SSRF_ALLOW`: exceptions separated by commas, for development and tests; none by default.
    pub fn from_env() -> Result<Self, NotAllowable> {
        let allow = Allow::parse_list(&std::env::var("SSRF_ALLOW").unwrap_or_default())?;
        Ok(Self::new(allow, System))
    }

    /// The first gate.
    pub fn admit(&self, url: &str) -> Result<Admitted, Refusal> {
        self.admit_url(Url::parse(url).map_err(|_| Refusal::Malformed)?)
    }

    /// The first gate for a redirect from `from`, whose `location` may be relative.
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
        // The parser has made one spelling of all: case, IDNA, and every way to write an IPv4 address.
        let host = url.host().ok_or(Refusal::Malformed)?.to_owned();
        if let Host::Domain(name) = &host {
            let bare = name.trim_end_matches('.');
            if bare.len() != name.len() {
                // No certificate names `example.com.`, and no rule below shall have to think of it.
                let bare = bare.to_owned();
                url.set_host(Some(&bare)).map_err(|_| Refusal::Malformed)?;
                return self.admit_url(url);
            }
        }
        let exception = self.0.allow.iter().any(|allow| allow.covers(&host, port));
        if !exception && !self.0.ports.contains(&port) {
            return Err(Refusal::Port(port));
        }
        let admitted = match host {
            Host::Domain(name) => exception || is_public_name(&name),
            Host::Ipv4(ip) => allowed(ip.into(), exception),
            Host::Ipv6(ip) => allowed(ip.into(), exception),
        };
        if admitted { Ok(Admitted(url)) } else { Err(Refusal::NotPublic) }
    }

    /// The second gate: a client whose every connection passes this guard's resolver. It follows no redirects, because
    /// each must be admitted, and uses no proxy, which would resolve names by itself.
    ///
    /// Hand it admitted URLs only: a literal address does not come past a resolver.
    pub fn configure(&self, client: ClientBuilder) -> ClientBuilder {
        client.dns_resolver(self.clone()).redirect(redirect::Policy::none()).no_proxy().referer(false)
    }

    /// The addresses of a name, if a connection may go to all of them.
    pub async fn resolve(&self, name: &str) -> Result<Vec<IpAddr>, Refusal> {
        // The name alone does not say the port, which `admit` has checked.
        let exception = self.0.allow.iter().any(|allow| allow.names(name));
        if !exception && !is_public_name(name) {
            return Err(Refusal::NotPublic);
        }
        let addresses = self.0.resolver.resolve(name).await.map_err(|_| Refusal::Unresolved)?;
        if addresses.is_empty() {
            return Err(Refusal::Unresolved);
        }
        if addresses.iter().all(|ip| allowed(*ip, exception)) {
            Ok(addresses)
        } else {
            Err(Refusal::NotPublic)
        }
    }
}

/// An exception opens loopback and never more, so that no setting lets a request reach a metadata service.
fn allowed(ip: IpAddr, exception: bool) -> bool {
    is_public(ip) || (exception && ip.is_loopback())
}

/// Whether a name can be one of the public internet. Its addresses are judged as well: this keeps such names from being
/// asked for at all, and from whatever a resolver in a private network would make of them.
fn is_public_name(name: &str) -> bool {
    // Reserved for private networks by RFC 6761, 6762, 8375 and 9476 and by ICANN (`internal`), or in common use there.
    const PRIVATE: [&str; 10] =
        ["localhost", "local", "internal", "localdomain", "arpa", "alt", "lan", "intranet", "corp", "home"];
    match name.trim_end_matches('.').to_ascii_lowercase().rsplit_once('.') {
        Some((_, top)) => !PRIVATE.contains(&top) && top.parse::<u32>().is_err(),
        // A single label, such as `localhost` or `metadata`, is somebody's own network.
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
    /// The URL, as it will be requested.
    #[must_use]
    pub const fn url(&self) -> &Url {
        &self.0
    }
}

#[cfg(test)]
mod tests;
