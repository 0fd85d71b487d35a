//! The request of a call: its address, and what of the arguments is not in the address.

use serde_json::{Map, Value};
use url::{Url, form_urlencoded::Serializer};

use crate::{HttpTool, url_template::scalar};

/// Bytes of an address at most. Servers commonly accept 8 KB.
const MAX_URL: usize = 8_000;

/// The request of a call.
#[derive(Debug, PartialEq)]
pub(crate) struct ToolRequest {
    pub(crate) url: String,
    /// The JSON body. Empty if the method has none.
    pub(crate) body: String,
}

/// The reason why arguments make no request, for the model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unfilled(pub(crate) String);

impl ToolRequest {
    /// Makes the request of a call. Arguments that the address does not name are in the query of a `GET` and a `DELETE`, and
    /// in the body of any other request.
    pub(crate) fn of(tool: &HttpTool, mut arguments: Map<String, Value>) -> Result<Self, Unfilled> {
        let mut url = tool.url.fill(&arguments)?;
        arguments.retain(|name, _| tool.url.parameters().all(|parameter| parameter != name));
        let mut body = String::new();
        if tool.method.has_body() {
            body = Value::Object(arguments).to_string();
        } else {
            url = with_query(url, &arguments);
        }
        if url.len() > MAX_URL {
            return Err(Unfilled(format!(
                "The arguments make an address of {} bytes; at most {MAX_URL} are allowed.",
                url.len()
            )));
        }
        Ok(Self { url, body })
    }
}

/// Adds arguments to the query. A list is repeated for each of its elements.
fn with_query(url: String, arguments: &Map<String, Value>) -> String {
    let mut query = Serializer::new(String::new());
    for (name, value) in arguments {
        match value {
            Value::Null => {}
            Value::Array(elements) => {
                query.extend_pairs(elements.iter().map(|element| (name, text_of(element))));
            }
            value => {
                query.append_pair(name, &text_of(value));
            }
        }
    }
    let query = query.finish();
    if query.is_empty() {
        return url;
    }
    let has_query = Url::parse(&url).is_ok_and(|url| url.query().is_some());
    format!("{url}{}{query}", if has_query { '&' } else { '?' })
}

fn text_of(value: &Value) -> String {
    scalar(value).unwrap_or_else(|| value.to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{RequestMethod, tests::tool};

    fn request(method: RequestMethod, url: &str, arguments: Value) -> Result<ToolRequest, Unfilled> {
        let Value::Object(arguments) = arguments else { panic!("no object") };
        ToolRequest::of(&HttpTool { method, ..tool(url) }, arguments)
    }

    #[test]
    fn what_the_address_does_not_name_is_in_the_query_or_in_the_body() {
        let url = "https://example.com/orders/{id}?a={a}";
        let arguments =
            json!({"id": "7", "a": 1, "tags": ["x y", "z"], "deep": {"b": null}, "none": null, "note": "ä"});
        let read = request(RequestMethod::Get, url, arguments.clone()).unwrap();
        assert_eq!(
            read.url,
            "https://example.com/orders/7?a=1&tags=x+y&tags=z&deep=%7B%22b%22%3Anull%7D&note=%C3%A4"
        );
        assert_eq!(read.body, "");
        let written = request(RequestMethod::Post, url, arguments).unwrap();
        assert_eq!(written.url, "https://example.com/orders/7?a=1");
        let body: Value = serde_json::from_str(&written.body).unwrap();
        assert_eq!(body, json!({"tags": ["x y", "z"], "deep": {"b": null}, "none": null, "note": "ä"}));
        let empty = request(RequestMethod::Put, "https://example.com/a", json!({})).unwrap();
        assert_eq!((empty.url.as_str(), empty.body.as_str()), ("https://example.com/a", "{}"));
        let bare = request(RequestMethod::Delete, "https://example.com/a", json!({"b": true})).unwrap();
        assert_eq!(bare.url, "https://example.com/a?b=true");
    }

    #[test]
    fn an_address_is_bounded() {
        let long = json!({"q": "x".repeat(9_000)});
        let Unfilled(why) = request(RequestMethod::Get, "https://example.com/a", long).unwrap_err();
        assert!(why.contains("at most 8000"), "{why}");
    }
}
