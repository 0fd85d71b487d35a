//! What a document rests on, and the only addresses that it may lead to.

use serde::{Deserialize, Serialize};
use url::Url;

use crate::limits;

/// A source that a citation `[^id]` points to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// The name that citations use.
    pub id: SourceId,
    /// Where it is.
    pub url: WebUrl,
    /// Its title.
    pub title: String,
    /// The day it was read, `YYYY-MM-DD`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accessed: Option<String>,
    /// The passage that counts, word for word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quote: Option<String>,
}

/// The name of a source within its document: `[A-Za-z0-9_-]{1,64}`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SourceId(String);

impl SourceId {
    /// The name, if it is one.
    #[must_use]
    pub fn new(name: &str) -> Option<Self> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
        ((1..=64).contains(&name.len()) && name.bytes().all(plain)).then(|| Self(name.to_owned()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for SourceId {
    type Error = &'static str;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        Self::new(&name).ok_or("a source's id has 1 to 64 of the characters A-Z, a-z, 0-9, `_` and `-`")
    }
}

impl From<SourceId> for String {
    fn from(id: SourceId) -> Self {
        id.0
    }
}

/// An absolute `http` or `https` address without credentials: readers will click on it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct WebUrl(String);

impl WebUrl {
    /// The address in its normal form, if it is one that a document may lead to.
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
        // Normalising percent-encodes: the result must still be within the limit, or it would not parse again.
        open.then(|| String::from(url)).filter(|url| url.len() <= limits::URL_CHARS).map(Self)
    }

    /// The address: ASCII, without spaces, quotes or angle brackets.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for WebUrl {
    type Error = &'static str;

    fn try_from(address: String) -> Result<Self, Self::Error> {
        Self::new(&address).ok_or("want an absolute http or https address without user name or password")
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
    fn only_the_open_web_is_linked() {
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
    fn ids_are_plain() {
        assert!(SourceId::new("who-2024_a").is_some());
        assert!(["", "a b", "a]", "é"].iter().all(|id| SourceId::new(id).is_none()));
    }
}
