//! The variables an instance starts with: a clean set, as on Lambda. Of the developer's own environment only
//! the names listed here pass.

use std::ffi::OsString;

/// Passed through when set: logging, the way out to model providers, their keys, and who else may be reached.
const INHERITED: &[&str] = &[
    "ANTHROPIC_API_KEY",
    "DEFAULT_MODEL",
    "HTTPS_PROXY",
    "LOG_FORMAT",
    "MODEL_FALLBACKS",
    "NO_PROXY",
    "OPENAI_API_KEY",
    "OPENAI_BASE_URL",
    "RUST_BACKTRACE",
    "RUST_LOG",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "SSRF_ALLOW",
];

/// Variables of one function; later ones win over earlier ones.
#[derive(Clone, Default)]
pub struct Environment(Vec<(OsString, OsString)>);

impl std::fmt::Debug for Environment {
    /// Names only: values may be keys.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

impl Environment {
    /// What passes from the developer's environment.
    pub fn inherited() -> Self {
        let set = INHERITED.iter().filter_map(|name| Some((OsString::from(name), std::env::var_os(name)?)));
        Self(set.collect())
    }

    /// Adds variables.
    #[must_use]
    pub fn with<K: Into<OsString>, V: Into<OsString>>(
        mut self,
        more: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        self.0.extend(more.into_iter().map(|(name, value)| (name.into(), value.into())));
        self
    }

    /// The variables in order.
    pub fn iter(&self) -> impl Iterator<Item = (&OsString, &OsString)> {
        self.0.iter().map(|(name, value)| (name, value))
    }
}
