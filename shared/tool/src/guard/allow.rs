//! Exceptions for development: servers on the local machine that requests may reach.

use std::str::FromStr;

use url::{Host, Url};

/// A host and port that may be on loopback, such as `127.0.0.1:9999`, `[::1]:9999` or `docs.test:9999`. The
/// host must match the URL's spelling: `localhost:9999` does not allow `127.0.0.1:9999`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allow {
    host: Host<String>,
    port: u16,
}

/// The error for a text that is not a valid exception.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a loopback address or host name with a port, such as 127.0.0.1:9999")]
pub struct NotAllowable(String);

impl Allow {
    /// Parses exceptions separated by commas.
    ///
    /// # Errors
    /// If one is not a loopback address or a host name with a port.
    pub fn parse_list(text: &str) -> Result<Vec<Self>, NotAllowable> {
        text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::parse).collect()
    }

    pub(super) fn covers(&self, host: &Host<String>, port: u16) -> bool {
        self.port == port && self.host == *host
    }

    pub(super) fn names(&self, name: &str) -> bool {
        matches!(&self.host, Host::Domain(own) if own == name)
    }
}

impl FromStr for Allow {
    type Err = NotAllowable;

    fn from_str(text: &str) -> Result<Self, NotAllowable> {
        let wrong = || NotAllowable(text.to_owned());
        // Parsed like the URLs it is compared with. The parser drops the scheme's default port, so the scheme
        // is one whose default port (21) is never needed.
        let url = Url::parse(&format!("ftp://{text}")).map_err(|_| wrong())?;
        let is_bare = url.username().is_empty() && url.password().is_none() && matches!(url.path(), "" | "/");
        let host = url.host().filter(|_| is_bare).ok_or_else(wrong)?;
        let port = url.port().ok_or_else(wrong)?;
        let is_loopback = match &host {
            Host::Domain(_) => true,
            Host::Ipv4(ip) => ip.is_loopback(),
            Host::Ipv6(ip) => ip.is_loopback(),
        };
        if is_loopback { Ok(Self { host: host.to_owned(), port }) } else { Err(wrong()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exceptions_are_loopback_with_a_port() {
        let list = Allow::parse_list(" 127.0.0.1:9999, [::1]:80,LocalHost:8080 ,").unwrap();
        assert_eq!(list.len(), 3);
        assert!(list[2].names("localhost") && list[2].covers(&Host::Domain("localhost".into()), 8080));
        assert!(Allow::parse_list("").unwrap().is_empty());
        for text in [
            "127.0.0.1",
            "10.0.0.1:80",
            "169.254.169.254:80",
            "[fd00:ec2::254]:80",
            "[::ffff:127.0.0.1]:80",
            "a:b@localhost:80",
            "localhost:80/path",
            "localhost:99999",
            "*",
            ":80",
        ] {
            assert!(Allow::parse_list(text).is_err(), "{text}");
        }
    }
}
