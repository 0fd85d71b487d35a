//! The body of a request to a hook, as the message of its run contains it.

use serde_json::{Map, Value};

use crate::Error;

/// The body of a request: JSON, the fields of a form, or a text. An empty one is absent.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct HookBody(pub(crate) Option<Value>);

impl HookBody {
    /// Most bytes of a body.
    pub const MAX: usize = 64 * 1024;

    /// Reads a body. `content_type` is the value of the header.
    ///
    /// # Errors
    /// [`Error::MediaType`], [`Error::Json`] or [`Error::Utf8`].
    pub fn read(content_type: Option<&str>, bytes: &[u8]) -> Result<Self, Error> {
        if bytes.is_empty() {
            return Ok(Self(None));
        }
        let media_type = content_type.unwrap_or_default().split(';').next().unwrap_or_default();
        let media_type = media_type.trim().to_ascii_lowercase();
        let is_json = media_type == "application/json"
            || (media_type.starts_with("application/") && media_type.ends_with("+json"));
        let value = match media_type.as_str() {
            _ if is_json => serde_json::from_slice(bytes).map_err(|_| Error::Json)?,
            "application/x-www-form-urlencoded" => form(bytes),
            text if text.starts_with("text/") => text_of(bytes)?,
            _ => return Err(Error::MediaType),
        };
        Ok(Self(Some(value)))
    }
}

fn text_of(bytes: &[u8]) -> Result<Value, Error> {
    std::str::from_utf8(bytes).map(Value::from).map_err(|_| Error::Utf8)
}

/// The fields of a form by their names. Several fields with one name are an array.
fn form(bytes: &[u8]) -> Value {
    let mut fields: Map<String, Value> = Map::new();
    for (name, value) in form_urlencoded::parse(bytes) {
        let value = Value::from(value.into_owned());
        match fields.get_mut(name.as_ref()) {
            None => {
                fields.insert(name.into_owned(), value);
            }
            Some(Value::Array(values)) => values.push(value),
            Some(first) => {
                let values = vec![first.take(), value];
                *first = Value::Array(values);
            }
        }
    }
    Value::Object(fields)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(content_type: &str, body: &str) -> Option<Value> {
        HookBody::read(Some(content_type), body.as_bytes()).unwrap().0
    }

    #[test]
    fn a_body_is_json_a_form_or_a_text() {
        assert_eq!(
            read("application/json; charset=utf-8", r#"{"a": [1, "x"]}"#),
            Some(json!({"a": [1, "x"]}))
        );
        assert_eq!(read("Application/CloudEvents+JSON", "7"), Some(json!(7)));
        assert_eq!(read("text/plain", "{\"a\""), Some(json!("{\"a\"")));
        let form = read("application/x-www-form-urlencoded", "a=1+2&b=%C3%A9&a=3&a=4&c");
        assert_eq!(form, Some(json!({"a": ["1 2", "3", "4"], "b": "é", "c": ""})));
        let none = HookBody::read(None, b"").unwrap();
        assert_eq!(none, HookBody(None), "a request without a body is a call, too");
    }

    #[test]
    fn another_body_is_refused() {
        let read = |content_type: Option<&str>, body: &[u8]| HookBody::read(content_type, body).unwrap_err();
        assert!(matches!(read(None, b"x"), Error::MediaType));
        assert!(matches!(read(Some("image/png"), b"x"), Error::MediaType));
        assert!(matches!(read(Some("application/json"), b"{\"a\""), Error::Json));
        assert!(matches!(read(Some("text/plain"), b"\xff"), Error::Utf8));
        let deep = "[".repeat(100_000);
        assert!(matches!(read(Some("application/json"), deep.as_bytes()), Error::Json));
    }
}
