//! The configuration: providers, keys, timeouts and prices.
//!
//! | variable | meaning |
//! |---|---|
//! | `OPENAI_API_KEY`, `OPENAI_BASE_URL` | OpenAI, or any server with its chat completions API. The address includes `/v1`. A local server needs no key. |
//! | `ANTHROPIC_API_KEY`, `ANTHROPIC_BASE_URL` | Anthropic |
//! | `BEDROCK_MODELS` | the models of Amazon Bedrock that the function's role may call; without them it is not used |
//! | `BEDROCK_ACCESS_KEY_ID`, `BEDROCK_SECRET_ACCESS_KEY`, `BEDROCK_SESSION_TOKEN` | credentials for Bedrock in place of the function's own |
//! | `BEDROCK_REGION`, `BEDROCK_BASE_URL` | the Region and the address of Bedrock, if they are not those of the function |
//! | `DEFAULT_MODEL` | the model of requests that name none, and after it, separated by commas, models to try in this order if one cannot answer; the default depends on the providers, and is `demo` without one on one machine |
//! | `ALLOWED_MODELS` | the models that requests may name, see [`AllowedModels`] |
//! | `LOCAL` | `true` on one machine, where the demo answers |
//! | `DEMO_TOKENS_PER_SECOND` | speed of the demo, 0 for as fast as possible; default 40 |
//! | `MODEL_CONNECT_TIMEOUT_MS`, `MODEL_FIRST_TOKEN_TIMEOUT_MS`, `MODEL_IDLE_TIMEOUT_MS`, `MODEL_TOTAL_TIMEOUT_MS` | [`Timeouts`] |
//! | `MODEL_MAX_ATTEMPTS` | attempts before the first chunk; default 3 |
//! | `MODEL_PRICES` | JSON that overrides the built-in prices, see [`price::Table`] |
//! | `MODEL_ABILITIES` | JSON that overrides the built-in abilities of models, such as their windows, see [`AbilityTable`] |
//!
//! An empty variable counts as absent. Keys may also come from a [`Secrets`] document; a variable takes
//! precedence.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use crate::{AbilityTable, AllowedModels, ModelName, Policy, Provider, allowed, bedrock, price};

/// The configuration of a [`Client`](crate::Client).
#[derive(Clone, Debug)]
pub struct Config {
    /// The OpenAI-compatible provider, if one is configured.
    pub openai: Option<Endpoint>,
    /// Anthropic, if a key is configured.
    pub anthropic: Option<Endpoint>,
    /// Amazon Bedrock, if its models or credentials for it are configured.
    pub bedrock: Option<Endpoint>,
    /// The model of requests that name none.
    pub default_model: ModelName,
    /// Models to try in this order if a model cannot answer.
    pub fallbacks: Vec<ModelName>,
    /// The models that requests may name. The default model and its fallbacks are always allowed.
    pub allowed: AllowedModels,
    /// The demo answers requests that name it.
    pub demo: bool,
    /// Speed of the demo; 0 is as fast as possible.
    pub demo_tokens_per_second: u32,
    /// The timeouts of a request.
    pub timeouts: Timeouts,
    /// The rules for retries.
    pub retry: Policy,
    /// The prices of tokens.
    pub prices: price::Table,
    /// The abilities of models.
    pub abilities: AbilityTable,
    /// The HTTP client to use. Without it, one is created at the first request.
    pub http: Option<reqwest::Client>,
}

/// The server of a provider.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// The address that paths are appended to.
    pub(crate) base_url: reqwest::Url,
    pub(crate) key: Option<SecretString>,
    /// Signs the requests to a server that takes no key.
    pub(crate) signer: Option<bedrock::Signer>,
}

/// Time limits of a request.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// To open a connection.
    pub connect: Duration,
    /// The longest silence between the start of an attempt and its first chunk. Models that reason before they answer
    /// need a long time.
    pub first_token: Duration,
    /// The longest silence after the first chunk.
    pub idle: Duration,
    /// From the request to the end of the answer, including all attempts.
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

/// The fields of the secret `models`, which the operator stores with `scripts/secret`. All are optional, and unknown
/// fields are ignored.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the fields are named like the variables")]
pub struct Secrets {
    pub openai_api_key: Option<SecretString>,
    pub openai_base_url: Option<String>,
    pub anthropic_api_key: Option<SecretString>,
}

impl Secrets {
    /// Returns `true` if both have the same keys and address.
    pub(crate) fn equals(&self, other: &Self) -> bool {
        let text = |key: &Option<SecretString>| key.as_ref().map(|key| key.expose_secret().to_owned());
        text(&self.openai_api_key) == text(&other.openai_api_key)
            && text(&self.anthropic_api_key) == text(&other.anthropic_api_key)
            && self.openai_base_url == other.openai_base_url
    }

