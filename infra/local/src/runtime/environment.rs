//! The environment variables of an instance: a clean set, as on Lambda. From the developer's environment it
//! gets only the variables that are listed here.

use std::ffi::OsString;

/// Variables that are passed on if set: logging, proxies to model providers, their keys and settings, and other
/// allowed hosts.
const INHERITED: &[&str] = &[
    "ALLOWED_MODELS",
    "ANTHROPIC_API_KEY",
    "ANTHROPIC_BASE_URL",
    "BEDROCK_ACCESS_KEY_ID",
    "BEDROCK_BASE_URL",
    "BEDROCK_MODELS",
    "BEDROCK_REGION",
    "BEDROCK_SECRET_ACCESS_KEY",
    "BEDROCK_SESSION_TOKEN",
    "DEFAULT_MODEL",
    "DEMO_TOKENS_PER_SECOND",
    "HTTPS_PROXY",
    "LOG_FORMAT",
    "MODEL_ABILITIES",
    "MODEL_CONNECT_TIMEOUT_MS",
    "MODEL_FIRST_TOKEN_TIMEOUT_MS",
    "MODEL_IDLE_TIMEOUT_MS",
    "MODEL_MAX_ATTEMPTS",
    "MODEL_PRICES",
    "MODEL_TOTAL_TIMEOUT_MS",
    "NO_PROXY",
    "OPENAI_API_KEY",
    "OPENAI_BASE_URL",
    "RUN_MAX_INPUT_TOKENS",
    "RUN_MAX_OUTPUT_TOKENS",
    "RUST_BACKTRACE",
    "RUST_LOG",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "SSRF_ALLOW",
];

/// Variables of one function. Later ones override earlier ones.
#[derive(Clone, Default)]
pub struct Environment(Vec<(OsString, OsString)>);

impl std::fmt::Debug for Environment {
    /// Shows only the names, because values may be keys.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

impl Environment {
    /// Returns the variables that are passed on from the developer's environment.
    pub fn inherited() -> Self {
        let set = INHERITED.iter().filter_map(|name| Some((OsString::from(name), std::env::var_os(name)?)));
        Self(set.collect())
    }

    /// Adds variables, which override earlier ones.
    #[must_use]
    pub fn with<K: Into<OsString>, V: Into<OsString>>(
        mut self,
        more: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        self.0.extend(more.into_iter().map(|(name, value)| (name.into(), value.into())));
        self
    }

    /// Iterates over the variables in order.
    pub fn iter(&self) -> impl Iterator<Item = (&OsString, &OsString)> {
        self.0.iter().map(|(name, value)| (name, value))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// The names of variables in backticks in the lines of a text that `is_row` accepts.
    fn names(text: &str, is_row: impl Fn(&str) -> bool) -> BTreeSet<&str> {
        let is_name = |word: &&str| {
            word.len() > 3
                && word.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_' || byte.is_ascii_digit())
        };
        let first_cells = text.lines().filter(|line| is_row(line)).filter_map(|line| line.split('|').nth(1));
        let words =
            first_cells.flat_map(|cell| cell.split('`')).map(|word| word.split('=').next().unwrap_or(word));
        words.filter(is_name).collect()
    }

    #[test]
    fn every_documented_setting_of_the_models_is_passed_on() {
        let settings =
            names(include_str!("../../../../shared/model/src/config.rs"), |line| line.starts_with("//! | `"));
        assert!(settings.contains("ANTHROPIC_BASE_URL") && settings.len() > 15, "{settings:?}");
        // The template sets these. On one machine, the credentials for Bedrock decide.
        let passed: BTreeSet<&str> = INHERITED.iter().copied().chain(["LOCAL", "BEDROCK_MODELS"]).collect();
        let missing: Vec<_> = settings.difference(&passed).collect();
        assert!(missing.is_empty(), "{missing:?}");

        let document = include_str!("../../../docs/operations.md");
        let (_, section) = document.split_once("## Run locally").expect("a section");
        let section = section.split("\n## ").next().unwrap_or(section);
        let documented = names(section, |line| line.starts_with("| `"));
        let unknown: Vec<_> = settings
            .difference(&documented)
            .filter(|name| !["LOCAL", "BEDROCK_MODELS", "DEMO_TOKENS_PER_SECOND"].contains(*name))
            .collect();
        assert!(unknown.is_empty(), "not in operations.md: {unknown:?}");
        for name in ["RUN_MAX_INPUT_TOKENS", "RUN_MAX_OUTPUT_TOKENS"] {
            assert!(documented.contains(name) && passed.contains(name), "{name}");
        }
    }
}
