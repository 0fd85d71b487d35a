//! Names of models, and the provider that a name selects.

use std::{borrow::Cow, fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::Error;

/// The name of a model as a caller gives it: `demo`, `gpt-5.4-mini`, `claude-sonnet-4-6`,
/// `openai/some-local-model`.
///
/// The prefixes `openai/`, `anthropic/`, `bedrock/` and `demo/` select the provider. Without one, `demo` is the demo,
/// `claude-...` is Anthropic, and every other name belongs to the OpenAI-compatible provider, also with a
/// slash (`meta-llama/llama-4`).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
// The pattern refuses `::`, as the parser does. It cannot refuse a provider without a name, such as `openai/`.
#[cfg_attr(feature = "openapi", schema(
    value_type = String, min_length = 1, max_length = 128, example = "openai/gpt-5-mini",
    pattern = r"^:?[A-Za-z0-9_./@+-]+(:[A-Za-z0-9_./@+-]+)*:?$",
))]
pub struct ModelName(Cow<'static, str>);

/// A provider of models.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Provider {
    /// The deterministic demo, which is not a model.
    Demo,
    /// OpenAI, or another server with its API at the configured address.
    #[serde(rename = "openai")]
    OpenAi,
    /// Anthropic, with its own protocol.
    Anthropic,
    /// Amazon Bedrock, whose requests are signed by the function's role.
    Bedrock,
}

impl Provider {
    /// Returns the stable name, as serialized.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Demo => "demo",
            Self::OpenAi => "openai",
            Self::Anthropic => "anthropic",
            Self::Bedrock => "bedrock",
        }
    }
}

impl ModelName {
    /// The name of the demo.
    pub const DEMO: Self = Self(Cow::Borrowed("demo"));
    const MAX_BYTES: usize = 128;

    /// Returns the name of a provider's model, with the provider in front. `provider` is the stable name of a [`Provider`].
    ///
    /// # Errors
    /// If it is not the name of a model.
    pub fn of(provider: &str, model: &str) -> Result<Self, Error> {
        format!("{provider}/{model}").parse()
    }

    pub(crate) const fn from_static(name: &'static str) -> Self {
        Self(Cow::Borrowed(name))
    }

    /// Returns the name as it was given.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the provider, and the provider's name of the model.
    pub fn split(&self) -> (Provider, &str) {
        Self::parts(self.as_str())
    }

    pub(crate) fn parts(name: &str) -> (Provider, &str) {
        match name.split_once('/') {
            Some(("demo", rest)) => (Provider::Demo, rest),
            Some(("openai", rest)) => (Provider::OpenAi, rest),
            Some(("anthropic", rest)) => (Provider::Anthropic, rest),
            Some(("bedrock", rest)) => (Provider::Bedrock, rest),
            _ if name == "demo" => (Provider::Demo, name),
            _ if name.starts_with("claude-") => (Provider::Anthropic, name),
            _ => (Provider::OpenAi, name),
        }
    }
}

impl FromStr for ModelName {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:/@+".contains(&byte);
        let is_well_formed = !name.is_empty() && name.len() <= Self::MAX_BYTES && name.bytes().all(allowed);
        let parsed = Self(Cow::Owned(name.to_owned()));
        if is_well_formed && !parsed.split().1.is_empty() {
            Ok(parsed)
        } else {
            Err(Error::BadRequest("the name of the model is not valid".into()))
        }
    }
}

impl TryFrom<String> for ModelName {
    type Error = Error;

    fn try_from(name: String) -> Result<Self, Error> {
        name.parse()
    }
}

impl From<ModelName> for String {
    fn from(name: ModelName) -> Self {
        name.0.into_owned()
    }
}

impl fmt::Display for ModelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEDROCK_PROFILE: &str =
        "bedrock/arn:aws:bedrock:eu-central-1:123456789012:application-inference-profile/a1b2c3d4e5f6";

    #[test]
    fn the_name_selects_the_provider() {
        let cases = [
            ("demo", Provider::Demo, "demo"),
            ("demo/fast", Provider::Demo, "fast"),
            ("gpt-5.4-mini", Provider::OpenAi, "gpt-5.4-mini"),
            ("claude-sonnet-4-6", Provider::Anthropic, "claude-sonnet-4-6"),
            ("openai/claude-x", Provider::OpenAi, "claude-x"),
            ("anthropic/claude-x", Provider::Anthropic, "claude-x"),
            ("bedrock/eu.amazon.nova-pro-v1:0", Provider::Bedrock, "eu.amazon.nova-pro-v1:0"),
            (BEDROCK_PROFILE, Provider::Bedrock, &BEDROCK_PROFILE["bedrock/".len()..]),
            ("meta-llama/llama-4:free", Provider::OpenAi, "meta-llama/llama-4:free"),
            ("openai/openai/gpt-4o", Provider::OpenAi, "openai/gpt-4o"),
        ];
        for (name, provider, upstream) in cases {
            let parsed: ModelName = name.parse().unwrap();
            assert_eq!(parsed.split(), (provider, upstream), "{name}");
        }
    }

    #[test]
    fn malformed_names_are_refused() {
        let long = "a".repeat(129);
        for name in ["", "a b", "a\r\nX: y", "openai/", "bedrock/", "a?b", "ü", &long] {
            assert!(name.parse::<ModelName>().is_err(), "{name:?}");
        }
    }
}
