//! The setting `TRACE_ENDPOINT`: where traces go.

use std::str::FromStr;

use sequent_core::setting::{self, InvalidSetting};
use url::{Host, Url};

const VARIABLE: &str = "TRACE_ENDPOINT";
const ALLOWED: &str = "an https:// address, followed by ` contents` if contents are recorded";
/// The word after the address that has the contents of messages and tools recorded.
const CONTENTS: &str = "contents";

/// The address that traces are sent to, and what they contain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceEndpoint {
    /// The complete address, such as `https://cloud.langfuse.com/api/public/otel/v1/traces`.
    pub(crate) url: Url,
    /// Spans have the texts of messages, arguments and results.
    pub(crate) records_contents: bool,
}

impl TraceEndpoint {
    /// Reads `TRACE_ENDPOINT`. Returns `None` if it is not set: no traces are sent.
    ///
    /// # Errors
    /// [`InvalidSetting`] if it is not an address that traces may be sent to.
    pub fn from_env() -> Result<Option<Self>, InvalidSetting> {
        setting::parsed(VARIABLE, ALLOWED)
    }
}

impl FromStr for TraceEndpoint {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut words = text.split_whitespace();
        let url: Url = words.next().and_then(|word| word.parse().ok()).ok_or(ALLOWED)?;
        let records_contents = words.next().map(|word| word == CONTENTS);
        let is_complete = records_contents != Some(false) && words.next().is_none();
        let is_plain = url.username().is_empty() && url.password().is_none();
        let is_safe = url.scheme() == "https" || (url.scheme() == "http" && is_loopback(&url));
        if is_complete && is_plain && is_safe {
            Ok(Self { url, records_contents: records_contents.is_some() })
        } else {
            Err(ALLOWED)
        }
    }
}

/// Returns `true` if the address is of this machine, where a test or a developer has a collector.
fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traces_leave_the_machine_encrypted_and_without_contents_unless_asked() {
        let address = "https://otel.example.com/v1/traces";
        for (text, records_contents) in [(address.to_owned(), false), (format!("{address} contents"), true)] {
            let endpoint: TraceEndpoint = text.parse().unwrap();
            assert_eq!((endpoint.url.as_str(), endpoint.records_contents), (address, records_contents));
        }
        assert!("http://127.0.0.1:4318/v1/traces".parse::<TraceEndpoint>().is_ok());
        assert!("http://localhost:4318/v1/traces".parse::<TraceEndpoint>().is_ok());
        for refused in [
            "http://otel.example.com/v1/traces",
            "http://127.0.0.1.example.com/",
            "https://user:password@otel.example.com/v1/traces",
            "https://otel.example.com/v1/traces content",
            "https://otel.example.com/v1/traces contents more",
            "otel.example.com",
            "file:///tmp/traces",
        ] {
            assert!(refused.parse::<TraceEndpoint>().is_err(), "{refused}");
        }
    }
}
