//! The settings of the pipeline.

use std::time::Duration;

use sequent_core::{
    pace::scaled,
    setting::{self, InvalidSetting},
};

use crate::{notify, rate_limit::Limits};

/// The largest request body, in bytes.
const MAX_BODY: usize = 1024 * 1024;

/// The HTTP API ends a request after 30 s. The caller gets our response a little earlier, and not the gateway's.
const TIMEOUT: Duration = Duration::from_secs(28);

const CREDENTIAL_CHECK: Duration = Duration::from_secs(10);

/// The settings of the pipeline.
#[derive(Debug, Clone)]
pub struct Config {
    /// `true` on the one-machine stack, from `LOCAL`. Nothing else makes the pipeline lenient: neither the stage of a
    /// deployment nor a setting that is missing.
    pub is_local: bool,
    /// The name of the stack, from `STACK`, by which metrics are published.
    pub stack: Option<String>,
    /// The origin that users see, from `PUBLIC_URL`, such as `https://app.example.com`. Without it, the origin that the CDN
    /// reports is used: see [`RequestContext::public_origin`](crate::RequestContext::public_origin).
    pub public_origin: Option<String>,
    /// Further origins that may call with credentials, from `ALLOWED_ORIGINS`.
    pub allowed_origins: Vec<String>,
    /// The largest request body in bytes, unless a route sets [`crate::BodyLimit`].
    pub max_body: usize,
    /// The time within which a handler must begin its response, besides the deadline of the invocation.
    pub timeout: Duration,
    /// The rate limits, from `RATE_LIMIT_PER_MINUTE`.
    pub limits: Limits,
    /// The time between two looks at the credential of a response that lasts: an ended session ends its streams within it.
    /// Each costs half a read unit, so it is longer than the time for which requests trust what they have read.
    pub credential_check: Duration,
    /// The addresses to which failures are reported.
    pub notify: notify::Config,
}

impl Config {
    /// Reads the environment.
    ///
    /// # Errors
    /// [`InvalidSetting`] if a value is not allowed.
    pub fn from_env() -> Result<Self, InvalidSetting> {
        Ok(Self { notify: notify::Config::from_env(), ..Self::read(setting::text)? })
    }

    fn read(get: impl Fn(&str) -> Option<String>) -> Result<Self, InvalidSetting> {
        let is_local = setting::is_local(get("LOCAL").as_deref())?;
        let limits = if is_local { Limits::LOCAL } else { Limits::DEPLOYED };
        Ok(Self {
            is_local,
            stack: get("STACK"),
            public_origin: get("PUBLIC_URL").map(|url| origin("PUBLIC_URL", &url)).transpose()?,
            allowed_origins: origins("ALLOWED_ORIGINS", &get("ALLOWED_ORIGINS").unwrap_or_default())?,
            max_body: MAX_BODY,
            timeout: TIMEOUT,
            limits: limits.overridden(&get("RATE_LIMIT_PER_MINUTE").unwrap_or_default())?,
            credential_check: scaled(CREDENTIAL_CHECK),
            notify: notify::Config::default(),
        })
    }

    /// The settings of tests: the one-machine stack, without other services.
    #[cfg(any(test, feature = "testing"))]
    #[must_use]
    pub fn for_tests() -> Self {
        Self {
            is_local: true,
            stack: None,
            public_origin: Some("http://localhost:8080".to_owned()),
            allowed_origins: Vec::new(),
            max_body: MAX_BODY,
            timeout: TIMEOUT,
            limits: Limits::LOCAL,
            credential_check: Duration::from_millis(50),
            notify: notify::Config::default(),
        }
    }

    /// Returns `true` if users connect over plain HTTP, which only the one-machine stack allows.
    #[must_use]
    pub fn plain_http(&self) -> bool {
        self.is_local && self.public_origin.as_ref().is_some_and(|origin| origin.starts_with("http://"))
    }

    /// Returns `true` if pages of every origin may call: on the one-machine stack, unless there is a list.
    pub(crate) fn any_origin(&self) -> bool {
        self.is_local && self.allowed_origins.is_empty()
    }

    /// Returns `true` if a page of this origin may write with the user's cookies: one of the deployment at `public`, or a
    /// listed one. If any origin may call, only pages of this machine may do that besides: a site on the web must not reach
    /// a developer's local data.
    pub(crate) fn trusts_origin(&self, origin: &str, public: Option<&str>) -> bool {
        let listed = public == Some(origin) || self.allowed_origins.iter().any(|trusted| trusted == origin);
        listed || (self.any_origin() && is_loopback(origin))
    }
}

