//! Cleaning the texts of providers: OpenAI quotes parts of a key that it rejects.

use secrecy::{ExposeSecret, SecretString};

use crate::Error;

/// Removes keys from the texts of errors.
#[derive(Debug)]
pub(crate) struct Redact(Option<SecretString>);

impl Redact {
    pub(crate) fn new(key: Option<SecretString>) -> Self {
        Self(key)
    }

    /// Returns the error with a cleaned text.
    pub(crate) fn error(&self, error: Error) -> Error {
        match error {
            Error::Unavailable(text) => Error::Unavailable(self.clean(&text)),
            Error::BadRequest(text) => Error::BadRequest(self.clean(&text)),
            other => other,
        }
    }

    /// Returns one short line without our key and without words that look like a key.
    pub(super) fn clean(&self, text: &str) -> String {
        const MAX_CHARS: usize = 300;
        let key = self.0.as_ref().map_or("", |key| key.expose_secret());
        let whole = match key {
            "" => text.to_owned(),
            key => text.replace(key, "[redacted]"),
        };
        let words = whole.split_whitespace().map(|word| {
            if ["sk-", "Bearer", "api_key", "api-key="].iter().any(|mark| word.contains(mark)) {
                "[redacted]"
            } else {
                word
            }
        });
        let line = words.collect::<Vec<_>>().join(" ");
        line.chars().filter(|c| !c.is_control()).take(MAX_CHARS).collect()
    }
}
