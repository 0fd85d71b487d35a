//! The address of a tool: literal up to its path, with parameters in its path and its query.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::request::Unfilled;

/// Bytes of a template at most.
const MAX_TEMPLATE: usize = 2048;
/// Bytes of the name of a parameter at most.
const MAX_NAME: usize = 64;

/// An address in which `{name}` stands for an argument of a call: `https://api.example.com/orders/{id}?view={view}`. The
/// arguments are percent-encoded. They can change neither the scheme, the host and the port, nor the number of segments of the
/// path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct UrlTemplate {
    text: String,
    /// The scheme and the authority.
    base: String,
    segments: Vec<Vec<TemplatePart>>,
    /// The pairs of the query.
    pairs: Vec<Vec<TemplatePart>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum TemplatePart {
    Literal(String),
    Parameter(String),
}

/// The rule that a text breaks which is not a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidTemplate(&'static str);

impl UrlTemplate {
    /// Returns the address without its path.
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    /// The names of the parameters, those of the path first.
    pub(crate) fn parameters(&self) -> impl Iterator<Item = &str> {
        self.path_parameters().chain(names(&self.pairs))
    }

    /// The names of the parameters in the path. A call must have an argument for each.
    pub(crate) fn path_parameters(&self) -> impl Iterator<Item = &str> {
        names(&self.segments)
    }

    /// Returns the address for these arguments. A pair of the query is left out if an argument in it is missing or null.
    pub(crate) fn fill(&self, arguments: &Map<String, Value>) -> Result<String, Unfilled> {
        let mut url = self.base.clone();
        for segment in &self.segments {
            url.push('/');
            url.push_str(&fill_segment(segment, arguments)?);
        }
        let mut mark = '?';
        for pair in self.pairs.iter().filter_map(|pair| fill_pair(pair, arguments)) {
            url.push(mark);
            url.push_str(&pair);
            mark = '&';
        }
        Ok(url)
    }
}

impl TryFrom<String> for UrlTemplate {
    type Error = InvalidTemplate;

    fn try_from(text: String) -> Result<Self, InvalidTemplate> {
        if text.len() > MAX_TEMPLATE {
            return Err(InvalidTemplate("must have at most 2048 bytes"));
        }
        // A URL parser reads `\` as `/`, and removes tabs and line breaks.
        let is_plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'\\' | b'#');
        if !text.bytes().all(is_plain) {
            return Err(InvalidTemplate("must have visible ASCII characters only, without `\\` and `#`"));
        }
        let (scheme, rest) = text.split_once("://").ok_or(InvalidTemplate("must begin with https://"))?;
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, rest) = rest.split_at(end);
        if scheme.contains(['{', '}']) || authority.contains(['{', '}']) {
            return Err(InvalidTemplate("must have no parameter before the path"));
        }
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let path = path.strip_prefix('/').unwrap_or(path);
        let segments = path.split('/').map(parts).collect::<Result<Vec<_>, _>>()?;
        if segments.iter().any(|segment| is_dots(&literal(segment))) {
            return Err(InvalidTemplate("must have no segment `.` or `..`"));
        }
        let pairs = query.split('&').filter(|pair| !pair.is_empty()).map(parts);
        let pairs = pairs.collect::<Result<_, _>>()?;
        Ok(Self { base: format!("{scheme}://{authority}"), segments, pairs, text })
    }
}

impl From<UrlTemplate> for String {
    fn from(template: UrlTemplate) -> Self {
        template.text
    }
}

