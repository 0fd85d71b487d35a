//! The headers that a tool sends beside those that every request has.

use http::{HeaderName, HeaderValue};
use sequent_core::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

/// Headers of a tool at most.
pub(crate) const MAX_HEADERS: usize = 20;
/// Bytes of a value at most.
const MAX_VALUE: usize = 4096;
/// Headers that every request has, or that belong to the connection.
const RESERVED: [&str; 16] = [
    "accept-encoding",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "idempotency-key",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "webhook-id",
    "webhook-signature",
    "webhook-timestamp",
];

/// A header of a tool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ToolHeader {
    /// The name, in lower case.
    #[cfg_attr(feature = "openapi", schema(example = "authorization"))]
    pub name: String,
    /// The value. Null if it is secret.
    pub value: Option<String>,
    /// The value is stored encrypted and never shown again.
    pub secret: bool,
}

/// A header to set.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct NewHeader {
    /// The name. It is none of those that every request has, such as `content-type` and `idempotency-key`.
    #[cfg_attr(feature = "openapi", schema(min_length = 1, max_length = 100, example = "authorization"))]
    pub(crate) name: String,
    /// The value: 1 to 4,096 visible ASCII characters and spaces. In a change, a secret header without it keeps its value, unless
    /// the host of the tool changes.
    #[serde(default)]
    #[cfg_attr(
        feature = "openapi",
        schema(value_type = Option<String>, min_length = 1, max_length = 4096, example = "Bearer 4f1c", write_only)
    )]
    pub(crate) value: Option<SecretString>,
    /// The value is stored encrypted and never shown again.
    #[serde(default)]
    pub(crate) secret: bool,
}

impl NewHeader {
    /// Returns the name of the header if a tool may set it.
    pub(crate) fn accepted_name(&self) -> Option<String> {
        let name = HeaderName::from_bytes(self.name.as_bytes()).ok()?.as_str().to_owned();
        let is_free = !RESERVED.contains(&name.as_str()) && !name.starts_with("proxy-");
        (name.len() <= 100 && is_free).then_some(name)
    }
}

/// Returns `true` if a header can have the value.
pub(crate) fn is_value(value: &SecretString) -> bool {
    let text = value.expose_secret();
    let is_plain = text.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ');
    (1..=MAX_VALUE).contains(&text.len()) && is_plain && text.trim() == text
}

/// Returns the value as it is sent. It is marked as sensitive, so that no log of the client shows it.
pub(crate) fn sent(value: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(value).ok()?;
    value.set_sensitive(true);
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tool_cannot_set_what_every_request_has() {
        let accepted =
            |name: &str| NewHeader { name: name.to_owned(), value: None, secret: false }.accepted_name();
        assert_eq!(accepted("X-Shop").as_deref(), Some("x-shop"));
        assert_eq!(accepted("Authorization").as_deref(), Some("authorization"));
        for name in ["", "a b", "a:b", "Host", "Idempotency-Key", "webhook-id", "Proxy-Authorization", "é"] {
            assert_eq!(accepted(name), None, "{name}");
        }
        for name in RESERVED {
            assert_eq!(accepted(name), None, "{name}");
        }
    }

    #[test]
    fn a_value_cannot_begin_another_header() {
        for value in ["", "a\r\nb: c", "a\nb", " a", "a\t", "ä", &"x".repeat(4097)] {
            assert!(!is_value(&value.into()), "{value:?}");
        }
        assert!(is_value(&"Bearer a.b-c_d=".into()));
    }
}