fn origins(variable: &str, list: &str) -> Result<Vec<String>, InvalidSetting> {
    let urls = list.split(',').map(str::trim).filter(|url| !url.is_empty());
    urls.map(|url| origin(variable, url)).collect()
}

fn origin(variable: &str, url: &str) -> Result<String, InvalidSetting> {
    origin_of(url).ok_or_else(|| InvalidSetting::new(variable, url, "an http or https URL"))
}

/// The scheme, host and port of a URL, as browsers write it in `Origin`.
fn origin_of(url: &str) -> Option<String> {
    let uri: http::Uri = url.trim().parse().ok()?;
    let scheme = uri.scheme_str().filter(|scheme| matches!(*scheme, "http" | "https"))?;
    let port = match (scheme, uri.port_u16()) {
        (_, None) | ("http", Some(80)) | ("https", Some(443)) => String::new(),
        (_, Some(port)) => format!(":{port}"),
    };
    Some(format!("{scheme}://{}{port}", uri.host()?.to_ascii_lowercase()))
}

fn is_loopback(origin: &str) -> bool {
    let host = origin.parse::<http::Uri>().ok().and_then(|uri| uri.host().map(str::to_owned));
    host.is_some_and(|host| {
        host == "localhost"
            || host.ends_with(".localhost")
            || host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(settings: &[(&str, &str)]) -> Config {
        let get = |name: &str| {
            settings.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        Config::read(get).unwrap()
    }

    #[test]
    fn only_the_one_machine_stack_is_lenient() {
        for settings in [
            &[][..],
            &[("STAGE", "dev")],
            &[("STAGE", "dev"), ("LOCAL", "false"), ("PUBLIC_URL", "http://a.example")],
        ] {
            let deployed = read(settings);
            assert_eq!(deployed.limits, Limits::DEPLOYED, "{settings:?}");
            assert!(!deployed.any_origin() && !deployed.plain_http(), "{settings:?}");
            assert!(!deployed.trusts_origin("http://localhost:5173", None), "{settings:?}");
        }
        let local = read(&[("LOCAL", "true"), ("STAGE", "prod"), ("PUBLIC_URL", "http://localhost:8080")]);
        assert_eq!(local.limits, Limits::LOCAL);
        assert!(local.any_origin() && local.plain_http());
        assert!(local.trusts_origin("http://localhost:5173", None));
    }

    #[test]
    fn a_malformed_origin_is_refused() {
        let listed = origins("ALLOWED_ORIGINS", "https://a.example, http://b.example/").unwrap();
        assert_eq!(listed, ["https://a.example", "http://b.example"]);
        assert!(origins("ALLOWED_ORIGINS", "https://a.example,b.example").is_err());
    }

    #[test]
    fn origins_are_written_as_browsers_write_them() {
        assert_eq!(origin_of("https://App.Example.com/path").as_deref(), Some("https://app.example.com"));
        assert_eq!(origin_of("https://a.example:443").as_deref(), Some("https://a.example"));
        assert_eq!(origin_of(" http://localhost:8080/ ").as_deref(), Some("http://localhost:8080"));
        assert_eq!(origin_of("file:///etc/passwd"), None);
        assert_eq!(origin_of("app.example.com"), None);
    }

    #[test]
    fn the_one_machine_stack_trusts_this_machine_and_a_deployment_its_list() {
        let dev = Config::for_tests();
        for (origin, trusted) in [
            ("http://localhost:8080", true),
            ("http://localhost:5173", true),
            ("http://127.0.0.1:3000", true),
            ("http://[::1]:3000", true),
            ("https://evil.example", false),
            ("http://localhost.evil.example", false),
            ("null", false),
        ] {
            assert_eq!(dev.trusts_origin(origin, None), trusted, "{origin}");
        }
        let prod = Config {
            is_local: false,
            public_origin: Some("https://app.example".into()),
            allowed_origins: vec!["https://admin.example".into()],
            ..dev
        };
        let trusts = |origin| prod.trusts_origin(origin, prod.public_origin.as_deref());
        assert!(trusts("https://app.example") && trusts("https://admin.example"));
        assert!(!trusts("http://localhost:5173") && !trusts("http://app.example"));
    }
}
