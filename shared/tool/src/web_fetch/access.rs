//! The hosts that `web_fetch` may read, as an operator or a tenant sets them.

use std::{fmt, str::FromStr};

use sequent_core::setting::{self, InvalidSetting};
use serde::{Deserialize, Serialize};
use url::{Host, Url};

/// The pages that may be read. A deployment has one, and a tenant can have another: a page must be allowed by both.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "mode", rename_all = "snake_case")]
pub enum WebAccess {
    /// Every page of the public web.
    #[default]
    On,
    /// No page of the web.
    Off,
    /// Pages of these hosts.
    Allowlist {
        #[expect(missing_docs, reason = "plain data")]
        hosts: Vec<HostPattern>,
    },
}

/// A host name such as `example.com`, or `*.example.com` for all names below it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HostPattern(String);

/// The text is not a host name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a host name such as `example.com`, or `*.example.com` for all names below it")]
pub struct InvalidHost;

impl WebAccess {
    /// Reads `WEB_FETCH`: `on` (the default), `off`, or hosts separated by commas.
    ///
    /// # Errors
    /// If the value is none of these.
    pub fn from_env() -> Result<Self, InvalidSetting> {
        const ALLOWED: &str =
            "`on`, `off`, or host names separated by commas, such as example.com,*.example.org";
        let text = setting::text("WEB_FETCH").unwrap_or_default();
        text.parse().map_err(|_| InvalidSetting::new("WEB_FETCH", text, ALLOWED))
    }

    /// Returns `true` if the page may be read.
    #[must_use]
    pub fn allows(&self, url: &Url) -> bool {
        match self {
            Self::On => true,
            Self::Off => false,
            Self::Allowlist { hosts } => {
                let host = url.host_str().unwrap_or_default();
                hosts.iter().any(|pattern| pattern.covers(host))
            }
        }
    }
}

impl FromStr for WebAccess {
    type Err = InvalidHost;

    fn from_str(text: &str) -> Result<Self, InvalidHost> {
        match text.trim() {
            "" | "on" => Ok(Self::On),
            "off" => Ok(Self::Off),
            list => {
                let hosts = list.split(',').map(|host| HostPattern::try_from(host.trim().to_owned()));
                Ok(Self::Allowlist { hosts: hosts.collect::<Result<_, _>>()? })
            }
        }
    }
}

impl HostPattern {
    fn covers(&self, host: &str) -> bool {
        match self.0.strip_prefix('*') {
            // The dot of the pattern keeps `badexample.com` out.
            Some(below) => host.len() > below.len() && host.ends_with(below),
            None => host == self.0,
        }
    }
}

impl TryFrom<String> for HostPattern {
    type Error = InvalidHost;

    fn try_from(text: String) -> Result<Self, InvalidHost> {
        let name = text.strip_prefix("*.").unwrap_or(&text);
        let is_name = name.contains('.') && !name.starts_with('.') && !name.contains('*');
        let Ok(host) = Host::parse(name) else { return Err(InvalidHost) };
        if !is_name || (matches!(host, Host::Ipv4(_) | Host::Ipv6(_)) && name != text) {
            return Err(InvalidHost);
        }
        // In the form of a parsed URL: lower case, international names in ASCII.
        let wildcard = if name == text { "" } else { "*." };
        Ok(Self(format!("{wildcard}{host}")))
    }
}

impl From<HostPattern> for String {
    fn from(pattern: HostPattern) -> Self {
        pattern.0
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(setting: &str, url: &str) -> bool {
        setting.parse::<WebAccess>().unwrap().allows(&Url::parse(url).unwrap())
    }

    #[test]
    fn a_setting_is_on_off_or_a_list_of_hosts() {
        assert_eq!("".parse(), Ok(WebAccess::On));
        assert_eq!("off".parse(), Ok(WebAccess::Off));
        for wrong in [
            "On",
            "example",
            "a b.com",
            "https://example.com",
            "example.com/x",
            "*",
            "*.com.*",
            "a.com,,b.com",
        ] {
            assert_eq!(wrong.parse::<WebAccess>(), Err(InvalidHost), "{wrong}");
        }
        let list: WebAccess = "Example.com, *.B\u{fc}cher.example".parse().unwrap();
        let json = serde_json::to_value(&list).unwrap();
        assert_eq!(
            json,
            serde_json::json!({"mode": "allowlist", "hosts": ["example.com", "*.xn--bcher-kva.example"]})
        );
        assert_eq!(serde_json::from_value::<WebAccess>(json).unwrap(), list);
    }

    #[test]
    fn a_host_covers_itself_and_a_wildcard_the_names_below() {
        for (url, allowed) in [
            ("https://example.com/x?y=1", true),
            ("https://EXAMPLE.com:8443/", true),
            ("https://www.example.com/", false),
            ("https://a.b.example.org/", true),
            ("https://example.org/", false),
            ("https://badexample.org/", false),
            ("https://example.com.evil.test/", false),
        ] {
            assert_eq!(allows("example.com,*.example.org", url), allowed, "{url}");
        }
        assert!(allows("on", "https://any.test/") && !allows("off", "https://any.test/"));
    }
}
