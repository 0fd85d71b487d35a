//! The secrets of a tool: its secret headers, and the secret that signs its requests.

use std::collections::BTreeMap;

use sequent_core::{ExposeSecret, SecretString, TenantId};
use sequent_identity::secret::{SealError, SealingKeys};
use sequent_webhooks::signature::{SecretError, SigningSecret};
use serde::{Deserialize, Serialize};

use crate::ToolName;

/// The shortest part of a secret value that is removed from answers. Shorter ones are common words.
const MIN_REDACTED: usize = 8;

/// The secrets of a tool. They are stored sealed, as one.
pub(crate) struct ToolSecrets {
    /// The values of secret headers.
    pub(crate) headers: BTreeMap<String, SecretString>,
    /// The secret that signs requests.
    pub(crate) signing: SigningSecret,
}

/// The form in which the secrets are sealed.
#[derive(Serialize, Deserialize)]
struct SealedDocument {
    headers: BTreeMap<String, String>,
    signing: String,
}

impl ToolSecrets {
    pub(crate) fn seal(&self, keys: &SealingKeys, purpose: &str) -> Result<String, SealError> {
        let exposed =
            |(name, value): (&String, &SecretString)| (name.clone(), value.expose_secret().to_owned());
        let document = SealedDocument {
            headers: self.headers.iter().map(exposed).collect(),
            signing: self.signing.text().expose_secret().to_owned(),
        };
        let text = serde_json::to_string(&document).map_err(|_| SealError::Unopenable)?;
        keys.seal(&text.into(), purpose)
    }

    pub(crate) fn open(keys: &SealingKeys, sealed: &str, purpose: &str) -> Result<Self, SealError> {
        let text = keys.open(sealed, purpose)?;
        let document: SealedDocument =
            serde_json::from_str(text.expose_secret()).map_err(|_| SealError::Unopenable)?;
        let signing = SigningSecret::parse(&document.signing.into());
        let signing = signing.map_err(|_: SecretError| SealError::Unopenable)?;
        let headers = document.headers.into_iter().map(|(name, value)| (name, value.into())).collect();
        Ok(Self { headers, signing })
    }

    /// Removes the values of secret headers from a text, also as JSON writes them. Some servers repeat in an answer what they
    /// were sent, and an answer is kept in the log of its run.
    pub(crate) fn redact(&self, mut text: String) -> String {
        let values = self.headers.values().map(ExposeSecret::expose_secret);
        // A scheme such as `Bearer` is not sent back with the token.
        let parts = values.flat_map(|value| std::iter::once(value).chain(value.split(' ')));
        for part in parts.filter(|part| part.len() >= MIN_REDACTED) {
            let quoted = serde_json::Value::from(part).to_string();
            for form in [part, quoted.trim_matches('"')] {
                if text.contains(form) {
                    text = text.replace(form, "[redacted]");
                }
            }
        }
        text
    }
}

/// The purpose that the secrets are sealed for. It contains the host, so that no row can send them to another one.
pub(crate) fn purpose(tenant: TenantId, name: &ToolName, base: &str) -> String {
    format!("http tool of {tenant}: {name} {base}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_cannot_write_a_secret_header_into_the_log() {
        let value: SecretString = r#"Bearer s3cret"token\x"#.into();
        let secrets = ToolSecrets {
            headers: BTreeMap::from([("authorization".to_owned(), value)]),
            signing: SigningSecret::generate().unwrap(),
        };
        let json = serde_json::json!({"headers": {"authorization": r#"Bearer s3cret"token\x"#}}).to_string();
        assert_eq!(secrets.redact(json), r#"{"headers":{"authorization":"[redacted]"}}"#);
        let text = r#"the token s3cret"token\x is wrong, Bearer"#.to_owned();
        assert_eq!(secrets.redact(text), "the token [redacted] is wrong, Bearer");
    }
}
