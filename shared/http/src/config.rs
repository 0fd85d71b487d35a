//! The environment of the pipeline.

use std::time::Duration;

use crate::{notify, rate_limit::Limits};

/// Where the process runs. Anything not named `dev` or `staging` is production: the safe side of a typing error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// A developer's machine.
    Dev,
    /// A deployed rehearsal.
    Staging,
    /// The real thing.
    Prod,
}

impl Stage {
    /// From `STAGE`.
    #[must_use]
    pub fn from_env() -> Self {
        Self::parse(&std::env::var("STAGE").unwrap_or_default())
    }

    fn parse(text: &str) -> Self {
        match text {
            "dev" => Self::Dev,
            "staging" => Self::Staging,
            _ => Self::Prod,
        }
    }
}

/// Settings of the pipeline.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where the process runs.
    pub stage: Stage,
    /// The origin users see, from `PUBLIC_URL`, such as `https://app.example.com`.
    pub public_origin: Option<String>,
    /// Further origins that may call with credentials, from `ALLOWED_ORIGINS`.
    pub allowed_origins: Vec<String>,
    /// Largest request body in bytes, unless a route says otherwise with [`crate::BodyLimit`].
    pub max_body: usize,
    /// How long a handler may take to begin its answer; the invocation's own deadline also holds.
    pub timeout: Duration,
    /// Rate limits.
    pub limits: Limits,
    /// Where operators are told of failures.
    pub notify: notify::Config,
}

impl Config {
    /// From the environment.
    #[must_use]
    pub fn from_env() -> Self {
        let read = |name: &str| std::env::var(name).ok().filter(|text| !text.trim().is_empty());
        let stage = Stage::from_env();
        let list = read("ALLOWED_ORIGINS").unwrap_or_default();
        Self {
            stage,
            public_origin: read("PUBLIC_URL").as_deref().and_then(origin_of),
            allowed_origins: list.split(',').filter_map(origin_of).collect(),
            max_body: 1024 * 1024,
            // The HTTP API gives up after 30 s; the caller should get our answer, not the gateway's.
            timeout: Duration::from_secs(28),
            limits: Limits::parse(read("RATE_LIMIT_PER_MINUTE").as_deref(), stage),
            notify: notify::Config::from_env(),
        }
    }

    /// Settings for tests: development without an outside world.
    #[cfg(any(test, feature = "testing"))]
    #[must_use]
    pub fn for_tests() -> Self {
        Self {
            stage: Stage::Dev,
            public_origin: Some("http://localhost:8080".to_owned()),
            allowed_origins: Vec::new(),
            max_body: 1024 * 1024,
            timeout: Duration::from_secs(28),
            limits: Limits::parse(None, Stage::Dev),
            notify: notify::Config::default(),
        }
    }

    /// Whether users come over plain HTTP, which only development allows.
    #[must_use]
    pub fn plain_http(&self) -> bool {
        self.stage == Stage::Dev
            && self.public_origin.as_ref().is_none_or(|origin| origin.starts_with("http://"))
    }

    /// Whether every origin may call: development without a list of its own.
    pub(crate) fn any_origin(&self) -> bool {
        self.stage == Stage::Dev && self.allowed_origins.is_empty()
    }

    /// Whether a page of this origin may write with the user's cookies. Where any origin may call, only pages served
    /// by this machine may do that: a site on the web must not reach a developer's local data.
    pub(crate) fn trusts_origin(&self, origin: &str) -> bool {
        let listed = self.public_origin.iter().chain(&self.allowed_origins).any(|trusted| trusted == origin);
        listed || (self.any_origin() && is_loopback(origin))
    }
}

/// Scheme, host and port of a URL, as browsers write it in `Origin`.
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

    #[test]
    fn an_unknown_stage_is_production() {
        assert_eq!(Stage::parse("dev"), Stage::Dev);
        assert_eq!(Stage::parse("Dev"), Stage::Prod);
        assert_eq!(Stage::parse(""), Stage::Prod);
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
    fn development_trusts_this_machine_and_production_its_list() {
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
            assert_eq!(dev.trusts_origin(origin), trusted, "{origin}");
        }
        let prod = Config {
            stage: Stage::Prod,
            public_origin: Some("https://app.example".into()),
            allowed_origins: vec!["https://admin.example".into()],
            ..dev
        };
        assert!(prod.trusts_origin("https://app.example") && prod.trusts_origin("https://admin.example"));
        assert!(!prod.trusts_origin("http://localhost:5173") && !prod.trusts_origin("http://app.example"));
    }
}
