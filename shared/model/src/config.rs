//! Where models are served, with which keys, and how patiently we ask.
//!
//! | variable | meaning |
//! |---|---|
//! | `OPENAI_API_KEY`, `OPENAI_BASE_URL` | OpenAI, or any server of its chat completions API; the address includes `/v1`. A local server needs no key. |
//! | `ANTHROPIC_API_KEY`, `ANTHROPIC_BASE_URL` | Anthropic |
//! | `DEFAULT_MODEL` | the model of requests that name none; else by which key is present; else `demo` |
//! | `MODEL_FALLBACKS` | models to ask, in this order, when one cannot answer; separated by commas |
//! | `DEMO_TOKENS_PER_SECOND` | pace of the demo, 0 for as fast as possible; 40 |
//! | `MODEL_CONNECT_TIMEOUT_MS`, `MODEL_FIRST_TOKEN_TIMEOUT_MS`, `MODEL_IDLE_TIMEOUT_MS`, `MODEL_TOTAL_TIMEOUT_MS` | [`Timeouts`] |
//! | `MODEL_MAX_ATTEMPTS` | attempts before the first chunk; 3 |
//! | `MODEL_PRICES` | JSON on top of the built-in prices, see [`price::Table`] |
//!
//! An empty variable counts as absent. Keys may also come from a [`Secrets`] document; a variable wins over it.

use std::time::Duration;

use secrecy::SecretString;
use serde::Deserialize;

use crate::{ModelName, Policy, Provider, price};

/// Everything a [`Client`](crate::Client) needs to know.
#[derive(Clone, Debug)]
pub struct Config {
    /// The OpenAI-compatible provider, if there is one.
    pub openai: Option<Endpoint>,
    /// Anthropic, if there is a key.
    pub anthropic: Option<Endpoint>,
    /// The model of requests that name none.
    pub default_model: ModelName,
    /// Models asked, one after the other, while the one before cannot answer.
    pub fallbacks: Vec<ModelName>,
    /// Pace of the demo; 0 is as fast as possible.
    pub demo_tokens_per_second: u32,
    /// How long to wait.
    pub timeouts: Timeouts,
    /// How often to try.
    pub retry: Policy,
    /// What tokens cost.
    pub prices: price::Table,
    /// Our HTTP client, if the embedding program has one; else one is built at the first request.
    pub http: Option<reqwest::Client>,
}

/// A server of models.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// Address that paths are appended to; ends with `/`.
    pub(crate) base_url: String,
    pub(crate) key: Option<SecretString>,
}

/// How long silence may last.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// To open a connection.
    pub connect: Duration,
    /// From an attempt's start to its first chunk. Models that reason in silence need much.
    pub first_token: Duration,
    /// Between chunks.
    pub idle: Duration,
    /// From the request to the end, all attempts included.
    pub total: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            first_token: Duration::from_secs(90),
            idle: Duration::from_secs(60),
            total: Duration::from_secs(600),
        }
    }
}

/// Keys as the secrets document holds them: `{"openai_api_key", "openai_base_url", "anthropic_api_key"}`, all optional, others ignored.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Secrets {
    /// As `OPENAI_API_KEY`.
    pub openai_api_key: Option<SecretString>,
    /// As `OPENAI_BASE_URL`.
    pub openai_base_url: Option<String>,
    /// As `ANTHROPIC_API_KEY`.
    pub anthropic_api_key: Option<SecretString>,
}

impl Secrets {
    /// Reads the document.
    pub fn from_json(json: &str) -> Result<Self, Error> {
        // The parser's own message may quote the document.
        serde_json::from_str(json).map_err(|_| Error::Secrets)
    }
}