    /// Parses the fields as JSON, for tests and tools.
    ///
    /// # Errors
    /// If it is not the expected JSON.
    pub fn from_json(json: &str) -> Result<Self, Error> {
        // The parser's message is dropped, because it may quote the document.
        serde_json::from_str(json).map_err(|_| Error::Secrets)
    }
}

/// A setting that is not valid. The message contains its name, and never its value, which may be a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The address is neither `http` nor `https`, or contains credentials.
    #[error("{0} is not valid: set an http(s) address without credentials")]
    Address(&'static str),
    /// The number is not a whole number, or is out of range.
    #[error("{0} is not valid: set a whole number in range")]
    Number(&'static str),
    /// The Region is not valid.
    #[error("BEDROCK_REGION is not valid: set the name of a Region, such as eu-central-1")]
    Region,
    /// The name of the default model is not valid.
    #[error("DEFAULT_MODEL is not valid: set the names of models, separated by commas")]
    Model,
    /// The table of prices is not valid.
    #[error("MODEL_PRICES is not valid: set a JSON object of prices: {0}")]
    Prices(String),
    /// The table of abilities is not valid.
    #[error("MODEL_ABILITIES is not valid: set a JSON object of abilities: {0}")]
    Abilities(String),
    /// The fields of the secret are not valid.
    #[error("the secret `models` is not valid: store its fields with scripts/secret")]
    Secrets,
}

impl Endpoint {
    /// Creates an endpoint from the address of a server, and its key if it needs one.
    ///
    /// # Errors
    /// If the address is not valid.
    pub fn new(base_url: &str, key: Option<SecretString>) -> Result<Self, Error> {
        Self::named("base URL", base_url, key)
    }

    pub(crate) fn named(
        name: &'static str,
        base_url: &str,
        key: Option<SecretString>,
    ) -> Result<Self, Error> {
        let url = reqwest::Url::parse(base_url).map_err(|_| Error::Address(name))?;
        // Credentials in the address would appear in logs and `Debug` output.
        let credentials = !url.username().is_empty() || url.password().is_some();
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() || credentials {
            return Err(Error::Address(name));
        }
        Ok(Self { base_url: url, key, signer: None })
    }

    /// Returns the address of a path on this server. A query of the base address, such as Azure's version, stays.
    pub(crate) fn url(&self, path: &str) -> reqwest::Url {
        let mut url = self.base_url.clone();
        url.set_path(&format!("{}/{path}", url.path().trim_end_matches('/')));
        url
    }

    /// Returns `true` if the server is at one of these domains.
    pub(crate) fn is_at(&self, domains: &[&str]) -> bool {
        let host = self.base_url.host_str().unwrap_or_default();
        let is_of = |domain: &str| {
            host.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        };
        domains.iter().any(|domain| is_of(domain))
    }
}

const OPENAI_URL: &str = "https://api.openai.com/v1/";
const ANTHROPIC_URL: &str = "https://api.anthropic.com/v1/";
const OPENAI_DEFAULT: ModelName = ModelName::from_static("gpt-5.4-mini");
const ANTHROPIC_DEFAULT: ModelName = ModelName::from_static("claude-sonnet-4-6");

impl Config {
    /// The configuration with the demo as the only provider.
    pub fn demo() -> Self {
        Self {
            openai: None,
            anthropic: None,
            bedrock: None,
            default_model: ModelName::DEMO,
            fallbacks: Vec::new(),
            allowed: AllowedModels::any(),
            demo: true,
            demo_tokens_per_second: 40,
            timeouts: Timeouts::default(),
            retry: Policy::default(),
            prices: price::Table::default(),
            abilities: AbilityTable::default(),
            http: None,
        }
    }

    /// Reads the environment, and `secrets` for what it does not contain.
    ///
    /// # Errors
    /// If a setting is not valid.
    pub fn from_env(secrets: Secrets) -> Result<Self, Error> {
        Self::from_lookup(|name| std::env::var(name).ok(), secrets)
    }

    /// Reads the settings with `lookup`.
    ///
    /// # Errors
    /// If a setting is not valid.
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
            let millis = number(name, 1)?;
            Ok(millis.map_or(default, |ms| Duration::from_millis(ms.into())))
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

        let bedrock = bedrock::endpoint(&text)?;

        // The demo costs time and no money, so it must not answer strangers.
        let demo = text("LOCAL").as_deref() == Some("true");
        let mut models = own_models(&text)?.into_iter();
        let default_model = match models.next() {
            Some(model) => model,
            None if openai.is_some() => OPENAI_DEFAULT,
            None if anthropic.is_some() => ANTHROPIC_DEFAULT,
            None if demo && bedrock.is_none() => ModelName::DEMO,
            None => bedrock::default_model(&text).unwrap_or(OPENAI_DEFAULT),
        };
        // Requests for runs are checked against the whole rule. This module does not know the plans.
        let allowed =
            text("ALLOWED_MODELS").map_or_else(AllowedModels::any, |list| AllowedModels::listed(&list));
        let prices = match text("MODEL_PRICES") {
            Some(json) => price::Table::from_json(&json).map_err(|error| Error::Prices(error.to_string()))?,
            None => price::Table::default(),
        };
        let abilities = match text("MODEL_ABILITIES") {
            Some(json) => {
                AbilityTable::from_json(&json).map_err(|error| Error::Abilities(error.to_string()))?
            }
            None => AbilityTable::default(),
        };
        let default_timeouts = Timeouts::default();
        let usual = Self::demo();
        Ok(Self {
            openai,
            anthropic,
            bedrock,
            default_model,
            fallbacks: models.collect(),
            allowed,
            demo,
            demo_tokens_per_second: number("DEMO_TOKENS_PER_SECOND", 0)?
                .unwrap_or(usual.demo_tokens_per_second),
            timeouts: Timeouts {
                connect: millis("MODEL_CONNECT_TIMEOUT_MS", default_timeouts.connect)?,
                first_token: millis("MODEL_FIRST_TOKEN_TIMEOUT_MS", default_timeouts.first_token)?,
                idle: millis("MODEL_IDLE_TIMEOUT_MS", default_timeouts.idle)?,
                total: millis("MODEL_TOTAL_TIMEOUT_MS", default_timeouts.total)?,
            },
            retry: Policy {
                attempts: number("MODEL_MAX_ATTEMPTS", 1)?.unwrap_or(usual.retry.attempts),
                ..usual.retry
            },
            prices,
            abilities,
            http: None,
        })
    }

    /// Returns `true` if a provider of real models is configured.
    #[must_use]
    pub fn has_provider(&self) -> bool {
        self.openai.is_some() || self.anthropic.is_some() || self.bedrock.is_some()
    }

    /// Returns the reason why no model answers requests, or `None` if one does.
    pub(crate) fn unconfigured(&self) -> Option<crate::Error> {
        (!self.has_provider() && !self.demo).then_some(crate::Error::NoProvider)
    }

    /// Returns `true` if requests may name the model.
    pub(crate) fn allows(&self, model: &ModelName) -> bool {
        if model.split().0 == Provider::Demo {
            return self.demo;
        }
        self.allowed.contains(model) || *model == self.default_model || self.fallbacks.contains(model)
    }

    /// Returns the server of a provider. The demo has none.
    pub(crate) fn endpoint(&self, provider: Provider) -> Option<&Endpoint> {
        match provider {
            Provider::Demo => None,
            Provider::OpenAi => self.openai.as_ref(),
            Provider::Anthropic => self.anthropic.as_ref(),
            Provider::Bedrock => self.bedrock.as_ref(),
        }
    }
}

