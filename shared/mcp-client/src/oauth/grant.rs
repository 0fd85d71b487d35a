//! The tokens that an authorization server has granted.

use std::time::Duration;

use sequent_core::{ExposeSecret, SecretString, Timestamp};
use sequent_identity::secret::{SealError, SealingKeys};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Exchange;
use crate::{Failure, sign_in::Pending};

/// A token is renewed this long before it expires.
const MARGIN: Duration = Duration::from_secs(60);
/// The longest token that a header can hold.
const MAX_TOKEN: usize = 8 << 10;
/// Bytes that are quoted from an error at most.
const MAX_QUOTE: usize = 300;

/// This client at an authorization server.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OAuthClient {
    pub(crate) id: String,
    pub(crate) secret: Option<String>,
}

/// Tokens, and what renews them. It is stored sealed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TokenGrant {
    pub(crate) access_token: String,
    refresh_token: Option<String>,
    expires_at: Option<Timestamp>,
    client: OAuthClient,
    token_endpoint: String,
    resource: String,
}

impl OAuthClient {
    fn basic(&self) -> Option<(&str, &str)> {
        self.secret.as_deref().map(|secret| (self.id.as_str(), secret))
    }
}

impl TokenGrant {
    /// Asks for tokens with this form. What the answer does not contain is that of `self`, so that `self` may be empty.
    async fn request(
        &self,
        exchange: Exchange<'_>,
        form: &[(&str, &str)],
        now: Timestamp,
    ) -> Result<Self, Failure> {
        let common = [("client_id", self.client.id.as_str()), ("resource", self.resource.as_str())];
        let form: Vec<(&str, &str)> = form.iter().copied().chain(common).collect();
        let reply = exchange.post_form(&self.token_endpoint, &form, self.client.basic()).await?;
        let text = |name: &str| reply.body[name].as_str().filter(|text| !text.is_empty());
        if !reply.status.is_success() {
            return Err(refusal(reply.status.as_u16(), text("error"), text("error_description")));
        }
        let is_token =
            |token: &&str| token.len() <= MAX_TOKEN && token.bytes().all(|byte| byte.is_ascii_graphic());
        let is_bearer = text("token_type").is_none_or(|kind| kind.eq_ignore_ascii_case("bearer"));
        let Some(access_token) = text("access_token").filter(is_token).filter(|_| is_bearer) else {
            return Err(Failure::Refused("The authorization server granted no bearer token.".into()));
        };
        let lifetime = match &reply.body["expires_in"] {
            Value::String(seconds) => seconds.parse().ok(),
            seconds => seconds.as_u64(),
        };
        Ok(Self {
            access_token: access_token.to_owned(),
            refresh_token: text("refresh_token").map(str::to_owned).or_else(|| self.refresh_token.clone()),
            expires_at: lifetime
                .map(|seconds: u64| now + Duration::from_secs(seconds.min(u64::from(u32::MAX)))),
            ..self.clone()
        })
    }

    /// Exchanges a code for tokens.
    pub(crate) async fn of_code(
        exchange: Exchange<'_>,
        pending: &Pending,
        code: &str,
        now: Timestamp,
    ) -> Result<Self, Failure> {
        let empty = Self {
            access_token: String::new(),
            refresh_token: None,
            expires_at: None,
            client: pending.client.clone(),
            token_endpoint: pending.token_endpoint.clone(),
            resource: pending.resource.clone(),
        };
        let form = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", &pending.redirect_uri),
            ("code_verifier", &pending.verifier),
        ];
        empty.request(exchange, &form, now).await
    }

    /// Renews the tokens. The former ones may be void then.
    pub(crate) async fn renewed(&self, exchange: Exchange<'_>, now: Timestamp) -> Result<Self, Failure> {
        let Some(token) = &self.refresh_token else { return Err(ended()) };
        let form = [("grant_type", "refresh_token"), ("refresh_token", token.as_str())];
        match self.request(exchange, &form, now).await {
            Err(Failure::Refused(_)) => Err(ended()),
            outcome => outcome,
        }
    }

    /// Returns `true` if the access token is valid for some time, as far as is known.
    pub(crate) fn is_fresh(&self, now: Timestamp) -> bool {
        self.expires_at.is_none_or(|expires| now + MARGIN < expires)
    }

    pub(crate) fn seal(&self, keys: &SealingKeys, purpose: &str) -> Result<String, SealError> {
        let text = serde_json::to_string(self).map_err(|_| SealError::Unopenable)?;
        keys.seal(&SecretString::from(text), purpose)
    }

    pub(crate) fn open(keys: &SealingKeys, sealed: &str, purpose: &str) -> Result<Self, SealError> {
        let text = keys.open(sealed, purpose)?;
        serde_json::from_str(text.expose_secret()).map_err(|_| SealError::Unopenable)
    }
}

/// The failure if there is no way to renew a token.
pub(crate) fn ended() -> Failure {
    Failure::Refused("The sign-in to the server has ended. Sign in again.".into())
}

fn refusal(status: u16, error: Option<&str>, description: Option<&str>) -> Failure {
    if status >= 500 || status == 429 {
        return Failure::Unreached(format!("The authorization server answered {status}. Try again later."));
    }
    let mut text = match (error, description) {
        (Some(error), Some(description)) => {
            format!("The authorization server refused: {error}: {description}")
        }
        (Some(error), None) => format!("The authorization server refused: {error}"),
        (None, _) => format!("The authorization server answered {status}."),
    };
    text.truncate(text.floor_char_boundary(MAX_QUOTE));
    Failure::Refused(text)
}