/// A setting that cannot be used. Names it, and never shows its value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Not an `http` or `https` address.
    #[error("{0} is not an http(s) address")]
    Address(&'static str),
    /// Not a whole number, or out of range.
    #[error("{0} is not a number in range")]
    Number(&'static str),
    /// Not a model's name.
    #[error("DEFAULT_MODEL is not a model's name")]
    Model,
    /// Not a list of models' names.
    #[error("MODEL_FALLBACKS is not a comma-separated list of models' names")]
    Fallbacks,
    /// Not a table of prices.
    #[error("MODEL_PRICES is not a JSON object of prices: {0}")]
    Prices(String),
    /// Not the expected document.
    #[error("the model secrets are not the expected JSON document")]
    Secrets,
}

impl Endpoint {
    /// A server and its key, if it wants one.
    pub fn new(base_url: &str, key: Option<SecretString>) -> Result<Self, Error> {
        Self::named("base URL", base_url, key)
    }

    fn named(name: &'static str, base_url: &str, key: Option<SecretString>) -> Result<Self, Error> {
        let url = reqwest::Url::parse(base_url).map_err(|_| Error::Address(name))?;
        // A password in the address would reach logs and `Debug`.
        let credentials = !url.username().is_empty() || url.password().is_some();
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() || credentials {
            return Err(Error::Address(name));
        }
        // Paths are joined onto the address, which would replace a last segment without a slash.
        let slash = if base_url.ends_with('/') { "" } else { "/" };
        Ok(Self { base_url: format!("{base_url}{slash}"), key })
    }
}

const OPENAI_URL: &str = "https://api.openai.com/v1/";
const ANTHROPIC_URL: &str = "https://api.anthropic.com/v1/";
const OPENAI_DEFAULT: ModelName = ModelName::from_static("gpt-5.4-mini");
const ANTHROPIC_DEFAULT: ModelName = ModelName::from_static("claude-sonnet-4-6");

impl Config {
    /// No provider but the demo.
    pub fn demo() -> Self {
        Self {
            openai: None,
            anthropic: None,
            default_model: ModelName::DEMO,
            fallbacks: Vec::new(),
            demo_tokens_per_second: 40,
            timeouts: Timeouts::default(),
            retry: Policy::default(),
            prices: price::Table::default(),
            http: None,
        }
    }

    /// Reads the environment, with `secrets` behind it.
    pub fn from_env(secrets: Secrets) -> Result<Self, Error> {
        Self::from_lookup(|name| std::env::var(name).ok(), secrets)
    }

    /// Reads settings from wherever `lookup` finds them.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>, secrets: Secrets) -> Result<Self, Error> {
        let text = |name: &str| lookup(name).filter(|value| !value.trim().is_empty());
        let key = |name: &str| text(name).map(|key| SecretString::from(key.trim()));
        let number = |name: &'static str, least: u64| match text(name) {
            None => Ok(None),
            Some(value) => match value.trim().parse::<u32>() {
                Ok(number) if u64::from(number) >= least => Ok(Some(number)),
                _ => Err(Error::Number(name)),
            },
        };
        let millis = |name, default: Duration| {
            let given = number(name, 1)?;
            Ok(given.map_or(default, |ms| Duration::from_millis(ms.into())))
        };

        let openai_key = key("OPENAI_API_KEY").or(secrets.openai_api_key.filter(is_set));
        let openai_url = text("OPENAI_BASE_URL").or(secrets.openai_base_url).filter(|u| !u.is_empty());
        let openai = (openai_key.is_some() || openai_url.is_some())
            .then(|| {
                let url = openai_url.as_deref().unwrap_or(OPENAI_URL);
                Endpoint::named("OPENAI_BASE_URL", url.trim(), openai_key)
            })
            .transpose()?;
        let anthropic = key("ANTHROPIC_API_KEY")
            .or(secrets.anthropic_api_key.filter(is_set))
            .map(|key| {
                let url = text("ANTHROPIC_BASE_URL");
                let url = url.as_deref().unwrap_or(ANTHROPIC_URL);
                Endpoint::named("ANTHROPIC_BASE_URL", url.trim(), Some(key))
            })
            .transpose()?;

        let default_model = match text("DEFAULT_MODEL") {
            Some(name) => name.trim().parse().map_err(|_| Error::Model)?,
            None if openai.is_some() => OPENAI_DEFAULT,
            None if anthropic.is_some() => ANTHROPIC_DEFAULT,
            None => ModelName::DEMO,
        };
        let fallbacks = text("MODEL_FALLBACKS").unwrap_or_default();
        let fallbacks = fallbacks.split(',').map(str::trim).filter(|name| !name.is_empty());
        let fallbacks =
            fallbacks.map(|name| name.parse().map_err(|_| Error::Fallbacks)).collect::<Result<_, _>>()?;
        let prices = match text("MODEL_PRICES") {
            Some(json) => price::Table::from_json(&json).map_err(|error| Error::Prices(error.to_string()))?,
            None => price::Table::default(),
        };
        let usual = Timeouts::default();
        let demo = Self::demo();
        Ok(Self {
            openai,
            anthropic,
            default_model,
            fallbacks,
            demo_tokens_per_second: number("DEMO_TOKENS_PER_SECOND", 0)?
                .unwrap_or(demo.demo_tokens_per_second),
            timeouts: Timeouts {
                connect: millis("MODEL_CONNECT_TIMEOUT_MS", usual.connect)?,
                first_token: millis("MODEL_FIRST_TOKEN_TIMEOUT_MS", usual.first_token)?,
                idle: millis("MODEL_IDLE_TIMEOUT_MS", usual.idle)?,
                total: millis("MODEL_TOTAL_TIMEOUT_MS", usual.total)?,
            },
            retry: Policy {
                attempts: number("MODEL_MAX_ATTEMPTS", 1)?.unwrap_or(demo.retry.attempts),
                ..demo.retry
            },
            prices,
            http: None,
        })
    }

    /// The server of a provider's models; the demo has none.
    pub(crate) fn endpoint(&self, provider: Provider) -> Option<&Endpoint> {
        match provider {
            Provider::Demo => None,
            Provider::OpenAi => self.openai.as_ref(),
            Provider::Anthropic => self.anthropic.as_ref(),
        }
    }
}

fn is_set(key: &SecretString) -> bool {
    use secrecy::ExposeSecret;
    !key.expose_secret().is_empty()
}

#[cfg(test)]
mod tests;