/// Splits a text at its parameters.
fn parts(text: &str) -> Result<Vec<TemplatePart>, InvalidTemplate> {
    const MALFORMED: InvalidTemplate =
        InvalidTemplate("must have parameters of the form `{name}`, of 1 to 64 letters, digits or `_`");
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(begin) = rest.find(['{', '}']) {
        let (before, after) = rest.split_at(begin);
        let (name, after) =
            after.strip_prefix('{').and_then(|after| after.split_once('}')).ok_or(MALFORMED)?;
        let is_name = (1..=MAX_NAME).contains(&name.len())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if !is_name {
            return Err(MALFORMED);
        }
        if !before.is_empty() {
            parts.push(TemplatePart::Literal(before.to_owned()));
        }
        parts.push(TemplatePart::Parameter(name.to_owned()));
        rest = after;
    }
    if !rest.is_empty() {
        parts.push(TemplatePart::Literal(rest.to_owned()));
    }
    Ok(parts)
}

/// Returns the text of parts that have no parameter, or nothing.
fn literal(parts: &[TemplatePart]) -> String {
    match parts {
        [TemplatePart::Literal(text)] => text.clone(),
        _ => String::new(),
    }
}

fn names(parts: &[Vec<TemplatePart>]) -> impl Iterator<Item = &str> {
    parts.iter().flatten().filter_map(|part| match part {
        TemplatePart::Parameter(name) => Some(name.as_str()),
        TemplatePart::Literal(_) => None,
    })
}

fn fill_segment(segment: &[TemplatePart], arguments: &Map<String, Value>) -> Result<String, Unfilled> {
    let mut text = String::new();
    for part in segment {
        match part {
            TemplatePart::Literal(literal) => text += literal,
            TemplatePart::Parameter(name) => {
                let value = arguments.get(name).and_then(scalar).filter(|value| !value.is_empty());
                let value = value.ok_or_else(|| {
                    Unfilled(format!(
                        "The argument `{name}` must be a text that is not empty, a number or a truth value."
                    ))
                })?;
                encode(&value, &mut text);
            }
        }
    }
    // A URL parser would remove the segment, and the one before it.
    if is_dots(&text) {
        return Err(Unfilled("An argument in the path of the address must not be `.` or `..`.".to_owned()));
    }
    Ok(text)
}

fn fill_pair(pair: &[TemplatePart], arguments: &Map<String, Value>) -> Option<String> {
    let mut text = String::new();
    for part in pair {
        match part {
            TemplatePart::Literal(literal) => text += literal,
            TemplatePart::Parameter(name) => {
                let value = arguments.get(name).filter(|value| !value.is_null())?;
                encode(&scalar(value).unwrap_or_else(|| value.to_string()), &mut text);
            }
        }
    }
    Some(text)
}

/// Returns the text of a value that is no list and no object.
pub(crate) fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Appends `text` with everything but the unreserved characters of RFC 3986 encoded.
fn encode(text: &str, to: &mut String) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            to.push(char::from(byte));
        } else {
            let _ = write!(to, "%{byte:02X}"); // writing to a String cannot fail
        }
    }
}

