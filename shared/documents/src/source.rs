//! The sources of a document, and the addresses that it may link to.

use serde::{Deserialize, Serialize};
use url::Url;

use crate::limits;

/// A source that a citation `[^id]` points to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "plain data")]
pub struct Source {
    pub id: SourceId,
    pub url: WebUrl,
    pub title: String,
    /// The day on which the source was read, as `YYYY-MM-DD`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accessed: Option<String>,
    /// The relevant passage, word for word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quote: Option<String>,
}

/// The id of a source within its document: `[A-Za-z0-9_-]{1,64}`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SourceId(String);

impl SourceId {
    /// Returns `None` if the id is not valid.
    #[must_use]
    pub fn new(name: &str) -> Option<Self> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
        ((1..=64).contains(&name.len()) && name.bytes().all(plain)).then(|| Self(name.to_owned()))
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for SourceId {
    type Error = &'static str;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        Self::new(&name)
            .ok_or("the id of a source must have 1 to 64 of the characters A-Z, a-z, 0-9, `_` and `-`")
    }
}

impl From<SourceId> for String {
    fn from(id: SourceId) -> Self {
        id.0
    }
}

/// An absolute `http` or `https` address without credentials, which is safe to click on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct WebUrl(String);

impl WebUrl {
    /// Normalises the address. Returns `None` if a document may not link to it.
    #[must_use]
    pub fn new(address: &str) -> Option<Self> {
        if address.len() > limits::URL_CHARS {
            return None;
        }
        let url = Url::parse(address).ok()?;
        let open = matches!(url.scheme(), "http" | "https")
            && url.username().is_empty()
            && url.password().is_none()
            && url.has_host();
        // Normalisation percent-encodes, so the result may exceed the limit, and would then not parse again.
        open.then(|| String::from(url)).filter(|url| url.len() <= limits::URL_CHARS).map(Self)
    }

    /// The address as ASCII text without spaces, quotes or angle brackets.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for WebUrl {
    type Error = &'static str;

    fn try_from(address: String) -> Result<Self, Self::Error> {
        Self::new(&address)
            .ok_or("the address must be absolute, http or https, and without user name or password")
    }
}

impl From<WebUrl> for String {
    fn from(url: WebUrl) -> Self {
        url.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_of_the_public_web_are_accepted() {
        assert_eq!(WebUrl::new("HTTPS://Example.com/a b").unwrap().as_str(), "https://example.com/a%20b");
        assert_eq!(
            WebUrl::new("https://例え.test/?q=\"<").unwrap().as_str(),
            "https://xn--r8jz45g.test/?q=%22%3C"
        );
        for address in
            ["javascript:alert(1)", "data:,x", "//a.test", "/a", "https://u:p@a.test", "mailto:a@b.test", ""]
        {
            assert_eq!(WebUrl::new(address), None, "{address}");
        }
        assert_eq!(WebUrl::new(&format!("https://a.test/{}", "x".repeat(3000))), None);
    }

    #[test]
    fn ids_have_plain_characters_only() {
        assert!(SourceId::new("who-2024_a").is_some());
        assert!(["", "a b", "a]", "é"].iter().all(|id| SourceId::new(id).is_none()));
    }
}