/// Returns the models that `DEFAULT_MODEL` names: the default, then its fallbacks.
///
/// # Errors
/// If one of the names is not valid.
pub(crate) fn own_models(text: &impl Fn(&str) -> Option<String>) -> Result<Vec<ModelName>, Error> {
    let names = allowed::names(&text("DEFAULT_MODEL").unwrap_or_default());
    names.into_iter().map(|name| name.parse().map_err(|_| Error::Model)).collect()
}

/// Returns the models of which one is the default of the deployment, for a function that has no keys: the one in
/// `DEFAULT_MODEL`, or that of the provider in the environment, or else those of all providers, because a key may be in
/// the [`Secrets`].
///
/// # Errors
/// If `DEFAULT_MODEL` is not valid.
pub fn default_models(lookup: impl Fn(&str) -> Option<String>) -> Result<Vec<ModelName>, Error> {
    let text = |name: &str| lookup(name).filter(|value| !value.trim().is_empty());
    if let Some(model) = own_models(&text)?.into_iter().next() {
        return Ok(vec![model]);
    }
    let has_openai = text("OPENAI_API_KEY").is_some() || text("OPENAI_BASE_URL").is_some();
    let defaults = if has_openai { vec![OPENAI_DEFAULT] } else { vec![OPENAI_DEFAULT, ANTHROPIC_DEFAULT] };
    Ok(defaults.into_iter().chain(bedrock::default_model(&text).filter(|_| !has_openai)).collect())
}

fn is_set(key: &SecretString) -> bool {
    !key.expose_secret().is_empty()
}

#[cfg(test)]
mod tests;