/// Returns `true` if a URL parser takes the segment for `.` or `..` (WHATWG URL, "single-dot" and "double-dot" segments).
fn is_dots(segment: &str) -> bool {
    let plain = segment.to_ascii_lowercase().replace("%2e", ".");
    matches!(plain.as_str(), "." | "..")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;
    use url::Url;

    use super::*;

    fn template(text: &str) -> Result<UrlTemplate, InvalidTemplate> {
        UrlTemplate::try_from(text.to_owned())
    }

    fn filled(text: &str, arguments: Value) -> Result<String, String> {
        let Value::Object(arguments) = arguments else { panic!("no object") };
        template(text).unwrap().fill(&arguments).map_err(|Unfilled(why)| why)
    }

    #[test]
    fn arguments_are_encoded_where_the_template_has_them() {
        let orders = "https://api.example.com/shops/{shop}/orders/{id}?view={view}&lang=en";
        let all = json!({"shop": "a b/c", "id": 7, "view": "ä&b=c"});
        assert_eq!(
            filled(orders, all).unwrap(),
            "https://api.example.com/shops/a%20b%2Fc/orders/7?view=%C3%A4%26b%3Dc&lang=en"
        );
        let few = json!({"shop": true, "id": "x", "view": null});
        assert_eq!(filled(orders, few).unwrap(), "https://api.example.com/shops/true/orders/x?lang=en");
        for (text, url) in [
            ("https://example.com", "https://example.com/"),
            ("https://example.com?a=b", "https://example.com/?a=b"),
            ("https://example.com/a/", "https://example.com/a/"),
        ] {
            assert_eq!(filled(text, json!({})).unwrap(), url);
        }
        let names: Vec<_> = template(orders).unwrap().parameters().map(str::to_owned).collect();
        assert_eq!(names, ["shop", "id", "view"]);
    }

    #[test]
    fn an_argument_that_would_lead_to_another_path_is_refused() {
        let refused =
            |id: Value| filled("https://example.com/orders/{id}/items", json!({"id": id})).unwrap_err();
        for id in [json!(""), json!(null), json!([1]), json!({})] {
            assert!(refused(id).contains("`id` must be a text that is not empty"));
        }
        for id in [".", ".."] {
            assert!(refused(json!(id)).contains("must not be `.`"), "{id}");
        }
        assert!(filled("https://example.com/.{id}", json!({"id": "."})).is_err());
        assert!(filled("https://example.com/%2E{id}", json!({"id": "."})).is_err());
        assert_eq!(
            filled("https://example.com/{id}", json!({"id": "..."})).unwrap(),
            "https://example.com/..."
        );
    }

    #[test]
    fn a_template_keeps_its_rules() {
        for (text, rule) in [
            ("example.com/a", "must begin with https://"),
            ("{scheme}://example.com/", "before the path"),
            ("https://{host}/", "before the path"),
            ("https://{user}@example.com/", "before the path"),
            ("https://example.com:{port}/", "before the path"),
            ("https://example.com{path}", "before the path"),
            ("https://example.com\\@evil.example/{a}", "visible ASCII"),
            ("https://example.com/a b", "visible ASCII"),
            ("https://example.com/a#{b}", "visible ASCII"),
            ("https://example.com/../{a}", "no segment"),
            ("https://example.com/%2e/{a}", "no segment"),
            ("https://example.com/{a", "of the form"),
            ("https://example.com/a}", "of the form"),
            ("https://example.com/{}", "of the form"),
            ("https://example.com/{a-b}", "of the form"),
            ("https://example.com/{{a}}", "of the form"),
        ] {
            let InvalidTemplate(broken) = template(text).unwrap_err();
            assert!(broken.contains(rule), "{text}: {broken}");
        }
        assert!(template(&format!("https://example.com/{}", "a".repeat(2048))).is_err());
    }

    proptest! {
        #[test]
        fn no_argument_changes_the_host_or_the_shape_of_the_address(
            first in "\\PC{0,12}|[./\\\\?#@:%{}&=]{0,6}|%2[eEfF]|\\.\\.",
            second in "\\PC{0,12}|[./\\\\?#@:%{}&=]{0,6}",
            view in "\\PC{0,12}|[./\\\\?#@:%{}&=]{0,6}",
        ) {
            let text = "https://api.example.com:8443/a/{first}/b-{second}?view={view}&fixed=1";
            let arguments = json!({"first": first, "second": second, "view": view});
            let Ok(url) = filled(text, arguments) else { return Ok(()) };
            let url = Url::parse(&url).unwrap();
            prop_assert_eq!(url.origin().ascii_serialization(), "https://api.example.com:8443");
            prop_assert!(url.username().is_empty() && url.password().is_none() && url.fragment().is_none());
            let segments: Vec<_> = url.path_segments().unwrap().collect();
            prop_assert_eq!(segments.len(), 3, "{}", url);
            prop_assert_eq!(segments[0], "a");
            prop_assert!(segments[2].starts_with("b-"));
            let query: Vec<(String, String)> = url.query_pairs().into_owned().collect();
            prop_assert_eq!(query, [("view".to_owned(), view), ("fixed".to_owned(), "1".to_owned())]);
        }
    }
}
